"""The index of a gallery: the mean direction of each taxon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gallery.entry import MODALITIES, Entry
from gallery.errors import GalleryError
from gallery.names_table import NamesTable
from gallery.parameters import DecisionParameters
from gallery.store import Gallery
from gallery.taxon import Names, Taxon

MIN_MEAN_LENGTH = 1e-6  # a mean shorter than this has no direction: its vectors cancel each other out


@dataclass(frozen=True, eq=False)
class ClassVectors:
    """Rows of a classifier's last layer, for the taxa that have one; a logit is ``weights @ window + bias``.

    Attributes
    ----------
    rows : numpy.ndarray
        [m] int64, ascending: places of their taxa.
    weights : numpy.ndarray
        [m, dim] float32, of any length.
    bias : numpy.ndarray
        [m] float32
    mean : tuple of numpy.ndarray and float
        [dim] and bias: the mean row of the whole classifier, which these may be a part of; of these when not given.
    """

    rows: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    mean: tuple[np.ndarray, float] = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.mean is None:
            object.__setattr__(self, "mean", (self.weights.mean(axis=0), float(self.bias.mean())))

    def of(self, taxa: np.ndarray) -> ClassVectors | None:
        """Those of some taxa, given as ascending rows [n], whose places in it become the new rows; None if none."""
        place = np.searchsorted(taxa, self.rows)
        kept = (place < len(taxa)) & (taxa[np.minimum(place, len(taxa) - 1)] == self.rows)
        if kept.all() and len(kept):
            return ClassVectors(place, self.weights, self.bias, self.mean)  # megabytes that need not be there twice
        return ClassVectors(place[kept], self.weights[kept], self.bias[kept], self.mean) if kept.any() else None


class Index:
    """The taxa of a gallery, each with the mean direction of its vectors of each modality, and with its class vector.

    Attributes
    ----------
    taxa : list[Taxon]
        The rows of all arrays.
    modalities : tuple[str, ...]
        Those of which at least one taxon has an entry.
    dim : int
        Numbers in a vector.
    centroids : dict[str, numpy.ndarray]
        Modality to [n_taxa, dim] float32, unit length; a zero row where the taxon has none. Without class vectors.
    present : dict[str, numpy.ndarray]
        Modality to [n_taxa] bool: which rows of `centroids` are there.
    lengths : dict[str, numpy.ndarray]
        Modality to [n_taxa] float32: of the sum of a taxon's vectors, as long as there are entries if they all agree.
    counts : dict[str, numpy.ndarray]
        Modality to [n_taxa] float32: number of a taxon's entries.
    class_vectors : ClassVectors or None
    """

    def __init__(
        self,
        taxa: Iterable[Taxon],
        centroids: Mapping[str, np.ndarray],
        class_vectors: ClassVectors | None = None,
        lengths: Mapping[str, np.ndarray] | None = None,
        counts: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Index of ready arrays; `of` and `of_entries` make them.

        Parameters
        ----------
        taxa : iterable of Taxon
        centroids : mapping
            Modality to [n_taxa, dim]; rows are scaled to unit length, and a row of zeros means that the taxon has none.
        class_vectors : ClassVectors, optional
        lengths : mapping, optional
            Modality to [n_taxa], of the sums that were scaled to unit length before: the rows are then taken as they
            are. Those of the given rows when None.
        counts : mapping, optional
            Modality to [n_taxa], entries of each taxon; as many as the sum is long when None.

        Raises
        ------
        GalleryError
            There is no modality, or an array does not fit the taxa or the others.
        """
        self.taxa = list(taxa)
        arrays = [*centroids.values(), *([class_vectors.weights] if class_vectors else [])]
        if not arrays:
            raise GalleryError("an index needs vectors of at least one modality", "add entries to the gallery")
        self.dim = arrays[0].shape[-1]
        self.class_vectors = class_vectors
        self.centroids: dict[str, np.ndarray] = {}
        self.present: dict[str, np.ndarray] = {}
        self.lengths: dict[str, np.ndarray] = {}
        self.counts: dict[str, np.ndarray] = {}
        for modality, vectors in centroids.items():
            if vectors.shape != (len(self.taxa), self.dim):
                raise GalleryError(
                    f"{modality} vectors of shape {list(vectors.shape)} do not fit {len(self.taxa)} taxa",
                    f"give an array of shape [{len(self.taxa)}, {self.dim}]",
                )
            if lengths is None:
                self.lengths[modality], self.centroids[modality] = _directions(np.array(vectors, np.float32))
            else:
                self.lengths[modality], self.centroids[modality] = lengths[modality], vectors
            self.present[modality] = self.lengths[modality] > MIN_MEAN_LENGTH
            self.counts[modality] = self.lengths[modality] if counts is None else counts[modality]
        self.modalities = tuple(
            modality
            for modality in MODALITIES
            if (modality in self.present and self.present[modality].any())
            or (modality == "audio" and class_vectors is not None)
        )

    @classmethod
    def of(cls, gallery: Gallery, parameters: DecisionParameters | None = None) -> Index:
        """Index of a gallery. It holds the means only.

        Parameters
        ----------
        gallery : Gallery
        parameters : DecisionParameters, optional
            Those it will be used with. Entries that have no weight beside a class vector by them are then not read: a
            gallery of 6,500 classes has as many names.

        Raises
        ------
        GalleryError
            The gallery has no vectors.
        """
        taxa = gallery.taxa()
        centroids, lengths, counts = {}, {}, {}
        for modality in MODALITIES:
            beside_class = parameters is None or parameters.beside_class.get(modality, 0.0) > 0
            sums = gallery.sums(modality, beside_class)
            if sums is None:
                continue
            counts[modality] = _at(sums.rows, sums.counts.astype(np.float32), len(taxa))
            length, directions = _directions(sums.totals)
            lengths[modality] = _at(sums.rows, length, len(taxa))
            centroids[modality] = _at(sums.rows, directions, len(taxa))
        class_vectors = _joined(gallery.class_vectors())
        if not centroids and class_vectors is None:
            raise GalleryError(f"gallery {gallery.path} has no vectors", "add a species to it")
        return cls(taxa, centroids, class_vectors, lengths, counts)

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
        counts: dict[str, np.ndarray] = {}
        classes: dict[int, tuple[np.ndarray, float, float | None]] = {}
        dim = next((len(entry.vector) for entry in entries if entry.vector is not None), 0)
        for entry in entries:
            reason = entry.defect(dim) or ("" if entry.scientific_name in row_of else "taxon is not in the list")
            if reason:
                raise GalleryError(f"{entry.scientific_name}, {entry.label}: {reason}", "leave this entry out")
            if entry.vector is None:
                continue
            row = row_of[entry.scientific_name]
            if entry.logit_scale is not None:
                classes[row] = (entry.vector, entry.logit_scale, entry.logit_bias)
                continue
            total = totals.setdefault(entry.modality, np.zeros((len(taxa), dim), np.float32))
            total[row] += entry.vector
            counts.setdefault(entry.modality, np.zeros(len(taxa), np.float32))[row] += 1
        class_vectors = _joined(
            (np.array([row]), vector[None], np.array([scale]), np.array([bias]))
            for row, (vector, scale, bias) in sorted(classes.items())
        )
        return cls(taxa, totals, class_vectors, counts=counts)

    def only(self, names: Sequence[str], table: NamesTable | None = None) -> Index:
        """Index of the taxa at or below the named ones.

        Parameters
        ----------
        names : sequence of str
            Any rank, a synonym or a common name: ``"Aves"``, ``"Parus"``, ``"Parus major"``, ``"Great Tit"``. A name
            that stands in several places of the tree (a genus of animals and of plants) keeps all of them.
        table : NamesTable, optional
            Common names in more languages.

        Raises
        ------
        TaxonError
            A name is not known, or is a common name of several taxa.
        GalleryError
            None of the taxa kept has a vector.
        """
        known = Names(self.taxa, table)
        rows = np.array(sorted({row for name in names for row in known.rows(name)}), np.int64)
        kept = Index(
            [self.taxa[row] for row in rows],
            {modality: vectors[rows] for modality, vectors in self.centroids.items()},
            self.class_vectors.of(rows) if self.class_vectors else None,
            {modality: length[rows] for modality, length in self.lengths.items()},
            {modality: count[rows] for modality, count in self.counts.items()},
        )
        if not kept.modalities:
            raise GalleryError(f"the gallery has no vectors of {', '.join(names)}", "add photos or recordings of it")
        return kept


def _directions(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths [n] of sums [n, dim] float32, and the sums scaled to unit length in place; zeros where there is none."""
    lengths = np.sqrt(np.einsum("ij,ij->i", sums, sums))
    found = lengths > MIN_MEAN_LENGTH
    np.multiply(sums, (1.0 / np.where(found, lengths, 1.0))[:, None], out=sums)
    if not found.all():
        sums[~found] = 0.0
    return lengths, sums


def _at(rows: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Values of some rows in an array of all [n, ...], zeros elsewhere: they take no memory until they are changed."""
    if len(rows) == n:
        return values
    whole = np.zeros((n, *values.shape[1:]), values.dtype)
    whole[rows] = values
    return whole


def _joined(pieces: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> ClassVectors | None:
    """Class vectors as `gallery.store.Gallery.class_vectors` gives them, in one piece."""
    found = list(pieces)
    if not found:
        return None
    rows, vectors, scales, biases = (np.concatenate(part) for part in zip(*found, strict=True))
    vectors *= scales[:, None].astype(np.float32)  # in place: some 25 MB
    return ClassVectors(rows, vectors, biases.astype(np.float32))
