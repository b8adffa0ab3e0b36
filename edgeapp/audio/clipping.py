"""Clipping: tops that are flat, at full scale or at a level below it.

A microphone's amplifier clips where it wants, and who adds gain afterwards moves that level. Below full scale clipping
is told by what no sound has: far more samples at the highest level than a little below it, of which many are as good as
equal to the next. At the crests of a tone there are fewer, and at those of all else far fewer.
"""

from __future__ import annotations

import numpy as np

FULL = 0.9995  # of full scale: 32,752 of 16 bits, and what a lossy encoder makes of a flat top
RUN = 3  # samples at a level, one after the other: a peak that only touches it has fewer
SHARE = 1e-3  # of the samples

EQUAL = 1 / 256  # of a sample: what comes after the stage that clips adds noise
TOP, BELOW = 0.98, 0.90  # of the level: from where on samples are at it, and a little below
TIMES = 2.0  # as many at the level as below it; a tone has 0.8 times as many
LEAST = 0.01  # of full scale: what is quieter has few levels at all
OUTLIERS = 0.05  # of what is needed, that may lie above

EVERY = 4  # of so many samples one is looked at below full scale: a share needs no more
LEVELS = 1 << 15  # steps of 0.4 to 0.8 %: the upper bits of a float, without its sign


class Clipping:
    """Counts samples ``[n, channels]``, int16, or float32 of full scale 1.0, as they come."""

    def __init__(self) -> None:
        self._clipped = self._n = 0
        self._looked_at = self._skipped = 0  # samples; frames until the next one that is
        self._before: np.ndarray | None = None  # the last frames
        self._all, self._flat = np.zeros((2, 2 * LEVELS), np.int64)  # by level, those above 0 first

    def add(self, frames: np.ndarray) -> None:
        """Count the next frames."""
        self._n += frames.size
        samples = np.multiply(frames, np.float32(1 / 32_768 if frames.dtype == np.int16 else 1), dtype=np.float32)
        whole = samples if self._before is None else np.concatenate([self._before, samples])
        n = len(whole) - RUN + 1
        self._before = whole[min(max(n, 0), len(whole)) :]
        if n <= 0:
            return
        if whole.max() >= FULL or whole.min() <= -FULL:
            signs = (whole >= FULL).astype(np.int8) - (whole <= -FULL).astype(np.int8)
            same = signs[:n] != 0
            for step in range(1, RUN):
                same &= signs[step : step + n] == signs[:n]
            self._clipped += int(same.sum())
        first = whole[self._skipped : n : EVERY]
        self._all += np.bincount(_level(first), minlength=2 * LEVELS)
        bound = np.abs(first) * np.float32(EQUAL)
        flat = bound >= np.float32(LEAST * EQUAL)
        for step in range(1, RUN):
            flat &= np.abs(whole[self._skipped + step : n + step : EVERY] - first) <= bound
        self._flat += np.bincount(_level(first[flat]), minlength=2 * LEVELS)
        self._looked_at += first.size
        self._skipped = (self._skipped - n) % EVERY

    def note(self) -> str:
        """What is to be said of it; empty where nothing is."""
        if not self._n:
            return ""
        share = self._clipped / self._n
        if share >= SHARE:
            return f"clipped: {share:.1%} of the samples are at full scale"
        sides = (slice(0, LEVELS), slice(LEVELS, 2 * LEVELS))
        found = [one for side in sides if (one := self._clipped_at(self._all[side], self._flat[side]))]
        share = sum(count for _, count in found) / max(1, self._looked_at)
        if share < SHARE:
            return ""
        level_db = 20 * np.log10(max(level for level, _ in found))
        return f"clipped at {level_db:+.0f} dBFS: {share:.1%} of the samples are at that level"

    def _clipped_at(self, all: np.ndarray, flat: np.ndarray) -> tuple[float, int] | None:
        """Level at which one side is clipped, and how many samples are there."""
        beyond = np.flatnonzero(np.cumsum(all[::-1])[::-1] > OUTLIERS * SHARE * self._looked_at)
        if not len(beyond):
            return None
        highest = np.array([int(beyond[-1]) << 16], np.int32).view(np.float32)
        top, below = _level(highest * np.float32(TOP))[0], _level(highest * np.float32(BELOW))[0]
        clipped = int(flat[top:].sum())
        if all[top:].sum() < TIMES * all[below:top].sum() or clipped < SHARE / 4 * self._looked_at:
            return None
        return float(highest[0]), clipped


def _level(samples: np.ndarray) -> np.ndarray:
    """Number of the level of each of samples, in a row; those below 0 have the same from `LEVELS` on."""
    return np.ascontiguousarray(samples).reshape(-1).view(np.uint32) >> 16
