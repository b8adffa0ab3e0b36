"""Groups of taxa above the species, and which of them explains what is heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gallery.taxon import RANKS, Taxon

GROUP_RANKS = RANKS[-2:0:-1]  # above the species, deepest first; a kingdom alone says nothing worth telling


@dataclass(frozen=True, eq=False)
class RankGroups:
    """The names at one rank, and what belongs to each.

    Attributes
    ----------
    taxon_rank : str
    paths : tuple of tuple of str
        Of each name, from the kingdom down, in alphabetical order; namesakes in different families are different.
    members : numpy.ndarray
        [genera], place in `paths` of the genera of `Groups`; len(paths) for those whose name at this rank is unknown.
    shares : numpy.ndarray
        [paths], share of the taxa that each name has.
    """

    taxon_rank: str
    paths: tuple[tuple[str, ...], ...]
    members: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True, eq=False)
class Group:
    """A group that explains what is heard.

    Attributes
    ----------
    taxon_rank : str
    path : tuple of str
        From the kingdom down.
    probability : float
        Sum of those of its taxa.
    members : numpy.ndarray
        [n_taxa] bool
    """

    taxon_rank: str
    path: tuple[str, ...]
    probability: float
    members: np.ndarray


class Groups:
    """The groups of taxa at each rank above the species.

    Probabilities are added up by genus, those of genera by family and so on: only the first step goes through all taxa.

    Parameters
    ----------
    taxa : sequence of Taxon

    Attributes
    ----------
    ranks : tuple of RankGroups
        Deepest first.
    """

    def __init__(self, taxa: Sequence[Taxon]) -> None:
        genera = {path: place for place, path in enumerate(dict.fromkeys(taxon.path(GROUP_RANKS[0]) for taxon in taxa))}
        self._genus_of = np.array([genera[taxon.path(GROUP_RANKS[0])] for taxon in taxa], np.int64)
        counts = np.bincount(self._genus_of, minlength=len(genera))
        first = [taxa[row] for row in np.unique(self._genus_of, return_index=True)[1].tolist()]
        self.ranks = tuple(_at_rank(first, counts, taxon_rank) for taxon_rank in GROUP_RANKS)

    def deepest(self, shares: np.ndarray, detected: Sequence[int], floor: float, evidence: float) -> Group | None:
        """The deepest group that is likely enough, without those that a species that is heard already explains.

        Parameters
        ----------
        shares : numpy.ndarray
            [n_taxa], probabilities that sum to at most 1.
        detected : sequence of int
            Rows of the species that are heard.
        floor, evidence : float
            As of `gallery.parameters.DecisionParameters`.
        """
        of_genera = np.bincount(self._genus_of, weights=shares)
        explained = self._genus_of[list(detected)]
        for groups in self.ranks:
            if not groups.paths:
                continue
            masses = np.bincount(groups.members, weights=of_genera, minlength=len(groups.paths) + 1)
            masses[groups.members[explained]] = 0.0
            best = int(masses[:-1].argmax())
            mass, usual = float(masses[best]), float(groups.shares[best])
            if mass >= floor and mass * (1.0 - usual) >= evidence * usual * (1.0 - mass):
                members = (groups.members == best)[self._genus_of]
                return Group(groups.taxon_rank, groups.paths[best], min(1.0, mass), members)
        return None


def _at_rank(genera: Sequence[Taxon], counts: np.ndarray, taxon_rank: str) -> RankGroups:
    """Groups of genera, given by one taxon of each and the number of their taxa."""
    paths = [taxon.path(taxon_rank) for taxon in genera]
    known = sorted({path for path in paths if path[-1]})
    place = {path: number for number, path in enumerate(known)}
    members = np.array([place.get(path, len(known)) for path in paths], dtype=np.int64)
    shares = np.bincount(members, weights=counts, minlength=len(known) + 1)[:-1] / max(1, int(counts.sum()))
    return RankGroups(taxon_rank, tuple(known), members, shares)
