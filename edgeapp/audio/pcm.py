"""Raw PCM from a pipe or an open file: `listen -` and `identify -`."""

from __future__ import annotations

import io
import itertools
import os
import select
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from edgeapp.audio.full_scale import beyond_reason, described
from edgeapp.audio.source import Block
from edgeapp.errors import AudioError, UsageError

STDIN = "-"  # the name of raw sound that is piped in
BYTES = {"s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4}  # of one sample; s24le is packed in three
FORMATS = tuple(BYTES)
HEADER_BYTES = 4096  # of which a file is known
READ_BYTES = 65_536  # what a pipe of Linux holds
WAKE_S = 0.2  # how soon `close` ends a read that nothing arrives for

_CAN_WAIT = os.name == "posix"  # Windows waits for sockets only; a read that nothing arrives for is not ended there
_TYPES = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}
_FORMAT_OF = {(1, 2): "s16le", (1, 3): "s24le", (1, 4): "s32le", (3, 4): "f32le"}  # WAV's tag and bytes of a sample
_FULL = {"s16le": 2.0**15, "s32le": 2.0**31, "f32le": 1.0}


def mono(raw: bytes, format: str, channels: int) -> np.ndarray:
    """Raw little-endian PCM as sound.

    Parameters
    ----------
    raw : bytes
        Whole frames.
    format : str
        One of `FORMATS`.
    channels : int
        Averaged to one.

    Returns
    -------
    np.ndarray
        ``[n]`` float32, full scale is 1.0.
    """
    if format == "s24le":
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)  # the upper three bytes of four keep the sign
        values, full = wide.view("<i4")[:, 0], 2.0**31
    else:
        values, full = np.frombuffer(raw, _TYPES[format]), _FULL[format]
    scaled = np.multiply(values, np.float32(1.0 / full), dtype=np.float32)
    return scaled if channels == 1 else scaled.reshape(-1, channels).mean(axis=1, dtype=np.float32)


class PcmSource:
    """Raw PCM as an audio source; it ends where the input ends.

    Parameters
    ----------
    file : BinaryIO
        Such as ``sys.stdin.buffer``; left open.
    rate_hz, channels : int
        Nothing in raw PCM tells them.
    format : str
        One of `FORMATS`.
    name : str
    live : bool
        True where the sound arrives as it happens.

    Attributes
    ----------
    notes : tuple of str
        What is odd about it, as `edgeapp.audio.file.FileSource` has it: nothing, raw sound tells nothing of itself.
    fault : str or None
        Set at the end when the input stopped inside a sample.

    Raises
    ------
    UsageError
        A format, rate or number of channels that does not exist.
    AudioError
        From `blocks`: f32le samples that are not finite, or an input that cannot be read.
    """

    def __init__(
        self,
        file: BinaryIO,
        rate_hz: int,
        channels: int = 1,
        format: str = "s16le",
        *,
        name: str = "standard input",
        live: bool = False,
    ) -> None:
        if format not in FORMATS:
            raise UsageError(f"raw PCM of format {format!r} is not known", f"give one of {', '.join(FORMATS)}")
        if rate_hz <= 0 or channels <= 0:
            raise UsageError(
                f"raw PCM of {rate_hz} Hz and {channels} channels is invalid", "both must be greater than 0"
            )
        self._file = file
        self._channels = channels
        self._format = format
        self._frame = BYTES[format] * channels
        self._closed = False
        self.rate_hz = rate_hz
        self.name = name
        self.live = live
        self.notes: tuple[str, ...] = ()
        self.fault: str | None = None

    def blocks(self) -> Iterator[Block]:
        """Give what arrives until the input ends or `close` is called."""
        start = 0
        pieces = self._pieces()
        left = self._without_header(pieces)
        for piece in itertools.chain((b"",), pieces):
            raw = left + piece
            whole = len(raw) - len(raw) % self._frame
            left = raw[whole:]
            if not whole:
                continue
            samples = mono(raw[:whole], self._format, self._channels)
            if self._format == "f32le" and (wrong := beyond_reason(samples)) is not None:
                raise AudioError(
                    f"{self.name}: the sample at {(start + wrong) / self.rate_hz:.3f} s is {described(samples[wrong])}",
                    f"check that the sound really is {self._format}",
                )
            yield Block(start, samples)
            start += len(samples)
        if left and not self._closed:
            self.fault = (
                f"ends inside a sample: {len(left)} bytes are left over that {self._channels} x {self._format} "
                "does not explain"
            )

    def close(self) -> None:
        """End `blocks()`. Safe in a signal handler; idempotent."""
        self._closed = True

    def _without_header(self, pieces: Iterator[bytes]) -> bytes:
        """The first bytes of raw sound, without the header of a WAV file that says what was asked for.

        Raises
        ------
        AudioError
            It is a file of another kind.
        """
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= HEADER_BYTES:
                break
        from edgeapp.audio.formats.sniff import WAVE, container_of
        from edgeapp.audio.formats.wave import layout

        kind = container_of(head)
        if kind is None:
            return head
        if kind != WAVE:
            raise AudioError(f"{self.name}: is a file ({kind}), not raw sound", "give it to `biovita-edge identify -`")
        found = layout(io.BytesIO(head))
        format = _FORMAT_OF.get((found.format_tag, found.width))
        if (found.rate_hz, found.channels, format) != (self.rate_hz, self._channels, self._format):
            told = f"{found.rate_hz} Hz, {found.channels} channels, {format or 'encoded'}"
            raise AudioError(
                f"{self.name}: is a WAV file ({told}) and not as expected "
                f"({self.rate_hz} Hz, {self._channels} channels, {self._format})",
                "give --pcm-rate, --pcm-channels and --pcm-format as the header has them",
            )
        return head[found.spans[0][0] :]

    def _pieces(self) -> Iterator[bytes]:
        try:
            descriptor = self._file.fileno()
        except (OSError, AttributeError, ValueError):  # an input in memory
            while not self._closed and (piece := self._file.read(READ_BYTES)):
                yield piece
            return
        while not self._closed:
            try:
                if _CAN_WAIT and not select.select([descriptor], [], [], WAKE_S)[0]:
                    continue
                piece = os.read(descriptor, READ_BYTES)
            except OSError as error:
                raise AudioError(
                    f"{self.name}: cannot be read ({error.strerror})", "check what is piped into it"
                ) from None
            if not piece:
                return
            yield piece
