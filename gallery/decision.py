"""Decisions: similarities -> probabilities of species and of nothing -> the deepest rank that is sure enough."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from gallery.errors import GalleryError
from gallery.search import Similarities
from gallery.taxon import RANKS, Taxon

_DECIDABLE_RANKS = RANKS[:0:-1]  # deepest first; a kingdom alone says nothing worth telling


@dataclass(frozen=True)
class DecisionParameters:
    """How similarities become probabilities and decisions: fitted on held-out recordings for one pack and gallery.

    Attributes
    ----------
    scale : dict[str, float]
        Kind to multiplier of the cosine.
    bias : dict[str, float]
        Kind to what is added after scaling, which lets kinds with different levels of similarity meet.
    weight : dict[str, float]
        Kind to its share when a taxon has several kinds.
    null_logit : float
        Logit of "nothing known here", a member of the softmax beside the taxa.
    floor : float
        Least summed probability for a decision at a rank.
    silence_dbfs : float
        Windows below this RMS level are nothing heard and are not encoded.
    evidence : float
        How many times the odds of a group above the species must exceed its odds in the gallery: in a gallery of birds
        every noise is "a bird" by its summed probability alone. 0 asks for none.
    pool_windows : int
        Windows of a recording that a species' probability for the recording is the mean of.
    """

    scale: dict[str, float]
    bias: dict[str, float]
    weight: dict[str, float]
    null_logit: float
    floor: float
    silence_dbfs: float
    pool_windows: int
    evidence: float

    def __post_init__(self) -> None:
        kinds = [set(self.scale), set(self.bias), set(self.weight)]
        numbers = (*self.scale.values(), *self.bias.values(), *self.weight.values(), self.null_logit, self.silence_dbfs)
        for wrong, what in (
            (
                not kinds[0] or kinds[0] != kinds[1] or kinds[0] != kinds[2],
                "scale, bias and weight need the same kinds",
            ),
            (not all(map(math.isfinite, numbers)), "every number must be finite"),
            (not all(scale > 0 for scale in self.scale.values()), "every scale must be above 0"),
            (not all(weight >= 0 for weight in self.weight.values()), "no weight may be below 0"),
            (not any(weight > 0 for weight in self.weight.values()), "one weight must be above 0"),
            (not 0 < self.floor <= 1, f"floor must be above 0 and at most 1, not {self.floor}"),
            (self.evidence < 0, f"evidence must be at least 0, not {self.evidence}"),
            (self.pool_windows < 1, f"pool_windows must be at least 1, not {self.pool_windows}"),
        ):
            if wrong:
                raise GalleryError(f"decision parameters: {what}", "correct them, or fit them again")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DecisionParameters:
        """Parameters from JSON.

        Raises
        ------
        GalleryError
            A key is missing or unknown, or a value is not of its type or out of its range.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in values]
        unknown = [str(name) for name in values if name not in names]
        if missing or unknown:
            found = [f"{name} is missing" for name in missing] + [f"{name} is unknown" for name in unknown]
            raise GalleryError(f"decision parameters: {', '.join(found)}", f"give {', '.join(names)}")
        pool_windows = _number("pool_windows", values["pool_windows"])
        if not pool_windows.is_integer():
            raise GalleryError(f"decision parameters: pool_windows is {pool_windows}", "give a whole number")
        return cls(
            scale=_numbers_by_kind("scale", values["scale"]),
            bias=_numbers_by_kind("bias", values["bias"]),
            weight=_numbers_by_kind("weight", values["weight"]),
            null_logit=_number("null_logit", values["null_logit"]),
            floor=_number("floor", values["floor"]),
            silence_dbfs=_number("silence_dbfs", values["silence_dbfs"]),
            pool_windows=int(pool_windows),
            evidence=_number("evidence", values["evidence"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """The parameters as JSON takes them."""
        return asdict(self)


@dataclass(frozen=True)
class Decision:
    """The deepest rank that is sure enough: "a *Parus*" with `mass` the summed probability of its species."""

    rank: str
    name: str
    mass: float


@dataclass(frozen=True)
class RankedSpecies:
    """One line of an answer."""

    rank: int
    scientific_name: str
    common_name: str
    probability: float
    similarity: float


def logits(
    similarities: Similarities, parameters: DecisionParameters, kinds: Sequence[str] | None = None
) -> np.ndarray:
    """Logit of every taxon: ``sum_k w_k (scale_k sim_k + bias_k) / sum_k w_k`` over the kinds the taxon has.

    Parameters
    ----------
    kinds : sequence of str, optional
        Kinds that count; all of `similarities` when not given.

    Returns
    -------
    numpy.ndarray
        [n, n_taxa] float32; -inf for a taxon that has none of the kinds.

    Raises
    ------
    GalleryError
        There are no similarities or no parameters of a kind.
    """
    asked = _checked_kinds(similarities, parameters, kinds)
    return _weighted(similarities, parameters, asked, parameters.scale, parameters.bias, absent=-np.inf)


def similarity(
    similarities: Similarities, parameters: DecisionParameters, kinds: Sequence[str] | None = None
) -> np.ndarray:
    """Cosine of every taxon to show beside its probability: the weighted mean over the kinds the taxon has.

    Returns
    -------
    numpy.ndarray
        [n, n_taxa] float32; 0 for a taxon that has none of the kinds.

    Raises
    ------
    GalleryError
        There are no similarities or no parameters of a kind.
    """
    asked = _checked_kinds(similarities, parameters, kinds)
    return _weighted(similarities, parameters, asked, dict.fromkeys(asked, 1.0), dict.fromkeys(asked, 0.0), absent=0.0)


def probabilities(logits: np.ndarray, parameters: DecisionParameters) -> np.ndarray:
    """Softmax over the taxa and "nothing".

    Parameters
    ----------
    logits : numpy.ndarray
        [n, n_taxa], as `logits` gives them.

    Returns
    -------
    numpy.ndarray
        [n, n_taxa + 1] float32, rows sum to 1; the last column is "nothing known here".
    """
    z = np.empty((logits.shape[0], logits.shape[1] + 1))
    z[:, :-1] = logits
    z[:, -1] = parameters.null_logit
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z.astype(np.float32)


def decide(p: np.ndarray, taxa: Sequence[Taxon], parameters: DecisionParameters) -> Decision | None:
    """The deepest rank at which the probabilities of one name sum up to the floor.

    Above the species the sum must also say more than the gallery does by itself: its odds must be `evidence` times the
    odds of drawing one of the group's species from the gallery by chance (a Bayes factor).

    A name counts together with the ranks above it: namesakes in different families are different. Unknown ranks never
    win. Of equal masses the first in the alphabet wins, by its path from the kingdom down.

    Parameters
    ----------
    p : numpy.ndarray
        [n_taxa + 1], the last one "nothing".

    Returns
    -------
    Decision or None
        None when no rank below the kingdom is sure enough.
    """
    p = _checked(p, len(taxa))[:-1]
    for group in _rank_groups(taxa):
        if not group.names:
            continue
        masses = np.bincount(group.members, weights=p, minlength=len(group.names) + 1)[:-1]
        best = int(masses.argmax())
        by_chance = group.shares[best] if group.rank != "species" else 0.0
        tells = masses[best] * (1.0 - by_chance) >= parameters.evidence * by_chance * (1.0 - masses[best])
        if masses[best] >= parameters.floor and tells:
            return Decision(group.rank, group.names[best], float(masses[best]))
    return None


class Pool:
    """Probabilities of a recording from those of its windows, in memory that does not grow with the recording.

    The probability of a taxon is the mean of its best `pool_windows` windows (of all, when there are fewer); what the
    taxa leave is "nothing". Taxa that are sure in different windows can sum to more than 1, and are then scaled to 1.
    """

    def __init__(self, n_taxa: int, parameters: DecisionParameters) -> None:
        self._best = np.zeros((0, n_taxa), dtype=np.float32)
        self._keep = parameters.pool_windows

    def add(self, p: np.ndarray) -> Pool:
        """Add windows, [n_windows, n_taxa + 1]."""
        best = np.concatenate([self._best, p[:, :-1]])
        if len(best) > self._keep:
            best = np.partition(best, len(best) - self._keep, axis=0)[-self._keep :]
        self._best = best
        return self

    def probabilities(self) -> np.ndarray:
        """[n_taxa + 1] float32, sums to 1; all of it is "nothing" before the first window."""
        taxa = self._best.mean(axis=0, dtype=np.float64) if len(self._best) else np.zeros(self._best.shape[1])
        total = taxa.sum()
        if total > 1:
            taxa, total = taxa / total, 1.0
        return np.append(taxa, 1.0 - total).astype(np.float32)


def pool(p: np.ndarray, parameters: DecisionParameters) -> np.ndarray:
    """Probabilities of a recording from all its windows, [n_windows, n_taxa + 1] -> [n_taxa + 1]; see `Pool`."""
    return Pool(p.shape[1] - 1, parameters).add(p).probabilities()


def ranked(p: np.ndarray, similarity: np.ndarray, taxa: Sequence[Taxon], top: int) -> list[RankedSpecies]:
    """The `top` most probable species, most probable first, equal ones by name; those without any chance are left out.

    Parameters
    ----------
    p : numpy.ndarray
        [n_taxa + 1], the last one "nothing".
    similarity : numpy.ndarray
        [n_taxa] cosines to show.
    """
    p = _checked(p, len(taxa))[:-1]
    if top < 1 or not len(p):
        return []
    least = np.partition(p, -top)[-top] if top < len(p) else 0.0
    rows: list[int] = np.flatnonzero((p >= least) & (p > 0)).tolist()
    order = sorted(rows, key=lambda row: (-p[row], taxa[row].scientific_name))[:top]
    return [
        RankedSpecies(place, taxa[row].scientific_name, taxa[row].common_name, float(p[row]), float(similarity[row]))
        for place, row in enumerate(order, start=1)
    ]


@dataclass(frozen=True, eq=False)
class _RankGroup:
    """The names at one rank, and to which of them each taxon belongs."""

    rank: str
    names: tuple[str, ...]  # in the order of their paths from the kingdom down
    members: np.ndarray  # [n_taxa], place in names; len(names) for a taxon whose name at this rank is unknown
    shares: np.ndarray  # [names], share of the taxa that each name has


_RECENT: deque[tuple[tuple[Taxon, ...], tuple[_RankGroup, ...]]] = deque(maxlen=4)


def _rank_groups(taxa: Sequence[Taxon]) -> tuple[_RankGroup, ...]:
    """Groups of a list of taxa, deepest rank first, kept for the next windows of the same list."""
    key = tuple(taxa)
    for known, groups in list(_RECENT):
        if len(known) == len(key) and known == key:
            return groups
    groups = tuple(_rank_group(key, rank) for rank in _DECIDABLE_RANKS)
    _RECENT.appendleft((key, groups))
    return groups


def _rank_group(taxa: tuple[Taxon, ...], rank: str) -> _RankGroup:
    paths = [taxon.path(rank) for taxon in taxa]
    known = sorted({path for path in paths if path[-1]})
    place = {path: number for number, path in enumerate(known)}
    members = np.array([place.get(path, len(known)) for path in paths], dtype=np.int64)
    shares = np.bincount(members, minlength=len(known) + 1)[:-1] / max(1, len(taxa))
    return _RankGroup(rank, tuple(path[-1] for path in known), members, shares)


def _weighted(
    similarities: Similarities,
    parameters: DecisionParameters,
    kinds: Sequence[str],
    scale: Mapping[str, float],
    bias: Mapping[str, float],
    absent: float,
) -> np.ndarray:
    n, n_taxa = similarities.by_kind[kinds[0]].shape
    total, weights = np.zeros((n, n_taxa)), np.zeros(n_taxa)
    for kind in kinds:
        weight = parameters.weight[kind] * similarities.present[kind]
        total += weight * (scale[kind] * similarities.by_kind[kind] + bias[kind])
        weights += weight
    return np.divide(total, weights, out=np.full(total.shape, absent), where=weights > 0).astype(np.float32)


def _checked_kinds(
    similarities: Similarities, parameters: DecisionParameters, kinds: Sequence[str] | None
) -> tuple[str, ...]:
    asked = tuple(similarities.by_kind) if kinds is None else tuple(kinds)
    for kind in asked:
        if kind not in similarities.by_kind:
            raise GalleryError(f"no similarities of kind '{kind}'", f"use {' or '.join(similarities.by_kind)}")
        if kind not in parameters.scale:
            raise GalleryError(
                f"no decision parameters for entries of kind '{kind}'", f"use {' or '.join(parameters.scale)}"
            )
    if not asked:
        raise GalleryError("no kind of entries to decide by", f"use {' or '.join(similarities.by_kind)}")
    return asked


def _checked(p: np.ndarray, n_taxa: int) -> np.ndarray:
    if p.shape != (n_taxa + 1,):
        raise ValueError(f"probabilities of shape {list(p.shape)} for {n_taxa} taxa and nothing: want [{n_taxa + 1}]")
    return p


def _numbers_by_kind(name: str, values: object) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise GalleryError(f"decision parameters: {name} is {values!r}", "give a number for each kind of entry")
    return {str(kind): _number(f"{name} of {kind}", value) for kind, value in values.items()}


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise GalleryError(f"decision parameters: {name} is {value!r}", "give a number")
    return float(value)
