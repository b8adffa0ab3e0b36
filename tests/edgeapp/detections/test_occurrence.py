"""Species to be expected by the occurrence model, as a filter of detections."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from edgeapp.clock.system import Moment
from edgeapp.detections.filters import Filters
from edgeapp.detections.occurrence import Occurrence
from edgeapp.detections.species_range import SpeciesRange
from edgeapp.detections.verdict import Verdict
from edgeapp.errors import UsageError
from edgeapp.pack.format import Pack
from gallery.recognition import Detection
from gallery.taxon import Taxon
from tests.edgeapp import toy_pack as toy

MAY, MARCH = (Moment(datetime(2026, month, 10, tzinfo=timezone.utc), 0.0) for month in (5, 3))


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return Pack.load(toy.add_range(toy.make(tmp_path_factory.mktemp("packs") / "toy")))


@pytest.fixture
def here(pack):
    return Occurrence.of(pack, 52.5, 13.4, taxa=toy.taxa())


def detection(name, rank="species"):
    [taxon] = [taxon for taxon in toy.taxa() if taxon.at("species") == name] or [toy.taxa()[0]]
    path = taxon.path(rank)
    return Detection(rank, path[-1], "", path, 0.9, ())


def test_species_are_expected_from_the_threshold_of_the_pack(here):
    assert here.least == 0.03
    assert [here.expects("Cuculus canorus", week) for week in (16, 17, 24, 25, None)] == [
        False,
        True,
        True,
        False,
        True,
    ]
    assert not here.expects("Parus minor", 20)


def test_another_threshold_can_be_given(pack):
    strict = Occurrence.of(pack, 52.5, 13.4, 0.7, toy.taxa())
    assert [strict.expects(name, 20) for name in ("Parus major", "Cuculus canorus")] == [True, False]
    assert Occurrence.of(pack, 52.5, 13.4, 0.0).expects("Parus minor", 20)
    with pytest.raises(UsageError, match="from 0 to 1"):
        Occurrence.of(pack, 52.5, 13.4, 1.5)


def test_a_species_without_a_value_is_kept(here):
    assert here.value("Bufo bufo", 3) is None
    assert here.expects("Bufo bufo", 3)
    assert here.without_value == 1


def test_a_taxon_is_found_by_a_synonym_in_the_model(pack):
    renamed = Taxon("Novocuculus canorus", "", "", "", "", "", "Novocuculus", {}, ("Cuculus canorus",))
    found = Occurrence.of(pack, 52.5, 13.4, taxa=[renamed])
    assert found.value("Novocuculus canorus", 20) == pytest.approx(0.6)


def test_a_place_must_be_one(pack):
    with pytest.raises(UsageError, match="invalid location 91, 0"):
        Occurrence.of(pack, 91.0, 0.0)


def test_a_detection_out_of_season_is_rejected_with_its_reason(here):
    filters = Filters(tuple(toy.taxa()), occurrence=here)
    assert filters.judge(detection("Cuculus canorus"), MAY) == (Verdict.DETECTION, "")
    assert filters.judge(detection("Cuculus canorus"), MARCH) == (
        Verdict.OUT_OF_RANGE,
        "Cuculus canorus is not expected at 52.5, 13.4 in week 10",
    )


def test_a_clock_that_is_not_set_leaves_the_whole_year(here):
    filters = Filters(tuple(toy.taxa()), occurrence=here)
    unset = Moment(MARCH.utc, 0.0, clock_set=False)
    assert filters.judge(detection("Cuculus canorus"), unset)[0] is Verdict.DETECTION
    assert filters.judge(detection("Parus minor"), unset)[1] == "Parus minor is not expected at 52.5, 13.4"


def test_a_group_is_kept_while_one_of_its_species_is_expected(here):
    filters = Filters(tuple(toy.taxa()), occurrence=here)
    assert filters.judge(detection("Parus major", "genus"), MARCH)[0] is Verdict.DETECTION
    assert filters.judge(detection("Cuculus canorus", "family"), MARCH) == (
        Verdict.OUT_OF_RANGE,
        "no species of Cuculidae is expected at 52.5, 13.4 in week 10",
    )


def test_model_and_table_of_the_user_must_both_expect_it(here, tmp_path):
    table = tmp_path / "range.csv"
    table.write_text(
        "scientific_name,latitude_min,latitude_max,longitude_min,longitude_max,week_first,week_last\n"
        "Kohlmeise,,,,,1,8\n"
    )
    users = SpeciesRange.read(table, toy.taxa(), 52.5, 13.4)
    filters = Filters(tuple(toy.taxa()), species_range=users, occurrence=here)
    assert filters.judge_in(detection("Parus major"), 8)[0] is Verdict.DETECTION
    assert filters.judge_in(detection("Parus major"), 9)[0] is Verdict.OUT_OF_RANGE
    assert filters.judge_in(detection("Cuculus canorus"), 9)[0] is Verdict.OUT_OF_RANGE
    assert filters.expected(20).tolist() == [False, True, False, True]
    assert Filters(tuple(toy.taxa())).expected(20) is None


def test_the_filter_is_described_for_the_journal(here):
    described = Filters(tuple(toy.taxa()), occurrence=here).described()
    assert described["occurrence"] == {"min_occurrence": 0.03, "species_with_value": 3, "species_without_value": 1}
