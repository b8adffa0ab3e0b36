"""Clipping: tops that are flat, at full scale or at a level below it.

A microphone's amplifier clips where it wants, and who adds gain afterwards moves that level. Below full scale clipping
is told by what no sound has: of the places at which three samples in a row are as good as equal, nearly all are at the
highest level. At the crests of a slow wave, of a tone and of wind they are at many.
"""

from __future__ import annotations

import numpy as np

FULL = 0.9995  # of full scale: 32,752 of 16 bits, and what a lossy encoder makes of a flat top
RUN = 3  # samples at a level, one after the other: a peak that only touches it has fewer
SHARE = 1e-3  # of the samples

EQUAL = 1 / 256  # of a sample: what comes after the stage that clips adds noise
TOP, BELOW = 0.98, 0.90  # of the level: that it is, and that there is hardly anything
TIMES = 4  # as much at the level as below it
LEAST = 0.01  # of full scale: what is quieter has few levels at all
OUTLIERS = 0.05  # of what is needed, that may lie above

STEPS = 256  # levels to a factor of two
OCTAVES = 20  # 10 above full scale, and 10 below


class Clipping:
    """Counts samples ``[n, channels]``, int16, or float32 of full scale 1.0, as they come."""

    def __init__(self) -> None:
        self._clipped = self._n = 0
        self._before: np.ndarray | None = None  # the last frames
        self._flat = np.zeros((2, OCTAVES * STEPS), np.int64)  # below 0 and above, by level

    def add(self, frames: np.ndarray) -> None:
        """Count the next frames."""
        self._n += frames.size
        whole = frames if self._before is None else np.concatenate([self._before, frames])
        self._before = whole[1 - RUN :]
        n = len(whole) - RUN + 1
        if n <= 0:
            return
        full = 32_768 if frames.dtype == np.int16 else 1
        sizes = np.abs(whole, dtype=np.float32)
        bound = sizes[:n] * np.float32(EQUAL)
        flat = bound >= np.float32(LEAST * EQUAL * full)
        for step in range(1, RUN):
            flat &= np.abs(np.subtract(whole[step : step + n], whole[:n], dtype=np.float32)) <= bound
        found = whole[:n][flat].astype(np.float32) / full
        if not len(found):
            return
        at_full = np.ones(len(found), bool)
        for step in range(RUN):
            at_full &= sizes[step : step + n][flat] >= FULL * full
        self._clipped += int(at_full.sum())
        steps = (np.log2(np.abs(found)) + OCTAVES // 2) * STEPS
        steps = np.clip(steps, 0, OCTAVES * STEPS - 1).astype(np.int64)
        for sign, chosen in enumerate((found < 0, found > 0)):
            self._flat[sign] += np.bincount(steps[chosen], minlength=OCTAVES * STEPS)

    def note(self) -> str:
        """What is to be said of it; empty where nothing is."""
        if not self._n:
            return ""
        share = self._clipped / self._n
        if share >= SHARE:
            return f"clipped: {share:.1%} of the samples are at full scale"
        found = [level for counts in self._flat if (level := self._level(counts))]
        share = sum(count for _, count in found) / self._n
        if share < SHARE:
            return ""
        highest = 20 * np.log10(max(level for level, _ in found))
        return f"clipped at {highest:+.1f} dBFS: {share:.1%} of the samples are at that level"

    def _level(self, counts: np.ndarray) -> tuple[float, int] | None:
        """Level at which one side is clipped, and how many samples are there."""
        above = np.cumsum(counts[::-1])[::-1]
        beyond = np.flatnonzero(above > OUTLIERS * SHARE * self._n)
        if not len(beyond):
            return None
        highest = int(beyond[-1])
        top, below = (highest + 1 + round(np.log2(share) * STEPS) for share in (TOP, BELOW))
        at_level, beneath = int(counts[top:].sum()), int(counts[max(0, below) : top].sum())
        if at_level < TIMES * beneath or at_level < SHARE / 4 * self._n:
            return None
        return 2.0 ** ((highest + 0.5) / STEPS - OCTAVES // 2), at_level
