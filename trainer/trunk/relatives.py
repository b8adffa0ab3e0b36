"""Where a taxon and its relatives sound: what a photo of it is pulled to.

A photo network knows few of the taxa. A photo of another one resembles its relatives most, so the place of every taxon
is drawn a little to the means of its genus, family and order: there the names of all relatives are near.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gallery import Taxon

RANKS = ("genus", "family", "order")
PULL = (0.3, 0.3, 0.2)  # of the means of each rank beside a taxon's own vector
SHARE = (0.08, 0.08, 0.04)  # of a target that the relatives at each rank have together


class Relatives:
    """Groups of taxa at each rank of `RANKS`, and the directions of their means.

    Parameters
    ----------
    vectors : [taxa, dim] unit vectors
    """

    def __init__(self, taxa: Sequence[Taxon], vectors: np.ndarray) -> None:
        self.vectors = vectors
        self.group: dict[str, np.ndarray] = {}
        self.means: dict[str, np.ndarray] = {}
        self.sizes: dict[str, np.ndarray] = {}
        for rank in RANKS:
            of = [taxon.at(rank) or taxon.scientific_name for taxon in taxa]  # of an unknown group, the taxon alone
            _, group = np.unique(of, return_inverse=True)
            sums = np.zeros((group.max() + 1, vectors.shape[1]), np.float32)
            np.add.at(sums, group, vectors)
            self.group[rank] = group
            self.means[rank] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
            self.sizes[rank] = np.bincount(group)

    def place(self, taxon: int) -> np.ndarray:
        """Vector [dim] of a taxon, drawn to its relatives."""
        drawn = sum(pull * self.means[rank][self.group[rank][taxon]] for rank, pull in zip(RANKS, PULL))
        return self.vectors[taxon] + drawn

    def targets(self, rows: np.ndarray) -> np.ndarray:
        """Targets [n, taxa] float32: most for the taxon itself, a share for its relatives at each rank."""
        targets = np.zeros((len(rows), len(self.vectors)), np.float32)
        for rank, share in zip(RANKS, SHARE):
            group = self.group[rank]
            near = group[rows][:, None] == group[None, :]
            targets += share * near / self.sizes[rank][group[rows]][:, None]
        targets[np.arange(len(rows)), rows] += 1.0 - sum(SHARE)
        return targets
