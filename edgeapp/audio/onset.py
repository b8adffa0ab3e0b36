"""Where a recording begins to sound, for encoders that were tried on clips cut there.

The onset is the first sample above a hundredth of the largest magnitude; sound is heard from 0.2 s before it (BioVITA,
``eval/extract_features.py``). The largest magnitude is that of the first ten minutes: no clip of BioVITA Bench is
longer, and a recording of a day does not have to be held in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from edgeapp.audio.source import Block, WrappedSource

SHARE = 0.01  # of the largest magnitude
BEFORE_S = 0.2
WITHIN_S = 600.0  # 115 MB at 48 kHz


def onset(sound: np.ndarray, rate_hz: int) -> int:
    """Number of the sample of a recording [n] from which it is heard; 0 if it is silent."""
    loudness = np.abs(sound)
    above = np.flatnonzero(loudness > np.float32(SHARE * float(loudness.max(initial=0.0))))
    return max(0, int(above[0]) - int(BEFORE_S * rate_hz)) if len(above) else 0


class FromOnset(WrappedSource):
    """A source from its onset on; its clock stays that of the source below.

    Parameters
    ----------
    source : AudioSource
        Not live: it is read ahead for up to ten minutes.
    """

    def blocks(self) -> Iterator[Block]:
        """Give the sound from the onset on."""
        blocks = self.source.blocks()
        before = int(BEFORE_S * self.rate_hz)
        held: deque[Block] = deque()
        begins: int | None = None
        peak, read = 0.0, 0
        for block in blocks:
            held.append(block)
            read += len(block.samples)
            peak = max(peak, float(np.abs(block.samples).max(initial=0.0)))
            begins = _first_above(held, begins, np.float32(SHARE * peak))
            while begins is not None and held[0].end <= begins - before:
                held.popleft()
            if read >= WITHIN_S * self.rate_hz:
                break
        first = 0 if begins is None else begins - before
        for block in held:
            skipped = max(0, first - block.start)
            if skipped < len(block.samples):
                yield Block(block.start + skipped, block.samples[skipped:])
        yield from blocks


def _first_above(held: deque[Block], begins: int | None, threshold: np.float32) -> int | None:
    """Number of the first sample above a threshold that never falls, from ``begins`` on; None where there is none."""
    for block in held:
        if begins is not None and block.end <= begins:
            continue
        skipped = 0 if begins is None else max(0, begins - block.start)
        above = np.flatnonzero(np.abs(block.samples[skipped:]) > threshold)
        if len(above):
            return block.start + skipped + int(above[0])
    return None
