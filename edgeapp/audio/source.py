"""Protocol of audio sources: file, memory, microphone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        Name for the user: a path, a device name.
    rate_hz : int
        Samples per second of the blocks.
    live : bool
        True when the sound arrives as it happens. A live source is answered window by window in the caller's
        thread; any other is read ahead in a thread of its own and encoded in batches.
    notes : sequence of str
        Notes on the sound for the user; known from the start.
    fault : str or None
        Why the sound is not all that was promised; known when `blocks` has ended.
    """

    @property
    def name(self) -> str: ...

    @property
    def rate_hz(self) -> int: ...

    @property
    def live(self) -> bool: ...

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def fault(self) -> str | None: ...

    def blocks(self) -> Iterator[Block]:
        """Give the sound from its start; each block begins where the one before ended."""
        ...

    def close(self) -> None:
        """Release the file or device; idempotent."""
        ...


class WrappedSource:
    """A source that gives the sound of another one, changed or watched; everything else is that of the other.

    A subclass gives `blocks`.

    Parameters
    ----------
    source : AudioSource
    """

    def __init__(self, source: AudioSource) -> None:
        self.source = source

    @property
    def name(self) -> str:
        """That of the source below."""
        return self.source.name

    @property
    def rate_hz(self) -> int:
        """That of the source below."""
        return self.source.rate_hz

    @property
    def live(self) -> bool:
        """Whether the source below is live."""
        return self.source.live

    @property
    def notes(self) -> Sequence[str]:
        """Those of the source below."""
        return self.source.notes

    @property
    def fault(self) -> str | None:
        """That of the source below."""
        return self.source.fault

    def blocks(self) -> Iterator[Block]:
        """Give the sound from its start."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the source below."""
        self.source.close()
