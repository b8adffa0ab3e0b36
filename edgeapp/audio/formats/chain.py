"""Sound after sound in one file, as joined files and chained streams have it, on one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import soxr

from edgeapp.audio.formats.decoder import Decoder, Hole
from edgeapp.audio.resample import QUALITY


class Chain:
    """Decoders one after the other, at the rate and with the channels of the first.

    Parameters
    ----------
    first : Decoder
    after : callable
        The decoder that follows one which has ended; None after the last.
    all : callable
        All of them, with their true lengths; only called where a position is sought, and once.
    """

    def __init__(
        self,
        first: Decoder,
        after: Callable[[Any], Decoder | None],
        all: Callable[[], Sequence[Decoder]],
    ) -> None:
        self._first, self._after, self._all = first, after, all
        self.rate_hz, self.channels = first.rate_hz, first.channels
        self.frames, self.announced = first.frames, first.announced
        self.notes = list(first.notes)
        self.holes: list[Hole] = []
        self.reason = ""
        self.cut = first.cut
        self.end: int | None = None  # byte behind it, where that is known before it is decoded
        self._opened: list[Decoder] = [first]
        self._known: Sequence[Decoder] = ()

    @classmethod
    def of(cls, parts: Sequence[Decoder]) -> Chain:
        """One after the other, all of them known."""
        following = iter(parts[1:])
        chain = cls(parts[0], lambda before: next(following, None), lambda: parts)
        chain.frames = chain.counted()
        if len(parts) > 1:
            chain.announced = None
        return chain

    def counted(self) -> int | None:
        """Frames of all streams, which are looked for; None where only decoding tells."""
        lengths = [None if one.frames is None else one.frames / one.rate_hz for one in self._parts()]
        known = [length for length in lengths if length is not None]
        return round(sum(known) * self.rate_hz) if len(known) == len(lengths) else None

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a position on."""
        part: Decoder | None = self._first
        begin = count = 0  # of the part, on the clock of all; parts that were met
        if first:
            parts = self._parts()
            while count + 1 < len(parts) and first >= begin + (self._length(parts[count]) or first + 1):
                begin += self._length(parts[count]) or 0
                count += 1
            part, remaining = parts[count], iter(parts[count + 1 :])
        while part is not None:
            told = len(part.notes) if part is self._first else 0
            sought = max(0, first - begin)
            position = 0 if part.frames is None else sought
            for frames in self._fitted(part, position):
                yield frames[max(0, sought - position) :]
                position += len(frames)
            scale = self.rate_hz / part.rate_hz
            self.holes += [Hole(begin + round(one.start * scale), begin + round(one.end * scale)) for one in part.holes]
            self.cut |= part.cut
            self.reason = self.reason or part.reason
            begin += position
            count += 1
            following = next(remaining, None) if first else self._after(part)
            self.notes += part.notes[told:]
            if following is not None and not first:
                part.close()
                self._opened = [following]
            part = following
        if count > 1:
            self.announced = None
            self.notes.append(f"{count} streams in one file, one after the other")

    def close(self) -> None:
        """Close what was opened."""
        for part in (*self._opened, *self._known):
            part.close()

    def _parts(self) -> Sequence[Decoder]:
        """All of them: to open one may start a program."""
        self._known = self._known or self._all()
        return self._known

    def _length(self, part: Decoder) -> int | None:
        """Frames of a part on this clock; None where only decoding tells."""
        return None if part.frames is None else round(part.frames * self.rate_hz / part.rate_hz)

    def _fitted(self, part: Decoder, first: int) -> Iterator[np.ndarray]:
        """Frames of a part from a position on this clock on, at this rate and with these channels."""
        if part.rate_hz == self.rate_hz:
            for frames in part.blocks(first):
                yield _with_channels(frames, self.channels)
            return
        stream = soxr.ResampleStream(part.rate_hz, self.rate_hz, self.channels, dtype="float32", quality=QUALITY)
        for frames in part.blocks():  # from its start, so that a position is the same sample however it is reached
            resampled = stream.resample_chunk(_as_float(_with_channels(frames, self.channels)))
            yield resampled.reshape(-1, self.channels)[first:]
            first = max(0, first - len(resampled))
        yield stream.resample_chunk(np.zeros((0, self.channels), np.float32), last=True).reshape(-1, self.channels)[
            first:
        ]


def _with_channels(frames: np.ndarray, channels: int) -> np.ndarray:
    """Frames as they are, or their average in every channel."""
    if frames.shape[1] == channels:
        return frames
    mean = _as_float(frames).mean(axis=1, keepdims=True, dtype=np.float32)
    return np.repeat(mean, channels, axis=1)


def _as_float(frames: np.ndarray) -> np.ndarray:
    return np.multiply(frames, np.float32(1 / 32_768), dtype=np.float32) if frames.dtype == np.int16 else frames
