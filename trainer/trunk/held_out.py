"""Queries with a gallery of recordings that does not contain their own sources.

Recordings are split by source into folds. The space is fitted without the folds of the query, and the mean of each
taxon's recordings without the sources of the query, so each query has its own gallery. All scores are computed
by `gallery.recognise`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gallery import DecisionParameters, Index, Taxon, Vocabulary, recognise
from gallery.parameters import INDEPENDENT
from gallery.search import ClassVectors
from trainer.data.rows import sums_of_taxa
from trainer.trunk.sound import Embedded, several_sources
from trainer.trunk.space import Whitening, fit_space

FOLDS = 5
NONE = -50.0  # log-odds of a taxon that nothing speaks for
LOUD = 0.0  # dBFS of sound made here
ROUNDING = 1e-3  # length of what rounding leaves of a taxon without another source
READ = 10.0  # scale at which what recordings say is read, so that their confidences are far from 0 and 1


@dataclass(frozen=True, eq=False)
class Classes:
    """The classifier over embeddings, and the taxa that can be identified.

    Attributes
    ----------
    taxa : those with a class vector or with recordings
    rows : [classes] ascending positions of the classes in `taxa`
    weights, bias : [classes, dim], [classes]
    mean : [dim] and bias, the mean row of the whole classifier; of these when not given
    """

    taxa: tuple[Taxon, ...]
    rows: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    mean: tuple[np.ndarray, float] | None = None

    def of(self, kept: np.ndarray) -> Classes:
        """The classes of some taxa, given as ascending rows."""
        place = np.searchsorted(kept, self.rows)
        here = (place < len(kept)) & (kept[np.minimum(place, len(kept) - 1)] == self.rows)
        taxa = tuple(self.taxa[row] for row in kept.tolist())
        mean = self.mean or (self.weights.mean(axis=0), float(self.bias.mean()))
        return Classes(taxa, place[here], self.weights[here], self.bias[here], mean)

    def vectors(self, space: Whitening) -> ClassVectors:
        """Class vectors in a space."""
        weights, bias = self.mean or (self.weights.mean(axis=0), float(self.bias.mean()))
        [mean], [mean_bias] = space.rows(weights[None], np.array([bias]))
        return ClassVectors(self.rows, *space.rows(self.weights, self.bias), (mean, float(mean_bias)))


@dataclass(frozen=True, eq=False)
class Query:
    """A query with a gallery that does not contain its sources.

    Attributes
    ----------
    windows : [n, dim] in the space of the index
    levels : [n]
    taxa : rows in the index of the taxa that are heard
    index : taxa with recordings
    others : [n, other taxa] confidences of the taxa without recordings, which no gallery of recordings changes
    folds : those that the sources in it are of, ascending; empty for noise
    """

    windows: np.ndarray
    levels: np.ndarray
    taxa: tuple[int, ...]
    index: Index
    others: np.ndarray
    folds: tuple[int, ...] = ()


def queries(embedded: Embedded, classes: Classes, which: str) -> Iterator[Query]:
    """Recordings of taxa with several sources (`single`), `mixture`s or `noise`, each with its gallery.

    Parameters
    ----------
    embedded : whose taxa are rows of `classes.taxa`
    """
    fold = np.random.default_rng(0).integers(0, FOLDS, int(embedded.source.max()) + 1)[embedded.source]
    several = np.unique(embedded.taxon)
    own_classes, taxon = classes.of(several), np.searchsorted(several, embedded.taxon)
    others = Others(classes, several)
    by_folds: dict[tuple[int, ...], list[tuple[tuple[int, ...], np.ndarray, np.ndarray]]] = {}
    for heard, windows, levels in sounds_of(embedded, which):
        by_folds.setdefault(tuple(sorted({int(fold[row]) for row in heard})), []).append((heard, windows, levels))
    for folds, members in sorted(by_folds.items()):
        learned = np.flatnonzero(~np.isin(fold, folds))
        space = fit_space([embedded.windows[row] for row in learned], taxon[learned])
        of_recordings = np.stack([recording_vector(space.vectors(windows)) for windows in embedded.windows])
        every = sums_of_taxa(of_recordings, taxon, len(several))
        vectors = own_classes.vectors(space)
        for heard, windows, levels in members:
            own = np.isin(embedded.source, embedded.source[list(heard)])
            left = every - sums_of_taxa(of_recordings[own], taxon[own], len(several))
            left[np.linalg.norm(left, axis=1) < ROUNDING] = 0.0
            count = np.bincount(taxon[~own], minlength=len(several)).astype(np.float32)
            index = Index(own_classes.taxa, {"audio": left}, class_vectors=vectors, counts={"audio": count})
            told = tuple(int(taxon[row]) for row in heard)
            yield Query(space.vectors(windows), levels, told, index, others.confidences(windows), folds)


def queries_of_few(embedded: Embedded, classes: Classes, count: int) -> Iterator[Query]:
    """Recordings of taxa with at least `count` others, in a gallery of at most `count` per taxon and no class vectors.

    Taxa with fewer recordings are candidates too. Each query has its own randomly drawn gallery.
    """
    rng = np.random.default_rng(0)
    fold = np.random.default_rng(0).integers(0, FOLDS, int(embedded.source.max()) + 1)[embedded.source]
    several = np.unique(embedded.taxon)
    taxon, taxa = np.searchsorted(several, embedded.taxon), [classes.taxa[row] for row in several.tolist()]
    for one in range(FOLDS):
        learned = np.flatnonzero(fold != one)
        space = fit_space([embedded.windows[row] for row in learned], taxon[learned])
        of_recordings = np.stack([recording_vector(space.vectors(windows)) for windows in embedded.windows])
        for row in np.flatnonzero(fold == one).tolist():
            others = rng.permutation(np.flatnonzero(embedded.source != embedded.source[row]))
            if (taxon[others] == taxon[row]).sum() < count:
                continue
            order = others[np.argsort(taxon[others], kind="stable")]
            rank = np.arange(len(order)) - np.searchsorted(taxon[order], taxon[order])
            drawn = order[rank < count]
            index = Index(taxa, {"audio": sums_of_taxa(of_recordings[drawn], taxon[drawn], len(taxa))})
            windows = space.vectors(embedded.windows[row])
            none = np.zeros((len(windows), 0), np.float32)
            yield Query(windows, embedded.levels[row], (int(taxon[row]),), index, none)


def sounds_of(embedded: Embedded, which: str) -> Iterator[tuple[tuple[int, ...], np.ndarray, np.ndarray]]:
    """The recordings in each sound, its windows [n, dim] as embeddings, and their levels."""
    if which == "single":
        for row in several_sources(embedded.taxon, embedded.source).tolist():
            yield (row,), embedded.windows[row], embedded.levels[row]
    elif which == "mixture":
        for pair, mixed in zip(embedded.pairs.tolist(), embedded.mixtures):
            yield tuple(pair), mixed[None], np.array([LOUD])
    else:
        for noise in embedded.noise:
            yield (), noise[None], np.array([LOUD])


class Others:
    """Taxa with a class vector but no recordings."""

    def __init__(self, classes: Classes, several: np.ndarray) -> None:
        rest = classes.of(np.setdiff1d(classes.rows, several))
        vectors = ClassVectors(rest.rows, rest.weights, rest.bias)
        self._vocabulary = Vocabulary(Index(rest.taxa, {}, class_vectors=vectors), reading(0.0, 0.0))

    def confidences(self, embeddings: np.ndarray) -> np.ndarray:
        """Confidences [n, taxa] of embeddings [n, dim]."""
        found = recognise(embeddings, np.full(len(embeddings), LOUD), self._vocabulary, most=1)
        return np.stack([window.confidences for window in found])


def recording_vector(windows: np.ndarray) -> np.ndarray:
    """Unit vector [dim] of a recording, the direction of the sum of its windows [n, dim], as in a gallery."""
    total = windows.sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), np.float32)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence for taxa with recordings [m] in windows [n], by class vector and by recordings.

    Attributes
    ----------
    by_class : [n, m] log-odds; `NONE` without a class vector
    by_recordings : [n, m] their linear discriminant beside a class vector, their cosine without one; NaN without
        recordings of other sources
    count : [n, m] recordings of other sources
    quality : [n, 2] mean logit of all classes, and length of the vector
    has_class : [m]
    truth : [n, m] bool
    first : [queries] row of the first window of each query
    """

    by_class: np.ndarray
    by_recordings: np.ndarray
    count: np.ndarray
    quality: np.ndarray
    has_class: np.ndarray
    truth: np.ndarray
    first: np.ndarray

    def of(self, windows: np.ndarray) -> Evidence:
        """That of some windows [n] bool; of a query all or none."""
        ends = np.r_[self.first[1:], len(windows)]
        counts = [end - start for start, end in zip(self.first, ends) if windows[start]]
        first = np.cumsum([0, *counts[:-1]])
        parts = (self.by_class, self.by_recordings, self.count, self.quality, self.truth)
        by_class, by_recordings, count, quality, truth = (part[windows] for part in parts)
        return Evidence(by_class, by_recordings, count, quality, self.has_class, truth, first)

    def foreign(self) -> Evidence:
        """The same sounds without recordings of the taxa in them, where all of these have a class vector."""
        unknown = ~(self.truth & ~self.has_class).any(axis=1)
        kept = self.of(unknown)
        return replace(kept, by_recordings=np.where(kept.truth, np.nan, kept.by_recordings))

    def fused(self, parameters: DecisionParameters) -> np.ndarray:
        """[n, m] with recordings weighed so beside class vectors, as `gallery.Vocabulary` does it."""
        weight, found = parameters.beside_class["audio"], np.nan_to_num(self.by_recordings)
        constant = parameters.class_bias + parameters.class_count * np.log1p(self.count)
        beside = self.by_class + weight * (parameters.class_scale * found + constant)
        factors = np.array([parameters.quality_mean, parameters.quality_length])
        quality = (self.quality @ factors + parameters.quality_bias)[:, None]
        both = np.maximum(beside / (1.0 + weight) + quality, self.by_class - parameters.class_lowered)
        alone = parameters.scale["audio"] * found + parameters.bias["audio"] + quality
        return np.where(np.isnan(self.by_recordings), self.by_class, np.where(self.has_class, both, alone))


def evidence(found: Sequence[Query], entries: float) -> Evidence:
    """Read what speaks for each taxon, with class vectors counting as so many recordings in the means."""
    by_class, by_recordings, counts, quality, truth, first = [], [], [], [], [], []
    for query in found:
        classes = query.index.class_vectors
        assert classes is not None
        has_class = np.isin(np.arange(len(query.index.taxa)), classes.rows)
        present = query.index.present["audio"]
        plain = odds(query, reading(0.0, entries))
        both = odds(query, reading(1.0, entries))
        plain[:, ~has_class] = NONE
        shown = np.where(has_class, 2.0 * both - plain, both) / READ
        by_class.append(plain)
        by_recordings.append(np.where(present, shown, np.nan))
        counts.append(np.repeat(query.index.counts["audio"][None], len(plain), axis=0))
        quality.append(qualities(query))
        right = np.zeros(len(query.index.taxa), bool)
        right[list(query.taxa)] = True
        truth.append(np.repeat(right[None], len(plain), axis=0))
        first.append(len(plain))
    starts = np.cumsum([0, *first[:-1]])
    parts = (by_class, by_recordings, counts, quality, truth)
    by_window = [np.concatenate(part) for part in parts]
    return Evidence(*by_window[:4], has_class, by_window[4], starts)  # type: ignore[call-arg]


def qualities(query: Query) -> np.ndarray:
    """[windows, 2] mean logit of all classes, and length of the vector, as `gallery.Vocabulary` has them."""
    plain = reading(0.0, 0.0)
    each = replace(plain, quality_mean=1.0), replace(plain, quality_length=1.0)
    return np.stack([Vocabulary(query.index, one).quality(query.windows) for one in each], axis=1)


def odds(query: Query, parameters: DecisionParameters) -> np.ndarray:
    """Log-odds [windows, taxa] by parameters without slope and offset; `NONE` for taxa that cannot be identified."""
    vocabulary = Vocabulary(query.index, parameters)
    found = recognise(query.windows, np.full(len(query.windows), LOUD), vocabulary, most=1)
    confidences = np.stack([window.confidences for window in found]).astype(np.float64)
    every = np.full((len(confidences), len(query.index.taxa)), NONE)
    place = {taxon.scientific_name: row for row, taxon in enumerate(query.index.taxa)}
    every[:, [place[taxon.scientific_name] for taxon in vocabulary.taxa]] = odds_of(confidences)
    return every


def odds_of(confidences: np.ndarray) -> np.ndarray:
    """Finite log-odds of confidences in single precision."""
    c = np.clip(np.asarray(confidences, np.float64), 1e-30, 1.0 - 6e-8)
    return np.asarray(np.log(c / (1.0 - c)))


def reading(beside_class: float, entries: float) -> DecisionParameters:
    """Parameters with which evidence is computed."""
    return DecisionParameters(
        scale={"audio": READ},
        bias={"audio": 0.0},
        weight={"audio": 1.0},
        null_logit=0.0,
        slope=1.0,
        offset=0.0,
        threshold=0.25,
        floor=1.0,
        evidence=1.0,
        silence_dbfs=-85.0,
        pool_windows=3,
        rule=INDEPENDENT,
        beside_class={"audio": beside_class},
        class_entries=entries,
        class_scale=READ,
    )
