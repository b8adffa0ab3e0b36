"""What is held out, and that no source is on both sides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from edgeapp.collect.row import Row
from edgeapp.collect.splits import SPLITS, TEST, TRAIN, UNSEEN, Divider, Division, source_of
from edgeapp.errors import UsageError
from tests.edgeapp.collect.offers import medium

ENCOUNTER = {"observer": "A. Name", "recorded_at": "2026-05-22T07:10", "latitude": 51.501, "longitude": 7.0}


def row(taxon: str = "Parus major", sha256: str = "", **told: Any) -> Row:
    return Row(0, medium(**told), "downloaded", "", taxon, {}, "", "", "", sha256, None, 0, ())


def divided(rows: Iterable[Row], division: Division = Division()) -> list[str]:
    divider = Divider(division)
    for one in rows:
        divider.add(one)
    return [SPLITS[split] for split in divider.divided()]


def test_the_source_is_observer_day_and_place() -> None:
    one = row(id=1, **ENCOUNTER)
    assert source_of(one) == ("xeno-canto", "A. Name 2026-05-22 51.50 7.00")
    for other in ({"recorded_at": "2026-05-22"}, {"latitude": 51.504}, {"observation": "9"}):
        assert source_of(row(id=2, **{**ENCOUNTER, **other})) == source_of(one)
    for other in ({"recorded_at": "2026-05-23"}, {"latitude": 51.6}, {"observer": "B. Name"}):
        assert source_of(row(id=2, **{**ENCOUNTER, **other})) != source_of(one)


@pytest.mark.parametrize("lacking", ["observer", "recorded_at", "longitude"])
def test_without_one_of_them_the_source_is_the_encounter(lacking: str) -> None:
    known = {name: value for name, value in ENCOUNTER.items() if name != lacking}
    one, same, other = (
        source_of(row(id=n, observation=record, **known)) for n, record in ((1, "a"), (2, "a"), (3, "b"))
    )
    assert one == same != other


def test_a_republished_record_has_the_source_of_its_own_archive() -> None:
    record = "https://www.inaturalist.org/observations/77"
    photo, sound = (row(id=1, source=name, observation=record) for name in ("gbif", "inaturalist"))
    assert source_of(photo) == source_of(sound) == ("inaturalist", "inaturalist 77")


def many(species: int = 30, recordings: int = 40, sources: int = 20) -> list[Row]:
    return [
        row(f"Genus species{s}", id=f"{s} {n}", observation=f"{s} {n % sources}")
        for s in range(species)
        for n in range(recordings)
    ]


def test_about_a_tenth_of_the_sources_is_held_out() -> None:
    splits = divided(many(), Division(unseen_below=0))
    assert 0.05 < splits.count(TEST) / len(splits) < 0.15
    assert UNSEEN not in splits


def test_no_source_is_on_both_sides() -> None:
    rows = many()
    sides: dict[tuple[str, str], set[bool]] = {}
    for one, split in zip(rows, divided(rows)):
        sides.setdefault(source_of(one), set()).add(split == TRAIN)
    assert all(len(side) == 1 for side in sides.values())


def test_a_file_given_for_two_species_is_on_one_side() -> None:
    rows = [row(f"Genus s{s}", f"{n:064x}", id=f"{s} {n}", observation=f"{s} {n}") for s in (1, 2) for n in range(100)]
    splits = divided(rows, Division(test_share=0.3, unseen_below=0))
    assert splits[:100] == splits[100:] and {*splits} == {TRAIN, TEST}


def test_the_split_stays_when_other_media_come() -> None:
    rows, division = many(), Division(unseen_below=0)
    more = [row("Novus novus", id=n, observation=f"new {n}") for n in range(20)]
    assert divided([*more, *rows], division)[len(more) :] == divided(rows, division)
    assert divided(rows, Division(unseen_below=0, seed=1)) != divided(rows, division)


@pytest.mark.parametrize("sources", [1, 2, 3, 4])
def test_every_seen_species_is_trained_on(sources: int) -> None:
    rows = many(60, sources, sources)
    splits = divided(rows, Division(test_share=0.5, unseen_below=0))
    trained = {one.taxon for one, split in zip(rows, splits) if split == TRAIN}
    assert len(trained) == 60
    assert (TEST in splits) == (sources >= 3)


def test_species_with_few_recordings_are_unseen() -> None:
    rows = [row(f"Genus s{n}", id=f"{n} {k}") for n in range(1, 6) for k in range(n)]
    rows += [row("Genus photographed", id="p", modality="image")]
    splits = divided(rows, Division(test_share=0.0, unseen_below=3))
    unseen = {one.taxon for one, split in zip(rows, splits) if split == UNSEEN}
    assert unseen == {"Genus s1", "Genus s2"}


def test_by_default_a_small_share_with_fewest_is_unseen() -> None:
    rows = [row(f"Genus s{n:03}", id=f"{n} {k}") for n in range(1, 101) for k in range(1 + n // 10)]
    splits = divided(rows)
    unseen = {one.taxon for one, split in zip(rows, splits) if split == UNSEEN}
    assert len(unseen) == 2
    assert unseen < {f"Genus s{n:03}" for n in range(1, 10)}
    assert UNSEEN not in divided(rows[:10])


def test_photos_of_an_unseen_species_are_unseen_too() -> None:
    rows = [row("Rara avis", id=1), *(row("Rara avis", id=n, modality="image") for n in range(2, 30))]
    assert set(divided(rows, Division(unseen_below=2))) == {UNSEEN}


def test_what_shares_a_source_with_an_unseen_species_is_held_out() -> None:
    rows = [row("Rara avis", id=0, **ENCOUNTER), row("Parus major", id=1, **ENCOUNTER)]
    rows += [row("Parus major", id=n) for n in range(2, 9)]
    splits = divided(rows, Division(test_share=0.0, unseen_below=2))
    assert splits == [UNSEEN, TEST, *[TRAIN] * 7]


def test_nothing_is_divided_into_nothing() -> None:
    assert divided([]) == []
    assert Divider(Division()).counted(np.zeros(0, np.int8))[1] == dict.fromkeys(SPLITS, 0)


@pytest.mark.parametrize("wrong", [{"test_share": 0.6}, {"test_share": -0.1}, {"unseen_below": -1}])
def test_a_division_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Division(**wrong)
