"""Ring buffer of the last minute of one stream, from which clips are cut.

Samples are kept as 16-bit integers: that is what the cards give and what the clips are written as, so nothing is lost
that a file would have held, and a minute at 48 kHz takes 5.8 MB where float32 would take 11.5 MB.
"""

from __future__ import annotations

import threading

import numpy as np

from edgeapp.audio.source import Block

INT16_FULL_SCALE = 32_768.0


class Ring:
    """Recent sound of one stream in constant memory.

    One thread may add while another cuts.

    Parameters
    ----------
    rate_hz : int
        Rate of the blocks.
    seconds : float
        How much is kept.

    Raises
    ------
    ValueError
        When not even one sample would be kept.
    """

    def __init__(self, rate_hz: int, seconds: float) -> None:
        capacity = round(rate_hz * seconds)
        if capacity < 1:
            raise ValueError(f"a ring of {seconds} s at {rate_hz} Hz keeps no sample")
        self.rate_hz = rate_hz
        self._kept = np.zeros(capacity, np.int16)
        self._lock = threading.Lock()
        self._first: int | None = None  # position of the stream's first sample that ever came
        self._end = 0

    @property
    def start_s(self) -> float:
        """Position of the oldest sample that is still there."""
        with self._lock:
            return self._start() / self.rate_hz

    @property
    def end_s(self) -> float:
        """Position one past the newest sample."""
        with self._lock:
            return self._end / self.rate_hz

    def add(self, block: Block) -> None:
        """Take the next block of the stream; the oldest sound makes room for it.

        Raises
        ------
        ValueError
            When the block does not begin where the one before it ended: a gap would move every later clip.
        """
        samples = _as_int16(block.samples)
        with self._lock:
            if self._first is None:
                self._first = self._end = block.start
            if block.start != self._end:
                raise ValueError(f"a block at sample {block.start} cannot follow sample {self._end}")
            capacity = len(self._kept)
            position = block.start + max(0, len(samples) - capacity)
            rest = samples[position - block.start :]
            at = position % capacity
            head = rest[: capacity - at]
            self._kept[at : at + len(head)] = head
            self._kept[: len(rest) - len(head)] = rest[len(head) :]
            self._end = block.end

    def cut(self, start_s: float, end_s: float) -> tuple[float, np.ndarray]:
        """A copy of the sound between two positions of the stream, as far as available.

        Parameters
        ----------
        start_s, end_s : float
            Rounded to the nearest sample.

        Returns
        -------
        start_s : float
            Position of the first sample that is given.
        samples : np.ndarray
            ``[n]`` int16; empty when nothing between the two is there.
        """
        with self._lock:
            start = min(max(round(start_s * self.rate_hz), self._start()), self._end)
            end = max(start, min(round(end_s * self.rate_hz), self._end))
            capacity = len(self._kept)
            at, n = start % capacity, end - start
            head = self._kept[at : at + n]
            samples = np.concatenate((head, self._kept[: n - len(head)]))
        return start / self.rate_hz, samples

    def _start(self) -> int:
        return max(self._first or 0, self._end - len(self._kept))


def _as_int16(samples: np.ndarray) -> np.ndarray:
    if samples.dtype == np.int16:
        return samples
    return np.clip(np.rint(samples * INT16_FULL_SCALE), -INT16_FULL_SCALE, INT16_FULL_SCALE - 1).astype(np.int16)
