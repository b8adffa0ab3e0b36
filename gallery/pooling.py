"""Confidences of a recording, from those of its windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gallery.parameters import INDEPENDENT, DecisionParameters
from gallery.recognition import Recognition
from gallery.vocabulary import Vocabulary

LEAST_CONFIDENCE = 1e-7  # and as much below 1: float32 knows no less, and its log-odds are finite


class Heard(Protocol):
    """What a pool needs of a window; `Recognition` has it."""

    @property
    def heard(self) -> bool: ...

    @property
    def confidences(self) -> np.ndarray: ...


class Pool:
    """Confidences of a recording from those of its windows, in memory that does not grow with the recording.

    A taxon's confidence is the mean of its best `pool_windows` windows, of all when there are fewer; by the rule
    ``independent`` of their log-odds, in which sure windows still differ. Windows without
    sound say nothing and are not counted.
    """

    def __init__(self, n_taxa: int, parameters: DecisionParameters) -> None:
        self._n_taxa = n_taxa
        self._best: list[np.ndarray] = []  # [n_taxa] each, the largest confidence of each taxon first
        self._keep = parameters.pool_windows
        self._by_odds = parameters.rule == INDEPENDENT
        self.heard = 0

    def add(self, window: Heard) -> None:
        """Count one more window."""
        if not window.heard:
            return
        self.heard += 1
        less, spare = np.array(window.confidences, np.float32), np.empty(self._n_taxa, np.float32)
        for kept in self._best:  # what is less than the best may be more than the next
            np.minimum(kept, less, out=spare)
            np.maximum(kept, less, out=kept)
            less, spare = spare, less
        if len(self._best) < self._keep:
            self._best.append(less)

    def confidences(self) -> np.ndarray:
        """[n_taxa] float32; zeros before the first window with sound."""
        if not self._best:
            return np.zeros(self._n_taxa, np.float32)
        best = np.stack(self._best).astype(np.float64)
        if not self._by_odds:
            return best.mean(axis=0).astype(np.float32)
        best = np.clip(best, LEAST_CONFIDENCE, 1.0 - LEAST_CONFIDENCE)
        odds = np.log(best / (1.0 - best)).mean(axis=0)
        return (1.0 / (1.0 + np.exp(-odds))).astype(np.float32)


def pooled(windows: Sequence[Recognition], vocabulary: Vocabulary) -> np.ndarray:
    """Confidences [n_taxa] of a recording from all its windows; see `Pool`."""
    pool = Pool(len(vocabulary), vocabulary.parameters)
    for window in windows:
        pool.add(window)
    return pool.confidences()
