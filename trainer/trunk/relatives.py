"""Targets of photos: the class vector of a taxon, moved towards those of its relatives.

A photo network knows few of the taxa. A photo of another taxon resembles several of its relatives, so the target of
every taxon is moved a little towards the means of its genus, family and order. These means are of the taxa that the
network lacks: a photo that resembles one class stays nearest to it, and one that resembles several comes nearer to
their unknown relatives than to any of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gallery import Taxon
from trainer.data.rows import sums_of_taxa

RANKS = ("genus", "family", "order")
PULL = (0.3, 0.3, 0.2)  # weight of the mean of each rank, relative to a taxon's own vector
SHARE = (0.08, 0.08, 0.04)  # total share of the relatives at each rank in a target


class Relatives:
    """Groups of taxa at each rank of `RANKS`, and the directions of the means of those that a photo network lacks.

    Parameters
    ----------
    vectors : [taxa, dim] unit vectors
    known : taxa that are classes of the network
    """

    def __init__(self, taxa: Sequence[Taxon], vectors: np.ndarray, known: np.ndarray) -> None:
        self.vectors = vectors
        lacked = np.setdiff1d(np.arange(len(taxa)), known)
        self.group: dict[str, np.ndarray] = {}
        self.means: dict[str, np.ndarray] = {}
        self.sizes: dict[str, np.ndarray] = {}
        for rank in RANKS:
            of = [taxon.at(rank) or taxon.scientific_name for taxon in taxa]  # a taxon of unknown group is its own
            _, group = np.unique(of, return_inverse=True)
            sums = sums_of_taxa(vectors[lacked], group[lacked], int(group.max()) + 1)
            self.group[rank] = group
            self.means[rank] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
            self.sizes[rank] = np.bincount(group)

    def place(self, taxon: int) -> np.ndarray:
        """Vector [dim] of a taxon, moved towards its relatives."""
        pulled = sum(pull * self.means[rank][self.group[rank][taxon]] for rank, pull in zip(RANKS, PULL))
        return self.vectors[taxon] + pulled

    def targets(self, rows: np.ndarray) -> np.ndarray:
        """Targets [n, taxa] float32: mostly the taxon itself, with a share for its relatives at each rank."""
        targets = np.zeros((len(rows), len(self.vectors)), np.float32)
        for rank, share in zip(RANKS, SHARE):
            group = self.group[rank]
            near = group[rows][:, None] == group[None, :]
            targets += share * near / self.sizes[rank][group[rows]][:, None]
        targets[np.arange(len(rows)), rows] += 1.0 - sum(SHARE)
        return targets
