"""The sound of a WAV file, from where its chunks say it lies."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from edgeapp.audio.formats.decoder import BLOCK_FRAMES, DamagedError, Decoder, Hole, UnknownCodecError
from edgeapp.audio.formats.mpeg import mpeg_decoder
from edgeapp.audio.formats.sndfile import SndfileDecoder
from edgeapp.audio.formats.view import Readable, View
from edgeapp.audio.formats.wave import FLOAT, MP3, PCM, Layout, layout

_INTEGERS = {1: "u1", 2: "i2", 3: "u1", 4: "i4"}
_FLOATS = {4: "f4", 8: "f8"}


def wave_decoder(file: Readable) -> Decoder:
    """Decoder of a WAV file.

    Raises
    ------
    DamagedError
        As `edgeapp.audio.formats.wave.layout`, and where libsndfile does not know how it is written.
    """
    found = layout(file)
    if (found.format_tag == PCM and found.width in _INTEGERS) or (found.format_tag == FLOAT and found.width in _FLOATS):
        return PcmDecoder(file, found)
    if found.format_tag == MP3:
        mpeg = mpeg_decoder(View(file, found.spans), 0)
        if mpeg is not None:
            return mpeg
    try:
        return _Encoded(file, found)
    except DamagedError as error:
        raise UnknownCodecError(str(error)) from None


class PcmDecoder:
    """Linear PCM and floats of a WAV file; see `edgeapp.audio.formats.decoder.Decoder`.

    Samples are the very numbers that libsndfile makes of them.
    """

    def __init__(self, file: Readable, layout: Layout) -> None:
        self._view = View(file, layout.spans)
        self._layout = layout
        self._frame = layout.width * layout.channels
        self.rate_hz, self.channels = layout.rate_hz, layout.channels
        self.frames: int | None = layout.size // self._frame
        self.announced = None if layout.announced is None else layout.announced // self._frame
        self.notes: list[str] = []
        self.holes: list[Hole] = []
        self.reason = ""
        self.cut = self.announced is not None and layout.size < (layout.announced or 0)

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a position on."""
        self._view.seek(first * self._frame)
        while len(raw := self._view.read(BLOCK_FRAMES * self._frame)) >= self._frame:
            whole = len(raw) // self._frame * self._frame
            yield self._samples(raw[:whole]).reshape(-1, self.channels)
        if self._view.error is not None:
            raise self._view.error

    def close(self) -> None:
        """Nothing of its own to close."""

    def _samples(self, raw: bytes) -> np.ndarray:
        order = ">" if self._layout.big_endian else "<"
        if self._layout.format_tag == FLOAT:
            with np.errstate(over="ignore"):  # a double beyond what a float holds is found as infinite
                return np.frombuffer(raw, order + _FLOATS[self._layout.width]).astype(np.float32)
        width = self._layout.width
        if width == 1:
            return (np.frombuffer(raw, np.uint8).astype(np.float32) - np.float32(128)) * np.float32(1 / 128)
        if width == 3:
            wide = np.zeros((len(raw) // 3, 4), np.uint8)
            packed = np.frombuffer(raw, np.uint8).reshape(-1, 3)
            wide[:, 1:] = (
                packed[:, ::-1] if self._layout.big_endian else packed
            )  # the upper bytes of four keep the sign
            return np.multiply(wide.view("<i4")[:, 0], np.float32(1 / 2**31), dtype=np.float32)
        values = np.frombuffer(raw, f"{order}i{width}")
        return values.astype(np.int16) if width == 2 else np.multiply(values, np.float32(1 / 2**31), dtype=np.float32)


class _Encoded(SndfileDecoder):
    """What else a WAV file holds, such as mu-law and ADPCM: libsndfile is shown a header that tells the truth."""

    def __init__(self, file: Readable, found: Layout) -> None:
        size = min(found.size, 0xFFFF_FF00 - len(found.fmt))
        order = ">" if found.big_endian else "<"
        head = b"WAVEfmt " + struct.pack(order + "I", len(found.fmt)) + found.fmt + b"\0" * (len(found.fmt) % 2)
        if found.format_tag != PCM:
            head += b"fact" + struct.pack(order + "II", 4, 0xFFFF_FFFF)
        head += b"data" + struct.pack(order + "I", size)
        riff = (b"RIFX" if found.big_endian else b"RIFF") + struct.pack(order + "I", len(head) + size)
        super().__init__(View(file, [riff + head, *found.spans]))
        self.announced = None
        if found.announced is not None and self.frames and found.size:
            self.announced = round(self.frames * found.announced / found.size)
            self.cut = found.size < found.announced
