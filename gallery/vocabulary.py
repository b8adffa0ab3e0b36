"""What can be named: the taxa of an index with the directions in the space that speak for each of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gallery.entry import UNIT_TOLERANCE
from gallery.errors import GalleryError
from gallery.latest import Latest
from gallery.parameters import DecisionParameters
from gallery.reviewed import Change, Reviewed
from gallery.search import ClassVectors, Index
from gallery.taxon import RANKS, Taxon

ROWS_AT_ONCE = 1024
FEW = 32  # vectors for which a product is faster the other way round
KEPT_BYTES, LEAST_KEPT = 16_000_000, 16  # of taxa whose products with all others are remembered
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
    reviewed : Reviewed, optional
        Sounds that people have reviewed. They count where recordings do.

    Attributes
    ----------
    taxa : tuple of Taxon
    modalities : tuple of str
    parameters : DecisionParameters
    directions : numpy.ndarray
        [m, dim]: ``sum_m w_m scale_m centroid_m / sum_m w_m`` over the modalities m of the taxa that have entries of
        weight, so that their part of a logit is one product with the window's unit vector.
    bias : numpy.ndarray
        [n_taxa]: ``sum_m w_m bias_m / sum_m w_m`` over what a taxon has, its modalities m and its class vector, whose
        own bias counts and whose weight is 1.
    reviewed : Reviewed or None
        May be replaced at any time, from any thread.

    Raises
    ------
    GalleryError
        There are no entries or no parameters of a modality, or no taxon is left.
    """

    def __init__(
        self,
        index: Index,
        parameters: DecisionParameters,
        modalities: Sequence[str] | None = None,
        reviewed: Reviewed | None = None,
    ) -> None:
        self.parameters = parameters
        self.reviewed = reviewed
        self._by_sound = (modalities is None or "audio" in modalities) and "audio" in parameters.scale
        self.modalities = _checked(index, parameters, modalities)
        of_entries = [modality for modality in self.modalities if modality in index.present]
        classes = index.class_vectors if "audio" in self.modalities else None
        of_class = np.zeros(len(index.taxa), bool)
        if classes is not None:
            of_class[classes.rows] = True
        rows = np.flatnonzero(np.any([of_class, *(index.present[m] for m in of_entries)], axis=0))
        self.taxa: tuple[Taxon, ...] = tuple([index.taxa[row] for row in rows.tolist()])
        self._class = classes.of(rows) if classes is not None else None
        shares, self._class_share = _shares({m: index.present[m][rows] for m in of_entries}, of_class[rows], parameters)
        self.bias = np.zeros(len(rows))
        for modality, share in shares.items():
            self.bias += share * parameters.bias[modality]
        if self._class is not None:
            self.bias[self._class.rows] += self._class_share[self._class.rows] * self._class.bias
        # Only what counts: a gallery of 6,500 class vectors may have as many names that say nothing beside them.
        self._rows = np.flatnonzero(np.any([share > 0 for share in shares.values()], axis=0)) if shares else rows[:0]
        self._shares = {m: share[self._rows] for m, share in shares.items()}
        self._centroids = {m: _those(index.centroids[m], rows[self._rows]) for m in shares}
        self.directions = _weighted(
            [(share * parameters.scale[m], self._centroids[m]) for m, share in self._shares.items()], index.dim
        )
        if self._class is not None and "audio" in shares:
            at = rows[self._rows]
            self._beside_class(self._class, index.lengths["audio"][at], index.counts["audio"][at])
        self.dim = index.dim
        self._quality = classes.mean if classes is not None else None
        self._recorded = self._rows[self._shares["audio"] > 0] if "audio" in self._shares else rows[:0]
        heard = index.present["audio"][rows] if "audio" in of_entries else np.zeros(len(rows), bool)
        self._alone = ~(heard | of_class[rows])
        self._shifts = Latest[_Shift](max(LEAST_KEPT, KEPT_BYTES // (4 * max(1, len(rows)))))

    def _beside_class(self, classes: ClassVectors, lengths: np.ndarray, counts: np.ndarray) -> None:
        """Have recordings of taxa with a class vector count as the parameters say.

        The class vectors' directions are counted as so many more recordings. In a whitened space a linear classifier's
        row points where the mean of its class lies (Fisher's discriminant), so a mean of few recordings is shrunk
        towards it.
        """
        parameters, own, share = self.parameters, self._centroids["audio"], self._shares["audio"]
        place = np.minimum(np.searchsorted(classes.rows, self._rows), len(classes.rows) - 1)
        both = np.flatnonzero((classes.rows[place] == self._rows) & (lengths > 0))
        entries = parameters.class_entries
        sums = own[both] * lengths[both, None] + entries * unit(classes.weights[place[both]])
        share, drawn = share[both, None], unit(sums)
        self._centroids["audio"] = own.copy()
        self._centroids["audio"][both] = drawn
        self.directions[both] -= share * parameters.scale["audio"] * own[both]
        if parameters.class_scale == 0:
            self.directions[both] += share * parameters.scale["audio"] * drawn
            return
        means = sums / (counts[both, None] + entries)
        self.directions[both] += share * parameters.class_scale * means
        constant = parameters.class_bias + parameters.class_count * np.log1p(counts[both])
        constant -= parameters.class_scale * np.square(means).sum(axis=1) / 2
        self.bias[self._rows[both]] += share[:, 0] * (constant - parameters.bias["audio"])

    def __len__(self) -> int:
        return len(self.taxa)

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """Logit of every taxon: [n, dim] as an encoder gives them -> [n, n_taxa], of float32 or float64.

        The direction of a vector is compared with entries; its length counts for class vectors alone.

        Raises
        ------
        GalleryError
            The vectors are of another dim or not finite.
        """
        vectors = np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise GalleryError(
                f"vectors of shape {list(vectors.shape)} cannot be compared with a gallery of dim {self.dim}",
                "use the encoders that made the gallery",
            )
        if not np.isfinite(vectors).all():
            raise GalleryError("an encoder gave numbers that are not finite", "check the encoder with this input")
        logits: np.ndarray
        if len(self._rows) == len(self.taxa):  # at full size it is the adding up that takes long
            logits = np.add(_products(unit(vectors), self.directions), self.bias32, order="C")
        else:
            logits = np.repeat(self.bias[None], len(vectors), axis=0)
            if len(self._rows):
                logits[:, self._rows] += _products(unit(vectors), self.directions)
        if len(self._recorded) and self._quality is not None:
            logits[:, self._recorded] += self.quality(vectors)[:, None]
        if self._class is None:
            return logits
        # Not the weights times their shares, once: that would be a second copy of the largest thing in memory.
        of_class = _products(vectors, self._class.weights)
        logits[:, self._class.rows] += of_class * self._class_share[self._class.rows]
        # Entries lower a class vector by so much at most.
        weighed = np.flatnonzero(self._class_share[self._class.rows] < 1)
        if len(weighed):
            at = self._class.rows[weighed]
            least = of_class[:, weighed] + self._class.bias[weighed] - self.parameters.class_lowered
            logits[:, at] = np.maximum(logits[:, at], least)
        return logits

    def quality(self, vectors: np.ndarray) -> np.ndarray:
        """What the quality of windows [n, dim] adds to the logits of taxa with recordings, [n]; see the parameters."""
        if self._quality is None:
            return np.zeros(len(vectors))
        parameters, (weights, bias) = self.parameters, self._quality
        means, lengths = vectors @ weights + bias, np.linalg.norm(vectors, axis=1)
        return np.asarray(
            parameters.quality_mean * means + parameters.quality_length * lengths + parameters.quality_bias
        )

    def shifts(self, rows: Collection[int]) -> None:
        """Work out what `shift` will be asked for, in one product for all of the taxa of these rows."""
        missing = [row for row in rows if self._shifts.get(row) is None]
        if missing:
            units = np.stack([self.unit_direction(row) for row in missing])
            of_entries = _products(units, self.directions) if len(self._rows) else [None] * len(missing)
            of_class = [None] * len(missing) if self._class is None else _products(units, self._class.weights)
            for row, direction, entries, classes in zip(missing, units, of_entries, of_class):
                entries, classes = (None if one is None else one.copy() for one in (entries, classes))
                self._shifts.put(row, (direction.astype(np.float64), entries, classes))

    def shift(self, row: int, length: float) -> tuple[np.ndarray, np.ndarray]:
        """Where sound of a taxon points [dim], and what a unit of it in a window adds to every logit [n_taxa].

        Parameters
        ----------
        row : int
        length : float
            Of the window's vector, as its encoder gives it; it counts for class vectors alone.
        """
        while (known := self._shifts.get(row)) is None:  # for as long as other threads put theirs in its place
            self.shifts([row])
        direction, of_entries, of_class = known
        if of_class is None and of_entries is not None and len(of_entries) == len(self):
            return direction, of_entries
        shift = np.zeros(len(self), np.float32)
        if of_class is not None and self._class is not None:
            shift[self._class.rows] += length * of_class * self._class_share[self._class.rows]
        if of_entries is not None:
            shift[self._rows] += of_entries
        return direction, shift

    def unit_direction(self, row: int) -> np.ndarray:
        """[dim] of unit length: where sound of a taxon points."""
        direction = np.zeros(self.dim, np.float32)
        place = int(np.searchsorted(self._rows, row))
        if place < len(self._rows) and self._rows[place] == row:
            direction += self.directions[place]
        else:
            direction += self._class_direction(row)
        return unit_of(direction)

    def similarity(self, vector: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        """Cosine to show beside a confidence, [rows]: the weighted mean over what the taxon has."""
        heard, at = unit_of(np.asarray(vector, np.float32)), np.asarray(rows, np.int64)
        shown = np.zeros(len(at), np.float32)
        if len(self._rows):
            place = np.minimum(np.searchsorted(self._rows, at), len(self._rows) - 1)
            has = np.flatnonzero(self._rows[place] == at)
            for modality, share in self._shares.items():
                shown[has] += share[place[has]] * (self._centroids[modality][place[has]] @ heard)
        if self._class is not None:
            has = np.flatnonzero(self._class_share[at] > 0)
            place = np.searchsorted(self._class.rows, at[has])
            cosines = (self._class.weights[place] @ heard) / self._class_lengths[place]
            shown[has] += self._class_share[at[has]] * cosines
        return shown

    @cached_property
    def _class_lengths(self) -> np.ndarray:
        """Lengths of the class vectors, [m]."""
        assert self._class is not None  # else nobody asks
        return np.linalg.norm(self._class.weights, axis=1)

    def _class_direction(self, row: int) -> np.ndarray:
        assert self._class is not None  # else the taxon would have no share of anything
        return self._class.weights[int(np.searchsorted(self._class.rows, row))]

    def changes(self, direction: np.ndarray) -> dict[int, Change]:
        """What reviews change in a window whose vector has this direction [dim], by row of the taxon."""
        reviewed = self.reviewed if self._by_sound else None
        return {} if reviewed is None else reviewed.changes(direction, self.rows, self._alone, self.parameters)

    def change_of_group(self, direction: np.ndarray, taxon_rank: str, scientific_name: str) -> Change | None:
        """What reviews change in a window for a group above the species; None where they change nothing."""
        reviewed = self.reviewed if self._by_sound else None
        if reviewed is None:
            return None
        return reviewed.change_of_group(direction, taxon_rank, scientific_name, self.parameters)

    @cached_property
    def groups(self) -> tuple[RankGroups, ...]:
        """Groups of taxa at each rank above the species, deepest first."""
        return tuple(_groups(self.taxa, taxon_rank) for taxon_rank in GROUP_RANKS)

    @cached_property
    def bias32(self) -> np.ndarray:
        """`bias` as float32."""
        return self.bias.astype(np.float32)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Scientific name to row."""
        return {taxon.scientific_name: row for row, taxon in enumerate(self.taxa)}


# Direction [dim], products with those of entries [n_rows] and of class vectors [n_classes].
_Shift = tuple[np.ndarray, "np.ndarray | None", "np.ndarray | None"]


def _groups(taxa: Sequence[Taxon], taxon_rank: str) -> RankGroups:
    paths = [taxon.path(taxon_rank) for taxon in taxa]
    known = sorted({path for path in paths if path[-1]})
    place = {path: number for number, path in enumerate(known)}
    members = np.array([place.get(path, len(known)) for path in paths], dtype=np.int64)
    shares = np.bincount(members, minlength=len(known) + 1)[:-1] / max(1, len(taxa))
    return RankGroups(taxon_rank, tuple(known), members, shares)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, dim] at unit length; those of an encoder that gives unit vectors stay as they are, and zeros too."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where((np.abs(lengths - 1.0) <= UNIT_TOLERANCE) | (lengths == 0.0), 1.0, lengths)


def unit_of(vector: np.ndarray) -> np.ndarray:
    """The same of one [dim]."""
    length = math.sqrt(float(vector @ vector))
    return vector if abs(length - 1.0) <= UNIT_TOLERANCE or length == 0.0 else vector / length


def _products(vectors: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Products [n, m] of vectors [n, dim] with directions [m, dim], in the order that takes BLAS the least time."""
    return vectors @ directions.T if len(vectors) > FEW else (directions @ vectors.T).T


def _those(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of an array, given as ascending numbers; the array itself where these are all, as it is large."""
    return array if len(rows) == len(array) else array[rows]


def _weighted(parts: Sequence[tuple[np.ndarray, np.ndarray]], dim: int) -> np.ndarray:
    """Sum [n, dim] of arrays [n, dim], each times its weights [n], some rows at a time, as the arrays are large."""
    if not parts:
        return np.zeros((0, dim), np.float32)
    total = np.empty(parts[0][1].shape, np.float32)
    for at in range(0, len(total), ROWS_AT_ONCE):
        some = slice(at, at + ROWS_AT_ONCE)
        (weights, array), *others = parts
        np.multiply(array[some], weights[some, None], out=total[some])
        for weights, array in others:
            total[some] += weights[some, None] * array[some]
    return total


def _shares(
    present: dict[str, np.ndarray], of_class: np.ndarray, parameters: DecisionParameters
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Shares of the modalities in each taxon and of its class vector, [n_taxa] float32; those of a taxon sum to 1."""
    weights = {
        m: np.where(of_class, parameters.beside_class.get(m, 0.0), parameters.weight[m]) * has
        for m, has in present.items()
    }
    total = np.sum([*weights.values(), of_class], axis=0)
    if not (total > 0).all():  # only modalities of no weight: all of them alike
        weights = {m: np.where(total > 0, weights[m], has) for m, has in present.items()}
        total = np.sum([*weights.values(), of_class], axis=0)
    return {m: (weight / total).astype(np.float32) for m, weight in weights.items()}, (of_class / total).astype(
        np.float32
    )


def _checked(index: Index, parameters: DecisionParameters, modalities: Sequence[str] | None) -> tuple[str, ...]:
    if modalities is None:
        asked = tuple(m for m in index.modalities if parameters.weight.get(m, 0.0) > 0)
    else:
        asked = tuple(dict.fromkeys(modalities))
    for modality in asked:
        if modality not in index.modalities:
            raise GalleryError(f"no taxon has entries of modality '{modality}'", f"use {' or '.join(index.modalities)}")
        if modality not in parameters.scale:
            raise GalleryError(
                f"no decision parameters for entries of modality '{modality}'", f"use {' or '.join(parameters.scale)}"
            )
    if not asked:
        raise GalleryError("no modality of entries to match", f"use {' or '.join(index.modalities)}")
    return asked
