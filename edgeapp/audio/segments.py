"""Sound in pieces of one length, whatever the blocks in which it arrives."""

from __future__ import annotations

import numpy as np


class Segments:
    """Cut sound into segments.

    Parameters
    ----------
    size : int
        Frames of a segment.
    """

    def __init__(self, size: int) -> None:
        self._size = max(1, size)
        self._waiting: list[np.ndarray] = []
        self._n = 0

    def add(self, frames: np.ndarray) -> list[np.ndarray]:
        """The segments that are whole by now, of frames ``[n]`` or ``[n, channels]``."""
        self._waiting.append(frames)
        self._n += len(frames)
        if self._n < self._size:
            return []
        all_ = np.concatenate(self._waiting) if len(self._waiting) > 1 else frames
        whole = self._n - self._n % self._size
        self._waiting, self._n = [all_[whole:]], self._n - whole
        return [all_[at : at + self._size] for at in range(0, whole, self._size)]

    def rest(self) -> np.ndarray:
        """What fills no segment, once there is no more."""
        rest = np.concatenate(self._waiting) if self._waiting else np.zeros(0, np.float32)
        self._waiting, self._n = [], 0
        return rest
