"""Triplets drawn once: as many of every species, one prompt for each, and the first photos alone."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.data.rows import RowsOfTaxon
from trainer.stages.fixed import NONE, FixedTriplets, first_rows

TAXON = np.array([0] * 3 + [1] * 40 + [2] * 5)  # of recordings
PHOTO_TAXON = np.array([1] * 30 + [0] * 2)


def drawn(drop: bool, seed: int = 1) -> FixedTriplets:
    photos = RowsOfTaxon(PHOTO_TAXON, 3, first_rows(PHOTO_TAXON, np.arange(32), 20))
    return FixedTriplets.drawn(TAXON, photos, 3, each=20, drop=drop, seed=seed)


@pytest.mark.parametrize("drop", [True, False])
def test_every_species_has_as_many_but_those_without_photos(drop: bool) -> None:
    triplets = drawn(drop)
    assert np.bincount(triplets.taxon).tolist() == ([20, 20] if drop else [20, 20, 20])
    assert np.array_equal(TAXON[triplets.recording], triplets.taxon)
    pictured = triplets.photo != NONE
    assert np.array_equal(PHOTO_TAXON[triplets.photo[pictured]], triplets.taxon[pictured])
    assert np.array_equal(pictured, triplets.taxon != 2)


def test_recordings_come_twice_only_where_there_are_too_few() -> None:
    triplets = drawn(True)
    assert len(set(triplets.recording[triplets.taxon == 1].tolist())) == 20
    assert len(set(triplets.recording[triplets.taxon == 0].tolist())) <= 3


def test_the_seed_alone_decides_them() -> None:
    one, same, other = drawn(True), drawn(True), drawn(True, seed=2)
    assert np.array_equal(one.recording, same.recording) and np.array_equal(one.forms, same.forms)
    assert not np.array_equal(one.recording, other.recording)
    assert one.forms.shape == (3,) and one.forms.max() < 5


def test_only_the_first_photos_of_a_species_are_used() -> None:
    assert first_rows(PHOTO_TAXON, np.arange(32), 20).tolist() == [*range(20), 30, 31]
    assert first_rows(PHOTO_TAXON, np.arange(32), 0).tolist() == list(range(32))
    assert first_rows(PHOTO_TAXON, np.array([25, 3, 30]), 1).tolist() == [25, 30]
