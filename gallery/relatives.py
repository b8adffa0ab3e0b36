"""The nearest relatives of a taxon that have photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gallery.centroids import sums_of_taxa
from gallery.store import Gallery
from gallery.taxon import RANKS, Taxon

RELATED_RANKS = ("genus", "family", "order")  # a member of the same class may look like anything
KEPT_TAXA = 500  # whose mean vectors are remembered

_Means = Mapping[str, np.ndarray]


class Relatives:
    """Taxa of a gallery with photos, read once, and how similar they are to others.

    Parameters
    ----------
    gallery : Gallery
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._below: dict[tuple[str, ...], list[int]] | None = None
        self._means: dict[int, _Means] = {}

    def nearest(self, id: int, taxon: Taxon, n: int) -> tuple[list[int], str]:
        """Relatives of the lowest shared rank that has any, those with the most similar names and sounds first.

        Parameters
        ----------
        id : int
            Row of the taxon.
        taxon : Taxon
        n : int
            At most so many.

        Returns
        -------
        tuple[list[int], str]
            Rows of taxa, and the rank; none and ``""`` without relatives.

        Raises
        ------
        GalleryError
            The gallery cannot be read.
        """
        for rank in RELATED_RANKS:
            if taxon.at(rank):
                found = [one for one in self._tree().get(taxon.path(rank), ()) if one != id]
                if found:
                    return self._by_similarity(id, found)[:n], rank
        return [], ""

    def _tree(self) -> dict[tuple[str, ...], list[int]]:
        """Taxa with photos by the whole path of their genus, family and order, as a genus may have a namesake."""
        if self._below is None:
            self._below = {}
            ranks = ", ".join(f'"{rank}"' for rank in RANKS[:-1])
            for row in self._gallery.rows(
                f"SELECT id, {ranks} FROM taxa WHERE id IN (SELECT taxon FROM entries WHERE modality = 'image')"
                " ORDER BY id"
            ):
                path = tuple(row[rank] for rank in RANKS[:-1])
                for rank in RELATED_RANKS:
                    self._below.setdefault(path[: RANKS.index(rank) + 1], []).append(row["id"])
        return self._below

    def _by_similarity(self, id: int, others: Sequence[int]) -> list[int]:
        """Taxa ordered by the cosine of their mean vectors with those of one, over the modalities that both have."""
        means = {one: self._means[one] for one in (id, *others) if one in self._means}
        means |= self._read([one for one in (id, *others) if one not in means])
        if len(self._means) + len(means) > KEPT_TAXA:
            self._means.clear()
        self._means.update({one: means[one] for one in others[:KEPT_TAXA]})

        def similarity(other: int) -> float:
            shared = [float(mean @ means[other][kind]) for kind, mean in means[id].items() if kind in means[other]]
            return sum(shared) / len(shared) if shared else -1.0

        return sorted(others, key=lambda other: -similarity(other))

    def _read(self, taxa: Sequence[int]) -> dict[int, _Means]:
        """Unit mean vectors of taxa, by modality; the class vector of a taxon is one of its sounds."""
        stored = self._gallery.stores_centroids
        return {
            one: {kind: unit for kind, total in of.items() if (unit := direction_of(total)) is not None}
            for one, of in self._gallery.read(sums_of_taxa, taxa, ("text", "audio"), stored).items()
        }


def direction_of(vector: np.ndarray | None) -> np.ndarray | None:
    """The unit vector of a vector; None of one without length."""
    if vector is None:
        return None
    length = float(np.linalg.norm(vector))
    return np.asarray(vector, np.float32) / length if np.isfinite(length) and length > 0 else None
