"""libsndfile as a decoder, read to its end whatever it announces, and past what it stumbles over."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import soundfile

from edgeapp.audio.formats.decoder import BLOCK_FRAMES, DamagedError, Hole
from edgeapp.audio.formats.view import Readable, size_of

# Bytes that a second of sound takes at least: of MPEG audio at its lowest rate (8 kbit/s), and of silence in Vorbis at
# 8 kHz with room to spare. libmpg123 gives silence for ever where a damaged tag counts too many frames.
LEAST_BYTES_MPEG, LEAST_BYTES = 1000, 8
MARGIN_S = 10
BUFFER = 1 << 16  # bytes
UNKNOWN_FRAMES = 1 << 62  # libsndfile announces 2^63 - 1 where it does not know


class _Unsought(soundfile.SoundFile):
    """Read from front to back: soundfile seeks after each read otherwise, which damaged files do not bear."""

    def seekable(self) -> bool:
        return False


class Reader:
    """A file that libsndfile has opened.

    Parameters
    ----------
    source : Readable
        Left open.
    buffers : bool
        Whether it is read in larger pieces than the decoder asks for; of an MP3 that is four bytes at a time.

    Attributes
    ----------
    rate_hz, channels : int
    format, subtype : str
        As soundfile calls them.
    frames : int or None
        As libsndfile counts them.
    error : str
        Why decoding ended; empty at an ordinary end.

    Raises
    ------
    DamagedError
        libsndfile cannot open it.
    """

    def __init__(self, source: Readable, buffers: bool = False) -> None:
        self._source, self._buffers = source, buffers
        self._file = self._opened()
        self.rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.format: str = self._file.format
        self.subtype: str = self._file.subtype
        self.log: str = self._file.extra_info
        self.frames = self._file.frames if 0 <= self._file.frames < UNKNOWN_FRAMES else None
        # NumPy turns 16-bit samples into the very numbers that libsndfile would, in a fifth of the time.
        self.dtype = "int16" if self.subtype == "PCM_16" else "float32"
        self.error = ""
        self._at = 0

    def seek(self, frame: int) -> bool:
        """Go to a frame; back to the first where that is not possible, and whether it was."""
        with suppress(soundfile.LibsndfileError):
            self._at = self._file.seek(frame)
        if self._at != frame:
            self._file.close()
            self._file, self._at = self._opened(), 0
        return self._at == frame

    def read(self, most: int = BLOCK_FRAMES, dtype: str = "") -> np.ndarray:
        """The next frames ``[n, channels]``; none at the end, or where decoding failed."""
        found = np.empty((most, self.channels), dtype or self.dtype)
        if self.error:
            return found[:0]
        n = 0
        try:
            n = len(self._file.read(most, out=found))
        except soundfile.LibsndfileError as error:
            self.error = _reason(error)
            with suppress(soundfile.LibsndfileError):
                n = max(0, self._file.tell() - self._at)  # what was decoded before it failed
        self._at += n
        return found[:n]

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def _opened(self) -> soundfile.SoundFile:
        self._source.seek(0)
        raw: Any = self._source
        buffered = io.BufferedReader(raw, BUFFER) if self._buffers else raw
        try:
            return _Unsought(buffered)
        except soundfile.LibsndfileError as error:
            raise DamagedError(_reason(error)) from None


class SndfileDecoder:
    """Anything libsndfile opens; see `edgeapp.audio.formats.decoder.Decoder`."""

    def __init__(self, source: Readable) -> None:
        size = size_of(source)  # before it is opened, for this moves the position
        self._reader = Reader(source)
        self.rate_hz, self.channels = self._reader.rate_hz, self._reader.channels
        least = LEAST_BYTES_MPEG if self._reader.format in ("MP3", "MPEG") else LEAST_BYTES
        self._most = (size // least + MARGIN_S) * self.rate_hz
        self.frames = self._reader.frames
        if self.frames is not None and self.frames > self._most:
            self.frames = None
        self.announced = self.frames
        self.notes: list[str] = []
        self.holes: list[Hole] = []
        self.reason = ""
        self.cut = False

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a position on."""
        given = 0
        for frames in decoded(self._reader, first):
            if first + given + len(frames) > self._most:
                self.cut, self.reason = True, "no more of it is sound"
                return
            given += len(frames)
            yield frames
        if self._reader.error:
            if not given:
                raise DamagedError(self._reader.error)
            self.cut = True

    def close(self) -> None:
        """Close it."""
        self._reader.close()


def decoded(reader: Reader, first: int) -> Iterator[np.ndarray]:
    """What a reader has from a frame on; by decoding what comes before where it cannot seek."""
    drop = 0 if not first or reader.seek(first) else first
    while len(frames := reader.read()):
        if drop < len(frames):
            yield frames[drop:]
        drop = max(0, drop - len(frames))


def _reason(error: Exception) -> str:
    """The library's own words, without the path that our line already names."""
    words = str(getattr(error, "error_string", error)).strip().rstrip(".")
    return "its format is not known" if not words or "regular file" in words or "not recognised" in words else words
