"""What a decision must pass before it is a detection, and what is said of one that does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from edgeapp.clock.system import Moment
from edgeapp.detections.filters import Filters, SpeciesList
from edgeapp.detections.species_range import COLUMNS, SpeciesRange
from edgeapp.detections.verdict import Verdict
from edgeapp.errors import UsageError
from gallery.recognition import Detection
from gallery.taxon import Taxon
from tests.edgeapp import toy_pack as toy

TAXA = tuple(toy.taxa())
MAY = Moment(datetime(2026, 5, 3, 4, 0, tzinfo=timezone.utc), 100.0)  # week 17


def detection(rank: str, name: str, confidence: float, taxa: tuple[Taxon, ...] = TAXA) -> Detection:
    """A detection of a taxon."""
    path = next(taxon.path(rank) for taxon in taxa if taxon.at(rank) == name)
    return Detection(rank, name, "", path, confidence, ())


MAJOR = detection("species", "Parus major", 0.62)
GENUS = detection("genus", "Parus", 0.62)
BIRD = detection("class", "Aves", 0.62)
CUCKOO = detection("species", "Cuculus canorus", 0.62)


@pytest.fixture
def listed(tmp_path):
    """A species list of some lines."""

    def read(*lines):
        path = tmp_path / "list.txt"
        path.write_text("\n".join(lines), encoding="utf-8")
        return SpeciesList.read(path, TAXA)

    return read


@pytest.fixture
def ranged(tmp_path):
    """A range table of some lines, for the place 59.3 N 18 E."""

    def read(*lines, **options):
        path = tmp_path / "range.csv"
        path.write_text("\n".join([",".join(COLUMNS), *lines]), encoding="utf-8")
        return SpeciesRange.read(path, TAXA, 59.3, 18.0, **options)

    return read


def test_nothing_asked_for_lets_every_detection_through():
    assert Filters(TAXA).judge(MAJOR, MAY) == (Verdict.DETECTION, "")
    assert Filters(TAXA).judge(BIRD, MAY) == (Verdict.DETECTION, "")


def test_the_minimum_confidence_is_for_all():
    filters = Filters(TAXA, 0.8)
    assert filters.judge(MAJOR, MAY) == (Verdict.BELOW, "0.62 under 0.80")
    assert filters.judge(replace(MAJOR, confidence=0.8), MAY) == (Verdict.DETECTION, "")


def test_the_deepest_threshold_that_contains_the_taxon_wins():
    filters = Filters(TAXA, 0.9, {"Aves": 0.5, "Parus": 0.6, "Parus major": 0.8})
    assert filters.judge(MAJOR, MAY) == (Verdict.BELOW, "0.62 under 0.80 of Parus major")
    assert filters.judge(detection("species", "Parus minor", 0.62), MAY)[0] is Verdict.DETECTION
    assert filters.judge(detection("species", "Parus minor", 0.55), MAY) == (Verdict.BELOW, "0.55 under 0.60 of Parus")
    assert filters.judge(GENUS, MAY)[0] is Verdict.DETECTION
    assert filters.judge(CUCKOO, MAY)[0] is Verdict.DETECTION
    assert filters.judge(replace(BIRD, confidence=0.45), MAY) == (Verdict.BELOW, "0.45 under 0.50 of Aves")
    assert filters.judge(detection("species", "Bufo bufo", 0.85), MAY) == (Verdict.BELOW, "0.85 under 0.90")


def test_a_threshold_says_nothing_of_what_contains_its_taxon():
    filters = Filters(TAXA, 0.0, {"Parus major": 0.99})
    assert filters.judge(GENUS, MAY)[0] is Verdict.DETECTION


def test_a_threshold_can_be_given_by_any_name():
    filters = Filters(TAXA, 0.0, {"  great  tit ": 0.8, "CUCULUS": 0.7})
    assert filters.judge(MAJOR, MAY)[1] == "0.62 under 0.80 of Parus major"
    assert filters.judge(CUCKOO, MAY)[1] == "0.62 under 0.70 of Cuculus"


def test_a_genus_shared_by_families_has_one_threshold_in_each():
    namesake = Taxon("Parus verus", "Plantae", "", "", "", "Paraceae", "Parus", {})
    verus = detection("species", "Parus verus", 0.55, (namesake,))
    filters = Filters((*TAXA, namesake), 0.0, {"Parus": 0.5, "Paraceae": 0.9})
    assert filters.judge(verus, MAY)[0] is Verdict.DETECTION
    only_family = Filters((*TAXA, namesake), 0.0, {"Paraceae": 0.9})
    assert only_family.judge(verus, MAY)[1] == "0.55 under 0.90 of Paraceae"
    assert only_family.judge(MAJOR, MAY)[0] is Verdict.DETECTION


def test_a_reason_never_says_that_a_number_is_under_itself():
    assert Filters(TAXA, 0.8).judge(replace(MAJOR, confidence=0.7999), MAY)[1] == "0.7999 under 0.8000"


@pytest.mark.parametrize("name", ["Parus mayor", "Parsu"])
def test_an_unknown_taxon_is_refused_with_near_names(name):
    with pytest.raises(UsageError, match=f"threshold of '{name}': no taxon is called '{name}'; did you mean Parus"):
        Filters(TAXA, 0.0, {name: 0.5})


@pytest.mark.parametrize("least", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_between_0_and_1(least):
    with pytest.raises(UsageError, match="of every taxon is not between 0 and 1"):
        Filters(TAXA, least)
    with pytest.raises(UsageError, match="of Aves is not between 0 and 1"):
        Filters(TAXA, 0.0, {"Aves": least})


def test_two_thresholds_of_one_taxon_are_refused():
    with pytest.raises(UsageError, match="Parus major has two thresholds"):
        Filters(TAXA, 0.0, {"Parus major": 0.5, "Great Tit": 0.6})


def test_the_list_rejects_and_never_renames(listed):
    filters = Filters(TAXA, species_list=listed("Parus minor"))
    assert filters.judge(MAJOR, MAY) == (Verdict.UNLISTED, "Parus major is not on the species list")
    assert filters.judge(CUCKOO, MAY) == (Verdict.UNLISTED, "Cuculus canorus is not on the species list")
    assert filters.judge(detection("genus", "Cuculus", 0.9), MAY) == (
        Verdict.UNLISTED,
        "no species of Cuculus is on the species list",
    )
    for one in (detection("species", "Parus minor", 0.6), GENUS, BIRD):
        assert filters.judge(one, MAY)[0] is Verdict.DETECTION


def test_a_list_takes_birdnet_lines_groups_and_names_the_unknown(listed):
    found = listed("\ufeff# my garden", "Parus major_Great Tit  # by the house", "", "  bufonidae", "Dodo dodo_Dodo")
    assert found.species == {"Parus major", "Bufo bufo"}
    assert [(one.line, one.name) for one in found.unknown] == [(5, "Dodo dodo")]
    assert "no taxon is called 'Dodo dodo'" in found.unknown[0].why


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"# nothing\n\n", "is empty"),
        (b"Dodo dodo\n", r"matches nothing in the gallery \(line 1: no taxon is called 'Dodo dodo'"),
        (b"Parus m\xe4jor\n", "is not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_list_that_would_reject_everything_is_refused(tmp_path, content, said):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        SpeciesList.read(path, TAXA)


def test_the_range_asks_for_place_and_week(ranged):
    filters = Filters(TAXA, species_range=ranged("Parus major,,,,,20,30", "Cuculus canorus,,50,,,,"))
    assert filters.judge(MAJOR, MAY) == (
        Verdict.OUT_OF_RANGE,
        "Parus major is not expected at 59.3, 18 in week 17",
    )
    june = Moment(datetime(2026, 6, 3, tzinfo=timezone.utc), 100.0)
    assert filters.judge(MAJOR, june)[0] is Verdict.DETECTION
    assert filters.judge(GENUS, MAY)[0] is Verdict.DETECTION  # Parus minor has no row, and is kept
    assert filters.judge(detection("genus", "Cuculus", 0.9), june) == (
        Verdict.OUT_OF_RANGE,
        "no species of Cuculus is expected at 59.3, 18 in week 21",
    )


def test_a_clock_that_is_not_set_knows_no_week(ranged):
    filters = Filters(TAXA, species_range=ranged("Parus major,,,,,20,30", "Cuculus canorus,,50,,,20,30"))
    unset = replace(MAY, clock_set=False)
    assert filters.judge(MAJOR, unset)[0] is Verdict.DETECTION
    assert filters.judge(CUCKOO, unset) == (
        Verdict.OUT_OF_RANGE,
        "Cuculus canorus is not expected at 59.3, 18",
    )


def test_one_species_inside_must_pass_both_the_list_and_the_range(listed, ranged):
    table = ranged("Parus major,,50,,,,", missing="keep")
    filters = Filters(TAXA, species_list=listed("Parus major"), species_range=table)
    assert filters.judge(GENUS, MAY) == (
        Verdict.OUT_OF_RANGE,
        "no species of Parus on the species list is expected at 59.3, 18 in week 17",
    )
    both = Filters(TAXA, species_list=listed("Parus major", "Parus minor"), species_range=table)
    assert both.judge(GENUS, MAY)[0] is Verdict.DETECTION


def test_the_threshold_is_asked_first(listed, ranged):
    filters = Filters(TAXA, 0.8, None, listed("Parus minor"), ranged("Parus major,,50,,,,"))
    assert filters.judge(MAJOR, MAY)[0] is Verdict.BELOW
    assert filters.judge(replace(MAJOR, confidence=0.9), MAY)[0] is Verdict.UNLISTED


def test_the_record_of_a_deployment_holds_every_filter(listed, ranged):
    found = Filters(TAXA, 0.5, {"Aves": 0.6}, listed("Parus", "Dodo"), ranged("Parus major,,,,,,")).described()
    assert found["min_confidence"] == 0.5
    assert found["thresholds"] == {"Aves": 0.6}
    assert (found["species_list"]["species"], found["species_list"]["unknown_names"]) == (2, 1)
    assert found["range"]["species_without_row"] == 3
    assert Filters(TAXA).described() == {"min_confidence": 0.0, "thresholds": {}}


def test_a_namesake_in_another_family_is_not_on_the_list(listed):
    namesake = Taxon("Parus verus", "Plantae", "", "", "", "Paraceae", "Parus", {})
    filters = Filters((*TAXA, namesake), species_list=listed("Parus major"))
    plants = detection("genus", "Parus", 0.9, (namesake,))

    assert filters.judge(plants, MAY) == (Verdict.UNLISTED, "no species of Parus is on the species list")
    assert filters.judge(GENUS, MAY)[0] is Verdict.DETECTION
