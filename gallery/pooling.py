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
        self._best = np.zeros((0, n_taxa), dtype=np.float32)
        self._keep = parameters.pool_windows
        self._by_odds = parameters.rule == INDEPENDENT
        self.heard = 0

    def add(self, window: Heard) -> None:
        """Count one more window."""
        if not window.heard:
            return
        self.heard += 1
        best = np.concatenate([self._best, window.confidences[None]])
        if len(best) > self._keep:
            best = np.partition(best, len(best) - self._keep, axis=0)[-self._keep :]
        self._best = best

    def confidences(self) -> np.ndarray:
        """[n_taxa] float32; zeros before the first window with sound."""
        if not len(self._best):
            return np.zeros(self._best.shape[1], np.float32)
        if not self._by_odds:
            return self._best.mean(axis=0, dtype=np.float64).astype(np.float32)
        best = np.clip(self._best.astype(np.float64), LEAST_CONFIDENCE, 1.0 - LEAST_CONFIDENCE)
        odds = np.log(best / (1.0 - best)).mean(axis=0)
        return (1.0 / (1.0 + np.exp(-odds))).astype(np.float32)


def pooled(windows: Sequence[Recognition], vocabulary: Vocabulary) -> np.ndarray:
    """Confidences [n_taxa] of a recording from all its windows; see `Pool`."""
    pool = Pool(len(vocabulary), vocabulary.parameters)
    for window in windows:
        pool.add(window)
    return pool.confidences()
