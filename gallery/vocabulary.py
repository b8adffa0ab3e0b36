"""What can be named: the taxa of an index with the directions in the space that speak for each of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gallery.errors import GalleryError
from gallery.groups import Groups
from gallery.latest import Latest
from gallery.parameters import PURSUIT, DecisionParameters
from gallery.products import Directions, products, unit, unit_of
from gallery.reviewed import Change, Reviewed
from gallery.rounded import ROWS_AT_ONCE, IntegerProducts
from gallery.search import ClassVectors, Index
from gallery.taxon import Taxon

KEPT_BYTES, LEAST_KEPT = 16_000_000, 16  # of taxa whose products with all others are remembered
MANY = 2000  # taxa from which a first look at all of them in 8 bits saves more than it costs
NEAR = 5.0  # below the likeliest taxon, or below nothing: a logit as low as that is worth 0.7 % of it
SHARE_COPIED = 0.1  # of the directions, from which copying them out takes longer than the product with all


@dataclass(frozen=True, eq=False)
class Shift:
    """What sound of a taxon adds to the logits of windows.

    Attributes
    ----------
    direction : numpy.ndarray
        [dim], of unit length: where sound of the taxon points.
    of_entries, of_class : numpy.ndarray or None
        [n_taxa], what a unit of it adds by entries and by class vectors; None without any.
    """

    direction: np.ndarray
    of_entries: np.ndarray | None
    of_class: np.ndarray | None

    def of(self, length: float) -> np.ndarray:
        """What a unit of it adds to every logit, [n_taxa].

        Parameters
        ----------
        length : float
            Of the window's vector, as its encoder gives it; it counts for class vectors alone.
        """
        if self.of_class is None:
            assert self.of_entries is not None  # or nothing could be named
            return self.of_entries
        shift: np.ndarray = self.of_class * length
        return shift if self.of_entries is None else np.add(shift, self.of_entries, out=shift)


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
    integers : IntegerProducts, optional
        For a first look at many taxa by the rule ``pursuit``, see `gallery.rounded`. All in float32 when not given.

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
    compared : Directions
        The directions as windows are compared with them.
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
        integers: IntegerProducts | None = None,
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
        self._counted, self._place = _places(self._rows, len(rows))
        class_rows = self._class.rows if self._class is not None else rows[:0]
        self._class_place = _places(class_rows, len(rows))[1]
        self._beside = np.flatnonzero((self._class_share > 0) & (self._class_share < 1))  # entries and a class vector
        self._quality = classes.mean if classes is not None else None
        self._recorded = self._rows[self._shares["audio"] > 0] if "audio" in self._shares else rows[:0]
        heard = index.present["audio"][rows] if "audio" in of_entries else np.zeros(len(rows), bool)
        self._alone = ~(heard | of_class[rows])
        self._shifts = Latest[Shift](max(LEAST_KEPT, KEPT_BYTES // (4 * max(1, len(rows)))))
        # The rows of a classifier, and confidences that are logits, are to be exact.
        rounding = parameters.rule == PURSUIT and len(self._rows) == len(rows) >= MANY and self._class is None
        self.compared = Directions(self.directions, integers if rounding else None)

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
        """Logit of every taxon: [n, dim] as an encoder gives them -> [n, n_taxa] float32.

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
        classes, beside = self._class, self._beside
        if classes is None:
            units = unit(vectors)
            logits = self._spread(self.compared.products(units), self._rows)
        else:
            # Not the weights times their shares, once: that would be a second copy of the largest thing in memory.
            logits = self._spread(products(vectors, classes.weights), classes.rows)
            of_class = logits[:, beside]
            logits[:, beside] *= self._class_share[beside]
            if len(self._rows):
                logits[:, self._rows] += products(unit(vectors), self.directions)
        if self.biased:
            logits += self.bias32
        if len(self._recorded) and self._quality is not None:
            logits[:, self._recorded] += self.quality(vectors)[:, None]
        if classes is not None:  # entries lower a class vector by so much at most
            bias = classes.bias[self._class_place[beside]]
            logits[:, beside] = np.maximum(logits[:, beside], of_class + (bias - self.parameters.class_lowered))
        elif self.compared.are_rounded:
            for one, vector in zip(logits, units):
                self.sharpen(one, vector)
        return logits

    def sharpen(self, logits: np.ndarray, vector: np.ndarray) -> None:
        """Have the logits [n_taxa] of a vector [dim] exact where they matter, in place, if they are rounded."""
        if not self.compared.are_rounded:
            return
        near = np.flatnonzero(logits > max(float(logits.max()), self.parameters.null_logit) - NEAR)
        if len(near) > SHARE_COPIED * len(logits):
            logits[:] = self.directions @ vector + self.bias32
            return
        logits[near] = self.exact(near, vector)

    def exact(self, rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
        """Logits of taxa [rows] of a vector [dim], without class vectors, whatever is rounded."""
        found: np.ndarray = self.directions[rows] @ vector + self.bias[rows]
        return found

    def quality(self, vectors: np.ndarray) -> np.ndarray:
        """What the quality of windows [n, dim] adds to the logits of taxa with recordings, [n]; see the parameters."""
        if self._quality is None:
            return np.zeros(len(vectors))
        parameters, (weights, bias) = self.parameters, self._quality
        means, lengths = vectors @ weights + bias, np.linalg.norm(vectors, axis=1)
        return np.asarray(
            parameters.quality_mean * means + parameters.quality_length * lengths + parameters.quality_bias
        )

    def shifts(self, rows: Collection[int]) -> dict[int, Shift]:
        """What sound of the taxa of some rows adds to logits, worked out in one product for all that is not known."""
        found = {row: known for row in rows if (known := self._shifts.get(row)) is not None}
        missing = [row for row in rows if row not in found]
        if missing:
            units = np.stack([self.unit_direction(row) for row in missing])
            of_entries = self._spread(self.compared.products(units), self._rows) if len(self._rows) else None
            of_class = None
            if self._class is not None:
                of_classes = products(units, self._class.weights) * self._class_share[self._class.rows]
                of_class = self._spread(of_classes, self._class.rows)
            for at, row in enumerate(missing):
                parts = [None if one is None else one[at].copy() for one in (of_entries, of_class)]
                found[row] = Shift(units[at].astype(np.float64), *parts)
                self._shifts.put(row, found[row])
        return found

    def _spread(self, products: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Products [n, rows] in the columns of their taxa, [n, n_taxa]."""
        if len(rows) == len(self):
            return products
        spread = np.zeros((len(products), len(self)), np.float32)
        spread[:, rows] = products
        return spread

    def unit_direction(self, row: int) -> np.ndarray:
        """[dim] of unit length: where sound of a taxon points."""
        if self._counted[row]:
            return unit_of(self.directions[self._place[row]])
        assert self._class is not None  # else the taxon would have no share of anything
        return unit_of(self._class.weights[self._class_place[row]])

    def similarity(self, vector: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        """Cosine to show beside a confidence, [rows]: the weighted mean over what the taxon has."""
        heard, at = unit_of(np.asarray(vector, np.float32)), np.asarray(rows, np.int64)
        shown = np.zeros(len(at), np.float32)
        if len(self._rows):
            counted, place = self._counted[at], self._place[at]
            for modality, share in self._shares.items():
                shown += counted * share[place] * (self._centroids[modality][place] @ heard)
        if self._class is not None:
            place = self._class_place[at]
            cosines = (self._class.weights[place] @ heard) / self._class_lengths[place]
            shown += self._class_share[at] * cosines
        return shown

    @cached_property
    def _class_lengths(self) -> np.ndarray:
        """Lengths of the class vectors, [m]."""
        assert self._class is not None  # else nobody asks
        return np.sqrt(np.einsum("ij,ij->i", self._class.weights, self._class.weights))

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
    def groups(self) -> Groups:
        """Groups of the taxa at each rank above the species."""
        return Groups(self.taxa)

    @cached_property
    def bias32(self) -> np.ndarray:
        """`bias` as float32, one number where it is the same for all."""
        bias = self.bias.astype(np.float32)
        return bias[:1] if (bias == bias[0]).all() else bias

    @cached_property
    def biased(self) -> bool:
        """Whether any taxon has a bias."""
        return bool(self.bias32.any())

    @cached_property
    def rows(self) -> dict[str, int]:
        """Scientific name to row."""
        return {taxon.scientific_name: row for row, taxon in enumerate(self.taxa)}


def _places(rows: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of n taxa are among `rows`, [n] bool, and where, [n]; 0 for those that are not."""
    there, place = np.zeros(n, bool), np.zeros(n, np.int64)
    there[rows], place[rows] = True, np.arange(len(rows))
    return there, place


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
