"""Sounds that people have reviewed, and what they change in the recognition of sounds like them.

A confirmed sound raises its taxon near it, a counterexample lowers the taxon it was taken for near it. Both act on the
log-odds of that one taxon after all taxa were judged: whatever was not reviewed keeps its confidence to the last bit.

With the cosine s of a window and the nearest confirmed sound (or counterexample) of a taxon, ``y = slope (scale s +
bias - null) + offset``, where null is 0 by the rule ``independent``, are the log-odds by which the pack would name a
taxon that had this one recording. A counterexample takes ``log(1 + e^y)`` away, at most `MOST_LOWERED`. Scale and bias
were fitted on means of several recordings and reach far for one, so that confirmed sounds are shifted by `RAISED`
before they add as much, at most `MOST_RAISED`. A taxon that the gallery knows by names and photos alone is given ``y +
ALONE`` itself, at most `MOST_RAISED`, where that is more. `benchmarks/learning.py` measures what these constants do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from gallery.parameters import INDEPENDENT, DecisionParameters
from gallery.store import Gallery

RAISED = -2.0
ALONE = -3.0
MOST_RAISED = 4.0  # log-odds: an even chance becomes 0.98, and what was ruled out stays so
MOST_LOWERED = 8.0  # what was 0.999 and is not there must not come back; a song that was surer still may
ALMOST = 1e-15  # nearest that a confidence comes to 0 and to 1: its log-odds are finite


@dataclass(frozen=True)
class Change:
    """What reviews change in one window for one taxon: log-odds to add, and least log-odds."""

    shift: float
    least: float = -np.inf

    def of(self, confidence: float) -> float:
        """The confidence after it."""
        kept = min(max(confidence, ALMOST), 1.0 - ALMOST)
        odds = max(float(np.log(kept / (1.0 - kept))) + self.shift, self.least)
        return float(1.0 / (1.0 + np.exp(-odds)))


class _Sounds:
    """Unit vectors [n, dim], and which taxon each belongs to."""

    def __init__(self, of_taxa: Mapping[str, np.ndarray]) -> None:
        self.names = list(of_taxa)
        self.vectors = np.concatenate([*of_taxa.values()]) if of_taxa else np.zeros((0, 0), np.float32)
        self._starts = np.cumsum([0, *(len(vectors) for vectors in of_taxa.values())])[:-1]

    def nearest(self, direction: np.ndarray) -> Iterator[tuple[str, float]]:
        """Each taxon with the largest cosine of its sounds and a direction [dim]."""
        if self.names:
            yield from zip(self.names, np.maximum.reduceat(self.vectors @ direction, self._starts).tolist())


class Reviewed:
    """Confirmed sounds and counterexamples of taxa.

    Parameters
    ----------
    confirmed : mapping
        Scientific name of a species to [n, dim] float32, unit length.
    counterexamples : mapping
        Scientific name of a species to [n, dim].
    of_groups : mapping
        Rank and scientific name of a group above the species to counterexamples [n, dim].
    """

    def __init__(
        self,
        confirmed: Mapping[str, np.ndarray],
        counterexamples: Mapping[str, np.ndarray],
        of_groups: Mapping[tuple[str, str], np.ndarray] | None = None,
    ) -> None:
        self._confirmed, self._counterexamples = _Sounds(confirmed), _Sounds(counterexamples)
        self._of_groups = of_groups or {}

    @classmethod
    def of(cls, gallery: Gallery) -> Reviewed:
        """Those of a gallery: its recordings, which are confirmed, and its counterexamples.

        Raises
        ------
        GalleryError
            It cannot be read.
        """
        confirmed: dict[str, list[np.ndarray]] = {}
        for entry in gallery.entries("audio"):
            if entry.vector is not None and entry.logit_scale is None:
                confirmed.setdefault(entry.scientific_name, []).append(entry.vector)
        rejected: dict[tuple[str, str], list[np.ndarray]] = {}
        for one in gallery.counterexamples():
            rejected.setdefault((one.taxon_rank, one.scientific_name), []).append(one.vector)
        stacked = {key: np.stack(vectors) for key, vectors in rejected.items()}
        return cls(
            {name: np.stack(vectors) for name, vectors in confirmed.items()},
            {name: vectors for (rank, name), vectors in stacked.items() if rank == "species"},
            {key: vectors for key, vectors in stacked.items() if key[0] != "species"},
        )

    def changes(
        self, direction: np.ndarray, rows: Mapping[str, int], alone: np.ndarray, parameters: DecisionParameters
    ) -> dict[int, Change]:
        """What changes in a window, by row of the taxon; taxa without a row are not there to be named.

        Parameters
        ----------
        direction : numpy.ndarray
            [dim] of unit length.
        rows : mapping
            Scientific name to row.
        alone : numpy.ndarray
            [n_taxa] bool, which taxa are known by names and photos alone.
        parameters : DecisionParameters
        """
        direction = np.asarray(direction, np.float32)  # or every vector here would be widened for it
        shifts: dict[int, float] = {}
        least: dict[int, float] = {}
        for name, cosine in self._confirmed.nearest(direction):
            if name in rows:
                row, odds = rows[name], _odds(cosine, parameters)
                if alone[row]:
                    least[row] = min(MOST_RAISED, odds + ALONE)
                else:
                    shifts[row] = min(MOST_RAISED, softplus(odds + RAISED))
        for name, cosine in self._counterexamples.nearest(direction):
            if name in rows:
                lowered = _lowered(cosine, parameters)
                row = rows[name]
                shifts[row] = shifts.get(row, 0.0) - lowered
                if row in least:
                    least[row] -= lowered
        return {row: Change(shifts.get(row, 0.0), least.get(row, -np.inf)) for row in {**shifts, **least}}

    def change_of_group(
        self, direction: np.ndarray, taxon_rank: str, scientific_name: str, parameters: DecisionParameters
    ) -> Change | None:
        """What changes in a window for a group above the species; None where nothing does."""
        vectors = self._of_groups.get((taxon_rank, scientific_name))
        if vectors is None:
            return None
        return Change(-_lowered(float((vectors @ direction).max()), parameters))


def reconsidered(
    changes: Mapping[int, Change],
    confidences: np.ndarray,
    detected: Mapping[int, float],
    threshold: float,
    most: int,
    alone: Callable[[int, list[int], list[int]], float],
) -> dict[int, float]:
    """The species detected in a window after what reviews change.

    Parameters
    ----------
    changes : mapping
        By row, as `Reviewed.changes` gives them.
    confidences : numpy.ndarray
        [n_taxa], those of the rows of `changes` are changed.
    detected : mapping
        Row to confidence, before.
    threshold : float
        Least confidence of a detection.
    most : int
        Species in one window; none that was detected makes room for another.
    alone : callable
        Row, other rows that sound, rows that do not after all -> confidence of the first among them: a taxon whose
        sound had been put down to another is judged without that one.
    """
    kept = {row: changes[row].of(one) if row in changes else one for row, one in detected.items()}
    dropped = [row for row in detected if kept[row] < threshold]
    for row in dropped:
        confidences[row] = kept.pop(row)
    for row, confidence in kept.items():
        confidences[row] = confidence
    raised = {}
    for row in changes.keys() - detected.keys():
        before = float(confidences[row])
        if dropped:
            before = max(before, alone(row, list(kept), dropped))
        confidences[row] = raised[row] = changes[row].of(before)
    for row in sorted(raised, key=lambda row: (-raised[row], row)):
        if raised[row] >= threshold and len(kept) < most:
            kept[row] = raised[row]
    return kept


def softplus(odds: float) -> float:
    """``log(1 + e^odds)``: what odds add to an even chance."""
    return float(np.logaddexp(0.0, odds))


def _lowered(cosine: float, parameters: DecisionParameters) -> float:
    return min(MOST_LOWERED, softplus(_odds(cosine, parameters)))


def _odds(cosine: float, parameters: DecisionParameters) -> float:
    logit = parameters.scale["audio"] * cosine + parameters.bias["audio"]
    nothing = 0.0 if parameters.rule == INDEPENDENT else parameters.null_logit  # what a taxon by itself competes with
    return parameters.slope * (logit - nothing) + parameters.offset
