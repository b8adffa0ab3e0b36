"""What can be named: the taxa of an index with the directions in the space that speak for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gallery.errors import GalleryError
from gallery.parameters import DecisionParameters
from gallery.search import Index
from gallery.taxon import RANKS, Taxon

GROUP_RANKS = RANKS[-2:0:-1]  # above the species, deepest first; a kingdom alone says nothing worth telling


@dataclass(frozen=True, eq=False)
class RankGroups:
    """The names at one rank, and to which of them each taxon belongs.

    Attributes
    ----------
    taxon_rank : str
    paths : tuple of tuple of str
        Of each name, from the kingdom down, in alphabetical order; namesakes in different families are different.
    members : numpy.ndarray
        [n_taxa], place in `paths`; len(paths) for a taxon whose name at this rank is unknown.
    shares : numpy.ndarray
        [paths], share of the taxa that each name has.
    """

    taxon_rank: str
    paths: tuple[tuple[str, ...], ...]
    members: np.ndarray
    shares: np.ndarray


class Vocabulary:
    """The taxa that windows are compared with, and how.

    Parameters
    ----------
    index : Index
    parameters : DecisionParameters
    modalities : sequence of str, optional
        Those of the index that count; all that have a weight when not given. Taxa without an entry of them cannot be
        named and are left out.

    Attributes
    ----------
    taxa : tuple of Taxon
    modalities : tuple of str
    parameters : DecisionParameters
    directions : numpy.ndarray
        [n_taxa, dim]: ``sum_m w_m scale_m centroid_m / sum_m w_m`` over the modalities m that the taxon has, so that a
        logit is one product with the window's vector.
    bias : numpy.ndarray
        [n_taxa]: ``sum_m w_m bias_m / sum_m w_m``.

    Raises
    ------
    GalleryError
        There are no entries or no parameters of a modality, or no taxon is left.
    """

    def __init__(self, index: Index, parameters: DecisionParameters, modalities: Sequence[str] | None = None) -> None:
        self.parameters = parameters
        self.modalities = _checked(index, parameters, modalities)
        has = np.any([index.present[modality] for modality in self.modalities], axis=0)
        rows = np.flatnonzero(has)
        self.taxa: tuple[Taxon, ...] = tuple(index.taxa[row] for row in rows)
        present = {m: index.present[m][rows] for m in self.modalities}
        self._centroids = {m: index.centroids[m][rows] for m in self.modalities}
        weights = {m: parameters.weight[m] * present[m] for m in self.modalities}
        total = np.sum(list(weights.values()), axis=0)
        if not (total > 0).all():  # only modalities of no weight: all of them alike
            weights = {m: np.where(total > 0, weights[m], present[m]) for m in self.modalities}
            total = np.sum(list(weights.values()), axis=0)
        self._shares = {m: (weights[m] / total).astype(np.float32) for m in self.modalities}
        self.directions = np.zeros((len(rows), index.dim), np.float32)
        self.bias = np.zeros(len(rows))
        for modality, share in self._shares.items():
            self.directions += (share * parameters.scale[modality])[:, None] * self._centroids[modality]
            self.bias += share * parameters.bias[modality]

    def __len__(self) -> int:
        return len(self.taxa)

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """Logit of every taxon: [n, dim] unit vectors -> [n, n_taxa].

        Raises
        ------
        GalleryError
            The vectors are of another dim or not finite.
        """
        vectors = np.asarray(vectors, np.float32)
        dim = self.directions.shape[1]
        if vectors.ndim != 2 or vectors.shape[1] != dim:
            raise GalleryError(
                f"vectors of shape {list(vectors.shape)} cannot be compared with a gallery of dim {dim}",
                "use the encoders that made the gallery",
            )
        if not np.isfinite(vectors).all():
            raise GalleryError("an encoder gave numbers that are not finite", "check the encoder with this input")
        return vectors @ self.directions.T + self.bias

    def unit_direction(self, row: int) -> np.ndarray:
        """[dim] of unit length: where sound of a taxon points."""
        direction = self.directions[row]
        return direction / max(float(np.linalg.norm(direction)), 1e-12)

    def similarity(self, vector: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        """Cosine to show beside a confidence, [rows]: the weighted mean over the modalities that the taxon has."""
        at = list(rows)
        shown = np.zeros(len(at), np.float32)
        for modality, share in self._shares.items():
            shown += share[at] * (self._centroids[modality][at] @ vector)
        return shown

    @cached_property
    def groups(self) -> tuple[RankGroups, ...]:
        """Groups of taxa at each rank above the species, deepest first."""
        return tuple(_groups(self.taxa, taxon_rank) for taxon_rank in GROUP_RANKS)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Scientific name to row."""
        return {taxon.scientific_name: row for row, taxon in enumerate(self.taxa)}


def _groups(taxa: Sequence[Taxon], taxon_rank: str) -> RankGroups:
    paths = [taxon.path(taxon_rank) for taxon in taxa]
    known = sorted({path for path in paths if path[-1]})
    place = {path: number for number, path in enumerate(known)}
    members = np.array([place.get(path, len(known)) for path in paths], dtype=np.int64)
    shares = np.bincount(members, minlength=len(known) + 1)[:-1] / max(1, len(taxa))
    return RankGroups(taxon_rank, tuple(known), members, shares)


def _checked(index: Index, parameters: DecisionParameters, modalities: Sequence[str] | None) -> tuple[str, ...]:
    if modalities is None:
        asked = tuple(m for m in index.kinds if parameters.weight.get(m, 0.0) > 0)
    else:
        asked = tuple(dict.fromkeys(modalities))
    for modality in asked:
        if modality not in index.kinds:
            raise GalleryError(f"no taxon has entries of modality '{modality}'", f"use {' or '.join(index.kinds)}")
        if modality not in parameters.scale:
            raise GalleryError(
                f"no decision parameters for entries of modality '{modality}'", f"use {' or '.join(parameters.scale)}"
            )
    if not asked:
        raise GalleryError("no modality of entries to decide by", f"use {' or '.join(index.kinds)}")
    return asked
