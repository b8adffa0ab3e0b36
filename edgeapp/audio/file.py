"""Sound files of any format, streamed in constant memory and decoded to their very end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from edgeapp.audio.centred import REMOVED, centred
from edgeapp.audio.changing import Unchanged
from edgeapp.audio.full_scale import beyond_reason, described, integer_bits, is_loud
from edgeapp.audio.plausible import Listening
from edgeapp.audio.resample import SOXR, resampled
from edgeapp.audio.source import Block
from edgeapp.errors import AudioError, PassedOverError

if TYPE_CHECKING:  # what reads the formats is imported with the first file
    from edgeapp.audio.formats.decoder import Decoder, Hole

FORMATS = "WAV, FLAC, OGG or MP3"
INSTALL = "install ffmpeg (such as `apt install ffmpeg`), or PyAV: pip install 'biovita-edge[formats]'"
LOW_RATE_HZ = 16_000  # below this the upper half of bird song, 4 to 8 kHz, is not in the file
LEAST_RATE_HZ, MOST_RATE_HZ = 200, 4_000_000  # of infrasound, and beyond all hydrophones; others are damage
HIGH_RATE_HZ = 96_000  # above this the file was made for ultrasound, which no window keeps

# An encoder's padding makes a compressed file a few hundredths of a second shorter than announced; that is no damage.
DIFFERENCE_S = 0.1
IMPOSSIBLE = 100  # times the true length, or
IMPOSSIBLE_S = 7 * 86_400  # seconds, from which on an announced length is not worth printing
MOST_HOLES = 3  # that a message names


class FileSource:
    """A sound file, channels averaged to mono.

    Parameters
    ----------
    path : path or open binary file
        An open file must be able to seek and is left open; its ``name``, where it has one, stands in the messages.
    start_s : float
        Where to begin; the source's clock still starts at 0.
    duration_s : float or None
        How much to give; to the end when None.
    channel : int
        The only one that is used, from 1; 0 mixes them, see `edgeapp.audio.channels.ChannelMixer`.
    examine : bool
        Look for faults of the recording on the way; see `edgeapp.audio.plausible.Examination`.
    name : str, optional
        Of an open file, for messages.
    close_file : bool
        Whether an open file is closed with the source.

    Attributes
    ----------
    name : str
        The path as given, or the name of the open file.
    rate_hz, channels : int
    duration_s : float or None
        By the bytes of the file, less ``start_s``; never what a header announces and the bytes belie. None where only
        decoding tells.
    cut : bool
        Whether it is known before it is decoded that sound which is announced is missing at the end.
    notes : list of str
        Notes for the user on the result, one clause each; complete once all was read.
    fault : str or None
        Set once all was read and some of it was damaged or missing; what was given stays valid.

    Raises
    ------
    AudioError
        Missing, unreadable, a folder, empty, or not audio; and from `blocks`, samples that are not finite.
    PassedOverError
        A companion file of macOS, which never was a recording.
    """

    live = False

    def __init__(
        self,
        path: str | os.PathLike[str] | BinaryIO,
        start_s: float = 0.0,
        duration_s: float | None = None,
        channel: int = 0,
        *,
        examine: bool = True,
        name: str | None = None,
        close_file: bool = False,
    ) -> None:
        self._own: BinaryIO | None = None
        if isinstance(path, (str, os.PathLike)):
            self.name = os.fspath(path)
            file = self._own = _opened(self.name)
        else:
            self.name = name or str(getattr(path, "name", "the recording"))
            file = path
            self._own = file if close_file else None
        self._unchanged = Unchanged(file)
        try:
            self._decoder = self._decoder_of(file)
            self.rate_hz, self.channels = self._decoder.rate_hz, self._decoder.channels
            if not LEAST_RATE_HZ <= self.rate_hz <= MOST_RATE_HZ:
                raise AudioError(
                    f"{self.name}: announces an impossible sample rate of {self.rate_hz} Hz", "copy the file again"
                )
            if channel > self.channels:
                only = "one channel" if self.channels == 1 else f"{self.channels} channels"
                raise AudioError(f"{self.name}: has no channel {channel}, only {only}", "choose another --channel")
            self._first = round(start_s * self.rate_hz)
            self._most = None if duration_s is None else round(duration_s * self.rate_hz)
            self.duration_s = self._length_s(start_s)
        except BaseException:
            self.close()
            raise
        self._channel, self._examine = channel, examine
        self._file = file
        self._scale: np.float32 | None = None
        self.notes = [*_notes(1 if channel else self.channels, self.rate_hz), *self._decoder.notes]
        self.cut = self._decoder.cut
        self.fault: str | None = None

    def blocks(self) -> Iterator[Block]:
        """Decode from the start of the file, or from ``start_s``, to the end."""
        listening = Listening(self.channels, self.rate_hz, self._channel, self._examine)
        given = 0
        for frames in self.frames():
            samples = listening.add(frames)
            if len(samples):
                yield Block(given, np.ascontiguousarray(samples))
                given += len(samples)
        samples = listening.finish()
        self.notes += listening.notes
        if len(samples):
            yield Block(given, np.ascontiguousarray(samples))

    def frames(self) -> Iterator[np.ndarray]:
        """Decode as `blocks`, all channels: ``[n, channels]``, int16, or float32 of full scale 1.0."""
        from edgeapp.audio.formats.decoder import DamagedError

        position, before = 0, len(self._decoder.notes)
        try:
            for frames in self._decoder.blocks(self._first):
                if self._most is not None and position + len(frames) >= self._most:
                    frames = frames[: self._most - position]
                if not len(frames):
                    continue
                yield self._sane(frames, position)
                position += len(frames)
                if position == self._most:
                    break
            else:
                self._compare(position)
        except DamagedError as error:
            reason = "it became shorter while it was read" if self._unchanged.lost() else error
            raise AudioError(f"{self.name}: cannot be decoded ({reason})", "copy the file again") from None
        except OSError as error:
            raise self._unread(error) from None
        self.notes += self._decoder.notes[before:]
        self._told(position)

    def close(self) -> None:
        """Close the file."""
        with suppress(AttributeError):  # it was never opened
            self._decoder.close()
        if self._own is not None:
            self._own.close()

    def _decoder_of(self, file: BinaryIO) -> Decoder:
        from edgeapp.audio.formats.decoder import DamagedError, MissingDecoderError, NotAudioError
        from edgeapp.audio.formats.opening import open_decoder
        from edgeapp.audio.formats.sniff import APPLE_DOUBLE
        from edgeapp.audio.formats.view import read_at

        try:
            head = read_at(file, 0, len(APPLE_DOUBLE))
            if not head:
                raise AudioError(f"{self.name}: is an empty file", "record or copy it again")
            if head == APPLE_DOUBLE:
                raise PassedOverError(f"{self.name}: is a companion file of macOS, not a recording; passed over")
            return open_decoder(file)
        except MissingDecoderError as error:
            raise AudioError(f"{self.name}: is {error}, which needs ffmpeg or PyAV", INSTALL) from None
        except NotAudioError as error:
            raise AudioError(f"{self.name}: is {error}", f"give a recording: {FORMATS}") from None
        except DamagedError as error:
            raise AudioError(
                f"{self.name}: is not readable audio ({error})", f"convert it to {FORMATS}, or copy it again"
            ) from None
        except OSError as error:
            raise self._unread(error) from None

    def _unread(self, error: OSError) -> AudioError:
        return AudioError(f"{self.name}: cannot be read ({error.strerror or error})", "copy the file again")

    def _length_s(self, start_s: float) -> float | None:
        """Seconds that will be given.

        Raises
        ------
        AudioError
            The file ends before.
        """
        from edgeapp.audio.formats.chain import Chain

        frames, announced = self._decoder.frames, self._decoder.announced
        if self._first and isinstance(self._decoder, Chain):
            frames = self._decoder.counted()
        if self._first and frames is not None and self._first >= frames:
            if announced is not None and self._first < announced:
                raise AudioError(
                    f"{self.name}: cannot be read from {start_s:g} s on (it ends after {frames / self.rate_hz:.1f} s)",
                    "copy the file again",
                )
            raise AudioError(f"{self.name}: ends before {start_s:g} s", "begin earlier")
        if frames is None:
            return None
        left = frames - self._first
        return (left if self._most is None else min(left, self._most)) / self.rate_hz

    def _sane(self, frames: np.ndarray, position: int) -> np.ndarray:
        """Frames on the scale of floats.

        Raises
        ------
        AudioError
            One of them is no sample of a recording.
        """
        if frames.dtype == np.int16:
            return frames
        if self._scale is None and (loud := is_loud(frames)) is not None:
            self._scale = self._scale_of_integers() if loud else np.float32(1)
        if self._scale is not None and self._scale != 1:
            frames = frames * self._scale
        if (wrong := beyond_reason(frames)) is not None:
            raise AudioError(
                f"{self.name}: the sample at {(position + wrong) / self.rate_hz:.3f} s is {described(frames[wrong])}",
                "export the file again",
            )
        return frames

    def _scale_of_integers(self) -> np.float32:
        """What brings samples on the scale of integers to that of floats."""
        from edgeapp.audio.formats.opening import open_decoder

        again = open_decoder(self._file)
        try:
            bits = integer_bits(again.blocks())
        finally:
            again.close()
        if bits is None:
            return np.float32(1)
        self.notes.append(f"its floats are on the scale of {bits}-bit integers, and were divided by 2^{bits - 1}")
        return np.float32(2.0 ** (1 - bits))

    def _compare(self, position: int) -> None:
        """Compare what is announced with what was there, now that all of it was decoded."""
        announced, frames = self._decoder.announced, self._first + position
        found = f"{frames / self.rate_hz:.1f} s"
        if self._unchanged.lost():
            self.fault = f"became shorter while it was read; {found} were heard"
            return
        if note := self._unchanged.note():
            self.notes.append(note)
        if not position or announced is None:
            if self._decoder.reason:
                self.fault = f"is damaged ({self._decoder.reason}); {found} were found and used"
            elif self._decoder.cut:
                self.fault = f"is cut off after {found}; what is there was used"
            return
        length = f"announces {announced / self.rate_hz:.1f} s"
        if announced > min(IMPOSSIBLE * frames, IMPOSSIBLE_S * self.rate_hz):
            length = "announces an impossible length"
        missing = announced - frames
        if abs(missing) <= DIFFERENCE_S * self.rate_hz:
            return
        if missing > 0 and self._decoder.cut:
            self.fault = f"{length} but only {found} can be decoded, and was used"
        else:
            length = length if announced else "announces no sound"
            self.notes.append(f"the header {length}; {found} were found and used")

    def _told(self, position: int) -> None:
        """Tell what was damaged of what was given."""
        holes = [hole for hole in self._decoder.holes if self._first <= hole.start <= self._first + position]
        if holes:
            damaged = _places(holes, self.rate_hz, self._first)
            self.fault = damaged if not self.fault or self._decoder.reason else f"{damaged}; {self.fault}"


def _places(holes: list[Hole], rate_hz: int, first: int) -> str:
    """Where sound is damaged, in words."""
    named = []
    for hole in holes[:MOST_HOLES]:
        start_s, end_s = (hole.start - first) / rate_hz, (hole.end - first) / rate_hz
        named.append(f"from {start_s:.2f} to {end_s:.2f} s" if hole.end > hole.start else f"at {start_s:.2f} s")
    more = f" and in {len(holes) - MOST_HOLES} more places" if len(holes) > MOST_HOLES else ""
    return f"is damaged {', '.join(named)}{more}; the sound before and after was used"


def load(
    path: str | os.PathLike[str] | BinaryIO, rate_hz: int, start_s: float = 0.0, duration_s: float | None = None
) -> np.ndarray:
    """Decode a file, or a part of it, at a rate: what the device would hear.

    Parameters
    ----------
    path : path or open binary file
    rate_hz : int
        Rate wanted.
    start_s : float
    duration_s : float or None
        To the end when None.

    Returns
    -------
    np.ndarray
        ``[n]`` mono float32, shorter than asked where the file ends.

    Raises
    ------
    AudioError
        As `FileSource`.
    """
    return decode(FileSource(path, start_s, duration_s), rate_hz)


def decode(source: FileSource, rate_hz: int, resampler: str = SOXR, offset: str = REMOVED) -> np.ndarray:
    """Everything a source has, ``[n]`` mono float32 at a rate, and close it; its `fault` is known from then on."""
    try:
        pieces = [block.samples for block in resampled(centred(source, offset), rate_hz, resampler).blocks()]
    finally:
        source.close()
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _opened(name: str) -> BinaryIO:
    try:
        if _is_named_pipe(name):
            from edgeapp.audio.piped import from_named_pipe

            return from_named_pipe(name)
        return open(name, "rb")
    except FileNotFoundError:
        raise AudioError(f"{name}: does not exist", "check the path") from None
    except IsADirectoryError:
        raise AudioError(f"{name}: is a folder", f"name the files in it, such as {Path(name) / '*.wav'}") from None
    except PermissionError:
        if Path(name).is_dir():  # what Windows answers for a folder
            raise AudioError(f"{name}: is a folder", "name the files in it") from None
        raise AudioError(f"{name}: permission denied", "check the file's permissions") from None
    except (OSError, ValueError) as error:
        raise AudioError(f"{name}: cannot be opened ({error})", "check the path") from None


def _is_named_pipe(name: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(name).st_mode)
    except (OSError, ValueError):
        return False


def _notes(channels: int, rate_hz: int) -> list[str]:
    notes = []
    if channels > 2:
        notes.append(f"{channels} channels were averaged to one")
    if rate_hz < LOW_RATE_HZ:
        notes.append(f"recorded at {rate_hz / 1000:g} kHz, so it has no content above {rate_hz / 2000:g} kHz")
    if rate_hz > HIGH_RATE_HZ:
        notes.append(f"recorded at {rate_hz / 1000:g} kHz, the ultrasound is not used")
    return notes
