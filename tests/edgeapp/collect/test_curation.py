"""Which media are drawn, and that the draw stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.curation import IN_BURST, LOW_QUALITY, NOT_GRADED, NOT_RESOLVED, OVER, Rules, curate
from edgeapp.collect.duplicates import SAME_CONTENT
from edgeapp.collect.medium import Medium
from edgeapp.errors import UsageError
from tests.edgeapp.collect.offers import medium, resolve

ALL = Rules(photos=None, burst=None)


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path) as opened:
        yield opened


def drawn(catalogue: Catalogue, rules: Rules) -> set[str]:
    catalogue.reconsider()
    resolve(catalogue)
    curate(catalogue, rules)
    return {row.medium.id for row in catalogue.rows() if row.state in ("chosen", "downloaded")}


def reasons(catalogue: Catalogue) -> Counter[str]:
    return Counter(row.reason for row in catalogue.rows("left_out"))


def songs(first: int, last: int, **told: object) -> list[Medium]:
    return [medium(n, **told) for n in range(first, last)]


def test_without_limits_everything_is_taken(catalogue: Catalogue) -> None:
    catalogue.offer(songs(0, 30))
    assert len(drawn(catalogue, ALL)) == 30


def test_at_most_so_many_of_a_species_and_modality(catalogue: Catalogue) -> None:
    catalogue.offer([*songs(0, 30), *songs(30, 32, scientific_name="Parus minor")])
    catalogue.offer([medium(n, modality="image") for n in range(100, 120)])
    taken = drawn(catalogue, Rules(recordings=5, photos=7))
    by = Counter((row.taxon, row.medium.modality) for row in catalogue.rows("chosen"))
    assert by == {("Parus major", "audio"): 5, ("Parus major", "image"): 7, ("Parus minor", "audio"): 2}
    assert len(taken) == 14
    assert reasons(catalogue) == {OVER["audio"]: 25, OVER["image"]: 13}


def test_the_draw_is_the_same_again_and_another_with_another_seed(catalogue: Catalogue) -> None:
    catalogue.offer(songs(0, 60))
    first = drawn(catalogue, Rules(recordings=20))
    assert drawn(catalogue, Rules(recordings=20)) == first
    assert drawn(catalogue, Rules(recordings=20, seed=1)) != first


def test_the_draw_does_not_depend_on_the_order_of_offers(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.offer(songs(0, 60))
    with Catalogue.open(tmp_path / "other") as other:
        other.offer(reversed(songs(0, 60)))
        assert drawn(other, Rules(recordings=20)) == drawn(catalogue, Rules(recordings=20))


def test_new_media_displace_only_as_many_as_they_take(catalogue: Catalogue) -> None:
    catalogue.offer(songs(0, 60))
    before = drawn(catalogue, Rules(recordings=20))
    catalogue.offer(songs(60, 90))
    after = drawn(catalogue, Rules(recordings=20))
    new = {one for one in after if int(one) >= 60}
    assert 0 < len(new) < 20
    assert after - new < before


def test_the_best_grades_come_first_where_asked(catalogue: Catalogue) -> None:
    catalogue.offer([medium(n, quality=quality) for n, quality in enumerate(["C", "A", "", "B", "E", "no score", "A"])])
    assert drawn(catalogue, Rules(recordings=3, best_first=True)) == {"1", "6", "3"}


def test_what_is_graded_too_low_or_not_at_all_is_left_out(catalogue: Catalogue) -> None:
    grades = ["A", "B", "c", "no score", "", "research", "needs_id", "casual"]
    catalogue.offer([medium(n, quality=quality) for n, quality in enumerate(grades)])
    assert drawn(catalogue, Rules(min_quality=("B",))) == {"0", "1", "4", "5", "6", "7"}
    assert reasons(catalogue) == {LOW_QUALITY: 1, NOT_GRADED: 1}
    assert drawn(catalogue, Rules(min_quality=("C", "needs_id"))) == {"0", "1", "2", "4", "5", "6"}


def test_of_a_burst_only_a_few_are_taken(catalogue: Catalogue) -> None:
    burst = {"observer": "A. Name", "latitude": 51.501, "longitude": 7.0, "recorded_at": "2026-05-22T07:10"}
    catalogue.offer(songs(0, 10, **burst))
    catalogue.offer(songs(10, 12, **{**burst, "recorded_at": "2026-05-22T08:10"}))
    catalogue.offer(songs(12, 14, **{**burst, "observer": "B. Name"}))
    catalogue.offer(songs(14, 16, **{**burst, "latitude": 52.0}))
    catalogue.offer(songs(16, 18, **{**burst, "scientific_name": "Parus minor"}))
    taken = drawn(catalogue, Rules(burst=3))
    assert len([one for one in taken if int(one) < 10]) == 3
    assert taken >= {str(n) for n in range(10, 18)}
    assert reasons(catalogue) == {IN_BURST: 7}


@pytest.mark.parametrize("lacking", ["observer", "recorded_at", "latitude"])
def test_media_of_unknown_encounters_are_no_burst(catalogue: Catalogue, lacking: str) -> None:
    known = {"observer": "A. Name", "latitude": 51.5, "longitude": 7.0, "recorded_at": "2026-05-22T07:10"}
    catalogue.offer(songs(0, 5, **{name: value for name, value in known.items() if name != lacking}))
    assert len(drawn(catalogue, Rules(burst=1))) == 5


def test_a_burst_does_not_use_up_the_share_of_others(catalogue: Catalogue) -> None:
    burst = {"observer": "A. Name", "country": "DE", "recorded_at": "2026-05-22"}
    catalogue.offer([*songs(0, 50, **burst), *songs(50, 55)])
    taken = drawn(catalogue, Rules(recordings=6, burst=1))
    assert len(taken) == 6
    assert taken >= {"50", "51", "52", "53", "54"}


def test_known_duplicates_and_failures_are_drawn_around(catalogue: Catalogue) -> None:
    catalogue.offer(songs(0, 10))
    first = drawn(catalogue, Rules(recordings=4))
    keys = {row.medium.id: row.key for row in catalogue.rows()}
    same, other, lost, _ = sorted(first)
    catalogue.downloaded(keys[same], "a", "ab", 1)
    catalogue.downloaded(keys[other], "b", "ab", 1)
    catalogue.failed(keys[lost], "gone", for_good=True)
    again = drawn(catalogue, Rules(recordings=4))
    assert len(again) == 4
    assert again & {same, other, lost} == {same}
    found = reasons(catalogue)
    assert (found[SAME_CONTENT], [row.reason for row in catalogue.rows("failed")]) == (1, ["gone"])


def test_rows_without_a_taxon_are_never_taken(catalogue: Catalogue) -> None:
    catalogue.offer(songs(0, 3))
    curate(catalogue, ALL)
    assert reasons(catalogue) == {NOT_RESOLVED: 3}


@pytest.mark.parametrize(
    "wrong", [{"recordings": -1}, {"photos": -5}, {"burst": 0}, {"min_quality": ("Z",)}, {"min_quality": ("",)}]
)
def test_rules_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Rules(**wrong)
