"""Groups above the species, and which of them explains what is heard, against adding up plainly."""

import numpy as np
import pytest

from gallery.groups import GROUP_RANKS, Groups


def plainly(taxa, shares, detected, floor, evidence):
    """Rank, path and probability of the deepest group, every group added up by itself."""
    for rank in GROUP_RANKS:
        masses, counts = {}, {}
        for row, taxon in enumerate(taxa):
            path = taxon.path(rank)
            if path[-1]:
                masses[path] = masses.get(path, 0.0) + shares[row]
                counts[path] = counts.get(path, 0) + 1
        for row in detected:
            if taxa[row].path(rank) in masses:
                masses[taxa[row].path(rank)] = 0.0
        best = max(sorted(masses), key=masses.get)
        usual = counts[best] / len(taxa)
        if masses[best] >= floor and masses[best] * (1 - usual) >= evidence * usual * (1 - masses[best]):
            return rank, best, masses[best]
    return None


def test_namesakes_in_different_families_are_different_groups(taxa):
    ranks = Groups(taxa).ranks
    [genera] = [groups for groups in ranks if groups.taxon_rank == "genus"]
    assert [path[-1] for path in genera.paths].count("Morus") == 2
    assert genera.shares.sum() == pytest.approx(1)
    assert {groups.taxon_rank for groups in ranks} == {"genus", "family", "order", "class", "phylum"}


def test_the_deepest_group_is_that_of_adding_up_plainly(taxa):
    rng, groups, found = np.random.default_rng(3), Groups(taxa), set()
    for _ in range(400):
        shares = rng.dirichlet(np.full(len(taxa) + 1, 0.4))[:-1]
        detected = rng.permutation(len(taxa))[: rng.integers(0, 3)].tolist()
        floor, evidence = rng.random(), rng.choice([0.0, 1.0])
        group, wanted = (
            groups.deepest(shares, detected, floor, evidence),
            plainly(taxa, shares, detected, floor, evidence),
        )
        if wanted is None:
            assert group is None
            continue
        rank, path, probability = wanted
        assert (group.taxon_rank, group.path, group.probability) == (rank, path, pytest.approx(probability))
        assert group.members.tolist() == [taxon.path(rank) == path for taxon in taxa]
        found.add(rank)
    assert found == {"genus", "order", "phylum"}
