"""Audio source in memory, from an array."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeapp.audio.source import Block
from edgeapp.errors import AudioError

BLOCK_SAMPLES = 65_536  # 1.4 s at 48 kHz: large enough that the loop costs nothing, small enough to stay in cache


class MemorySource:
    """Give an array as blocks.

    Parameters
    ----------
    samples : np.ndarray
        ``[n]`` mono, or ``[n, channels]`` which is averaged to mono.
    rate_hz : int
    name : str
    block : int
        Samples per block.
    live : bool
        Pretend to be a microphone: window by window, no reading ahead.

    Raises
    ------
    AudioError
        When a sample is NaN or infinite.
    """

    notes: tuple[str, ...] = ()
    fault: str | None = None

    def __init__(
        self, samples: np.ndarray, rate_hz: int, name: str = "memory", block: int = BLOCK_SAMPLES, live: bool = False
    ) -> None:
        samples = np.asarray(samples, np.float32)
        self.samples = samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)
        if not np.isfinite(self.samples).all():
            raise AudioError(f"{name}: has samples that are not numbers", "give finite samples")
        self.rate_hz = rate_hz
        self.name = name
        self.block = block
        self.live = live

    def blocks(self) -> Iterator[Block]:
        """Give the array in pieces of ``block`` samples."""
        for start in range(0, len(self.samples), self.block):
            yield Block(start, self.samples[start : start + self.block])

    def close(self) -> None:
        """Nothing to release."""
