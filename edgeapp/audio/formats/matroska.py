"""The sound that ffmpeg gives: floats with their times, in Matroska. Source: RFC 9559."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np

from edgeapp.audio.formats import ebml
from edgeapp.audio.formats.timed import Timed

PIPED = 1 << 17  # bytes that are taken from a pipe at once: of 0.3 s and more


class MatroskaSound:
    """Floats and their times of a stream of one track, as it comes.

    Parameters
    ----------
    read : callable
        Gives as many bytes, fewer at the end.

    Attributes
    ----------
    rate_hz, channels : int
        0 where the stream ends before its first block.
    """

    _ENTERED = frozenset((ebml.SEGMENT, ebml.TRACKS, ebml.TRACK, ebml.AUDIO, ebml.CLUSTER, ebml.BLOCK_GROUP))

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._data, self._at = b"", 0
        self.rate_hz = self.channels = 0
        self._time = 0.0  # of the cluster, in milliseconds
        self._first = next(self._blocks(), None)

    def pieces(self) -> Iterator[Timed]:
        """Seconds, and frames ``[n, channels]`` float32."""
        if self._first is not None:
            yield self._first
            yield from self._blocks()

    def _blocks(self) -> Iterator[Timed]:
        while (found := self._element()) is not None:
            name, body = found
            if name == ebml.RATE:
                self.rate_hz = round(struct.unpack(">d" if len(body) == 8 else ">f", body)[0])
            elif name == ebml.CHANNELS:
                self.channels = int.from_bytes(body, "big")
            elif name == ebml.CLUSTER_TIME:
                self._time = int.from_bytes(body, "big")
            elif name in (ebml.SIMPLE_BLOCK, ebml.BLOCK) and self.channels:
                at = ebml.number(body)[1]  # of the track
                time = self._time + int.from_bytes(body[at : at + 2], "big", signed=True)
                whole = (len(body) - at - 3) // (4 * self.channels) * self.channels
                yield time / 1000, np.frombuffer(body, "<f4", whole, at + 3).reshape(-1, self.channels)

    def _element(self) -> tuple[int, bytes] | None:
        """The next one that holds no others; None at the end."""
        while True:
            found = ebml.element(self._data, self._at)
            if found is None or (found[0] not in self._ENTERED and found[1] + found[2] > len(self._data)):
                missing = ebml.LONGEST if found is None else found[1] + found[2] - len(self._data)
                more = self._read(max(PIPED, missing))
                if not more:
                    return None
                self._data, self._at = self._data[self._at :] + more, 0
                continue
            name, body, size = found
            if name in self._ENTERED:
                self._at = body
                continue
            self._at = body + size
            return name, self._data[body : body + size]
