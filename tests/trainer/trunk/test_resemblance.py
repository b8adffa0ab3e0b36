"""What photos are compared with, and what they are pulled to."""

from __future__ import annotations

import numpy as np
import torch

from tests.trainer.trunk import classes
from trainer.models.photo import PhotoConfig, PhotoTower
from trainer.trunk.relatives import SHARE, Relatives
from trainer.trunk.resemblance import Group, added_groups, shares_of


def unit_rows() -> np.ndarray:
    found = classes.rows() - classes.rows().mean(axis=0)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_a_place_is_nearest_its_taxon_and_nearer_its_relatives() -> None:
    vectors = unit_rows()
    relatives = Relatives(classes.taxa(), vectors)
    place = relatives.place(0)
    place = place / np.linalg.norm(place)
    similarity = vectors @ place
    assert similarity.argmax() == 0
    genus = slice(1, classes.SPECIES)
    assert (similarity[genus] > (vectors @ vectors[0])[genus]).all()


def test_targets_share_a_part_among_relatives() -> None:
    taxa = classes.taxa()
    targets = Relatives(taxa, unit_rows()).targets(np.array([0, 50]))
    assert np.allclose(targets.sum(axis=1), 1.0, atol=1e-5)
    assert targets.argmax(axis=1).tolist() == [0, 50]
    same = [row for row, taxon in enumerate(taxa) if taxon.genus == taxa[0].genus and row]
    other = [row for row, taxon in enumerate(taxa) if taxon.order != taxa[0].order]
    assert (targets[0, same] > SHARE[0] / classes.SPECIES).all() and not targets[0, other].any()


def test_rows_are_made_for_what_the_network_lacks() -> None:
    taxa = classes.taxa()
    known = np.array([0, 30])  # of two families of the first order
    groups = added_groups(np.array([0, 1, 75, 75]), known, taxa)
    named = [(group.rank, group.name) for group in groups]
    assert named == [
        ("species", taxa[1].scientific_name),
        ("species", taxa[75].scientific_name),
        ("family", taxa[75].family),
        ("order", taxa[75].order),
    ]
    assert shares_of(0, groups, taxa).sum() == 0.0
    assert np.allclose(shares_of(1, groups, taxa), [1, 0, 0, 0])
    shares = shares_of(75, groups, taxa)
    assert shares[0] == 0.0 and np.isclose(shares.sum(), 1.0) and (shares[1:] > 0).all()


def test_nothing_is_lacking_where_all_photos_are_known() -> None:
    assert added_groups(np.array([0, 1]), np.array([0, 1]), classes.taxa()) == []
    assert not len(shares_of(0, [], classes.taxa()))
    assert Group("order", "Anura", 3).taxon == 3


def test_places_are_kept_where_there_is_room_for_them() -> None:
    torch.manual_seed(0)
    tower = PhotoTower(PhotoConfig(resembled=6, width=8), 24)
    vectors = torch.from_numpy(unit_rows()[:6])
    tower.set_places(vectors)
    with torch.no_grad():
        placed = tower.projection(tower.places(torch.eye(6)))
    assert torch.allclose(placed, vectors, atol=1e-5)
