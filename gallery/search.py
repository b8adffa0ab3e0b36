"""The index of a gallery: the mean direction of each taxon, and the entries nearest to a vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gallery.entry import KINDS, EncoderIdentity, Entry
from gallery.errors import GalleryError
from gallery.store import Gallery
from gallery.taxon import Names, Taxon

MIN_MEAN_LENGTH = 1e-6  # a mean shorter than this has no direction: its vectors cancel each other out


@dataclass(frozen=True, eq=False)
class Neighbour:
    """An entry and its cosine with a query vector."""

    entry: Entry
    similarity: float


class Index:
    """The taxa of a gallery, each with the mean direction of its vectors of each kind.

    Attributes
    ----------
    taxa : list[Taxon]
        The rows of all arrays.
    kinds : tuple[str, ...]
        Kinds that at least one taxon has.
    dim : int
        Numbers in a vector.
    centroids : dict[str, numpy.ndarray]
        Kind to [n_taxa, dim] float32, unit length; a zero row where the taxon has none.
    present : dict[str, numpy.ndarray]
        Kind to [n_taxa] bool.
    """

    def __init__(
        self,
        taxa: Iterable[Taxon],
        centroids: Mapping[str, np.ndarray],
        entries_of: Callable[[str, str], list[Entry]] | None = None,
    ) -> None:
        """Index of ready arrays; `of` and `of_entries` make them.

        Parameters
        ----------
        taxa : iterable of Taxon
        centroids : mapping
            Kind to [n_taxa, dim]; rows are scaled to unit length, and a row of zeros means that the taxon has none.
        entries_of : callable, optional
            Kind and scientific name to entries, for `best_entries`.

        Raises
        ------
        GalleryError
            There is no kind, or an array does not fit the taxa or the others.
        """
        self.taxa = list(taxa)
        if not centroids:
            raise GalleryError("an index needs vectors of at least one kind", "add entries to the gallery")
        self.dim = next(iter(centroids.values())).shape[-1]
        self.centroids: dict[str, np.ndarray] = {}
        self.present: dict[str, np.ndarray] = {}
        for kind, vectors in centroids.items():
            if vectors.shape != (len(self.taxa), self.dim):
                raise GalleryError(
                    f"{kind} vectors of shape {list(vectors.shape)} do not fit {len(self.taxa)} taxa",
                    f"give an array of shape [{len(self.taxa)}, {self.dim}]",
                )
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            found = lengths > MIN_MEAN_LENGTH
            self.present[kind] = found[:, 0]
            self.centroids[kind] = np.divide(vectors, lengths, out=np.zeros(vectors.shape, np.float32), where=found)
        self.kinds = tuple(kind for kind, present in self.present.items() if present.any())
        self._entries_of = entries_of

    @classmethod
    def of(cls, gallery: Gallery) -> Index:
        """Index of a gallery. It holds the means only and needs the file again for `best_entries`.

        Raises
        ------
        GalleryError
            The gallery has no vectors.
        """
        taxa = gallery.taxa()
        centroids = {}
        for kind in KINDS:
            total = None
            for rows, vectors in gallery.vectors(kind):
                if total is None:
                    total = np.zeros((len(taxa), gallery.identity.dim), np.float32)
                starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])  # rows ascend: one run for each taxon
                total[rows[starts]] += np.add.reduceat(vectors, starts, axis=0)
            if total is not None:
                centroids[kind] = total
        if not centroids:
            raise GalleryError(f"gallery {gallery.path} has no vectors", "add a species to it")
        return cls(taxa, centroids, _FileEntries(gallery.path, gallery.identity))

    @classmethod
    def of_entries(cls, taxa: Sequence[Taxon], entries: Sequence[Entry]) -> Index:
        """Index of entries in memory, without a file; entries of other taxa are an error.

        Raises
        ------
        GalleryError
            There is no entry, or one cannot be used; the reason is given.
        """
        row_of = {taxon.scientific_name: row for row, taxon in enumerate(taxa)}
        totals: dict[str, np.ndarray] = {}
        for entry in entries:
            dim = len(entries[0].vector)
            reason = entry.defect(dim) or ("" if entry.scientific_name in row_of else "taxon is not in the list")
            if reason:
                raise GalleryError(f"{entry.scientific_name}, {entry.label}: {reason}", "leave this entry out")
            total = totals.setdefault(entry.kind, np.zeros((len(taxa), dim), np.float32))
            total[row_of[entry.scientific_name]] += entry.vector
        return cls(
            taxa, totals, lambda kind, name: [e for e in entries if e.kind == kind and e.scientific_name == name]
        )

    def only(self, names: Sequence[str]) -> Index:
        """Index of the taxa at or below the named ones.

        Parameters
        ----------
        names : sequence of str
            Any rank, a synonym or a common name: ``"Aves"``, ``"Parus"``, ``"Parus major"``, ``"Great Tit"``. A name
            that stands in several places of the tree (a genus of animals and of plants) keeps all of them.

        Raises
        ------
        TaxonError
            A name is not known, or is a common name of several taxa.
        GalleryError
            None of the taxa kept has a vector.
        """
        known = Names(self.taxa)
        rows = sorted({row for name in names for row in known.rows(name)})
        kept = Index(
            [self.taxa[row] for row in rows],
            {kind: vectors[rows] for kind, vectors in self.centroids.items()},
            self._entries_of,
        )
        if not kept.kinds:
            raise GalleryError(f"the gallery has no vectors of {', '.join(names)}", "add photos or recordings of it")
        return kept

    def best_entries(
        self, vector: np.ndarray, scientific_name: str, kind: str = "image", k: int = 3
    ) -> list[Neighbour]:
        """The `k` entries of one taxon nearest to `vector` [dim], nearest first: photos to check a decision against.

        Fewer when the taxon has fewer. Reads the gallery file, from any thread.

        Raises
        ------
        GalleryError
            The file is gone, or has been replaced by one of other encoders.
        """
        if self._entries_of is None:
            return []
        entries = self._entries_of(kind, scientific_name)
        if not entries:
            return []
        similarities = np.stack([entry.vector for entry in entries]) @ np.asarray(vector, dtype=np.float32)
        nearest = np.argsort(-similarities, kind="stable")[:k]
        return [Neighbour(entries[row], float(similarities[row])) for row in nearest]


@dataclass(frozen=True)
class _FileEntries:
    """Entries of one taxon, read anew: connections belong to a thread, and 100,000 photos need not be in memory."""

    path: Path
    identity: EncoderIdentity

    def __call__(self, kind: str, scientific_name: str) -> list[Entry]:
        with Gallery.open(self.path, self.identity) as gallery:
            return gallery.entries(kind, scientific_name)
