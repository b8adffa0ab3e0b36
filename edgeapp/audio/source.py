"""The one protocol of everything that gives sound: file, memory, microphone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Block:
    """A piece of sound.

    Attributes
    ----------
    start : int
        Position of the first sample on the source's own clock, in samples at the source's rate.
    samples : np.ndarray
        ``[n]`` float32, mono, full scale is 1.0.
    """

    start: int
    samples: np.ndarray

    @property
    def end(self) -> int:
        """Position one past the last sample."""
        return self.start + len(self.samples)


class AudioSource(Protocol):
    """Mono float32 blocks without gaps.

    Attributes
    ----------
    name : str
        What a person calls it: a path, a device name.
    rate_hz : int
        Samples per second of the blocks.
    live : bool
        True when the sound arrives as it happens. A live source is answered window by window in the caller's
        thread; any other is read ahead in a thread of its own and encoded in batches.
    """

    @property
    def name(self) -> str: ...

    @property
    def rate_hz(self) -> int: ...

    @property
    def live(self) -> bool: ...

    def blocks(self) -> Iterator[Block]:
        """Give the sound from its start; each block begins where the one before ended."""
        ...

    def close(self) -> None:
        """Release the file or device; closing twice is harmless."""
        ...
