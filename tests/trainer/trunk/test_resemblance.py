"""What photos are compared with, and what they are pulled to."""

from __future__ import annotations

import numpy as np
import torch

from tests.trainer.trunk import classes
from tests.trainer.trunk.classes import DIM
from trainer.models.mobilenet import FEATURES
from trainer.models.photo import PhotoConfig, PhotoTower
from trainer.trunk.photo_network import PhotoClasses
from trainer.trunk.relatives import SHARE, Relatives
from trainer.trunk.resemblance import Group, added_groups, begin, shares_of, target_vectors

KNOWN = np.array([0, 30, 50])  # classes of a photo network


def unit_rows() -> np.ndarray:
    found = classes.rows() - classes.rows().mean(axis=0)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_a_place_is_nearest_its_taxon_and_nearer_its_relatives() -> None:
    vectors = unit_rows()
    relatives = Relatives(classes.taxa(), vectors, KNOWN)
    place = relatives.place(0)
    place = place / np.linalg.norm(place)
    similarity = vectors @ place
    assert similarity.argmax() == 0
    genus = slice(1, classes.SPECIES)
    assert (similarity[genus] > (vectors @ vectors[0])[genus]).all()


def test_targets_share_a_part_among_relatives() -> None:
    taxa = classes.taxa()
    targets = Relatives(taxa, unit_rows(), KNOWN).targets(np.array([0, 50]))
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


def test_a_place_is_not_moved_towards_a_relative_that_the_network_knows() -> None:
    taxa, vectors = classes.taxa(), unit_rows()
    lacked, known = (Relatives(taxa, vectors, np.array(rows)).place(0) @ vectors[1] for rows in ([0], [0, 1]))
    assert known < lacked - 0.02


def test_a_genus_that_the_network_knows_moves_nothing() -> None:
    vectors = unit_rows()
    relatives = Relatives(classes.taxa(), vectors, np.arange(len(vectors)))
    assert np.array_equal(relatives.place(0), vectors[0])


def test_several_classes_lie_away_from_the_mean_of_all() -> None:
    vectors = unit_rows()
    known = np.array([0, 30, 50])
    network = PhotoClasses(np.zeros((3, 4), np.float32), np.zeros(3, np.float32), known)
    relatives = Relatives(classes.taxa(), vectors, known)
    places = target_vectors(network, [], relatives)
    assert np.allclose(np.linalg.norm(places, axis=1), 1.0, atol=1e-5)

    def apart(placed: np.ndarray) -> float:
        """How much nearer the mean of some classes is to these than to any other taxon."""
        mean = placed.mean(axis=0)
        similarity = vectors @ (mean / np.linalg.norm(mean))
        return float(similarity[known].min() - np.delete(similarity, known).max())

    assert apart(places) > apart(np.stack([relatives.place(taxon) for taxon in known])) + 0.05


def test_the_initial_tower_gives_the_place_of_a_sure_class() -> None:
    torch.manual_seed(0)
    network = PhotoClasses(50 * np.eye(3, FEATURES, dtype=np.float32), np.zeros(3, np.float32), KNOWN[:3])
    tower = PhotoTower(PhotoConfig(resembled=3), DIM)
    placed = unit_rows()[:3]
    begin(tower, network, (torch.zeros(0, FEATURES), torch.zeros(0)), placed)
    with torch.no_grad():
        assert np.allclose(tower.place(torch.eye(3, FEATURES)).numpy(), placed, atol=1e-5)
