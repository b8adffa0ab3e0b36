"""Raw PCM from a pipe or an open file: `listen -` and `identify -`."""

from __future__ import annotations

import io
import itertools
import os
import select
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from edgeapp.audio.channels import mean_of
from edgeapp.audio.full_scale import beyond_reason, described
from edgeapp.audio.plausible import Listening
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


def frames_of(raw: bytes, format: str, channels: int) -> np.ndarray:
    """Raw little-endian PCM as frames.

    Parameters
    ----------
    raw : bytes
        Whole frames.
    format : str
        One of `FORMATS`.
    channels : int

    Returns
    -------
    np.ndarray
        ``[n, channels]`` float32, full scale is 1.0.
    """
    if format == "s24le":
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)  # the upper three bytes of four keep the sign
        values, full = wide.view("<i4")[:, 0], 2.0**31
    else:
        values, full = np.frombuffer(raw, _TYPES[format]), _FULL[format]
    return np.multiply(values, np.float32(1.0 / full), dtype=np.float32).reshape(-1, channels)


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
        True where the sound arrives as it happens: it is given at once, and its channels are averaged unseen.
    channel : int
        The only one that is used, from 1; 0 mixes them.

    Attributes
    ----------
    notes : list of str
        What is odd about it, as `edgeapp.audio.file.FileSource` has it, once all was read; nothing if `live`.
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
        channel: int = 0,
    ) -> None:
        if format not in FORMATS:
            raise UsageError(f"raw PCM of format {format!r} is not known", f"give one of {', '.join(FORMATS)}")
        if rate_hz <= 0 or channels <= 0:
            raise UsageError(
                f"raw PCM of {rate_hz} Hz and {channels} channels is invalid", "both must be greater than 0"
            )
        if channel > channels:
            raise AudioError(f"{name}: has no channel {channel}, only {channels}", "give their number as well")
        self._file = file
        self._channels, self._channel = channels, channel
        self._format = format
        self._frame = BYTES[format] * channels
        self._closed = False
        self.rate_hz = rate_hz
        self.name = name
        self.live = live
        self.notes: list[str] = []
        self.fault: str | None = None

    def blocks(self) -> Iterator[Block]:
        """Give what arrives until the input ends or `close` is called."""
        listening = _Straight(self._channel) if self.live else Listening(self._channels, self.rate_hz, self._channel)
        given = taken = 0
        pieces = self._pieces()
        left = self._without_header(pieces)
        for piece in itertools.chain((b"",), pieces):
            raw = left + piece
            whole = len(raw) - len(raw) % self._frame
            left = raw[whole:]
            if not whole:
                continue
            frames = frames_of(raw[:whole], self._format, self._channels)
            if self._format == "f32le" and (wrong := beyond_reason(frames)) is not None:
                raise AudioError(
                    f"{self.name}: the sample at {(taken + wrong) / self.rate_hz:.3f} s is {described(frames[wrong])}",
                    f"check that the sound really is {self._format}",
                )
            taken += len(frames)
            samples = listening.add(frames)
            if len(samples):
                yield Block(given, samples)
                given += len(samples)
        samples = listening.finish()
        self.notes += listening.notes
        if len(samples):
            yield Block(given, samples)
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


class _Straight:
    """Live sound, given as it comes."""

    notes: tuple[str, ...] = ()

    def __init__(self, channel: int) -> None:
        self._used = None if channel == 0 else (channel - 1,)

    def add(self, frames: np.ndarray) -> np.ndarray:
        return mean_of(frames, self._used)

    def finish(self) -> np.ndarray:
        return np.zeros(0, np.float32)
