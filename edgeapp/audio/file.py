"""Sound files through libsndfile: WAV, FLAC, OGG, MP3 and what else it reads, streamed in constant memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgeapp.audio.memory import BLOCK_SAMPLES
from edgeapp.audio.resample import resampled
from edgeapp.audio.source import Block
from edgeapp.errors import AudioError

FORMATS = "WAV, FLAC, OGG or MP3"
LOW_RATE_HZ = 16_000  # below this the upper half of bird song, 4 to 8 kHz, is not in the file
HIGH_RATE_HZ = 96_000  # above this the file was made for ultrasound, which no window keeps

# An encoder's padding makes a compressed file a few hundredths of a second shorter than announced; that is no damage.
TRUNCATED_SHARE = 0.02
TRUNCATED_S = 0.25

INT16_UNIT = np.float32(1 / 32_768)

MP3_FIRST_FRAME = 2048  # the largest MPEG audio frame, and some padding before it

# libsndfile shortens a cut WAV or AIFF silently and only its log still knows what the header promised.
_PROMISED_BYTES = re.compile(r"^\s*(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_BYTES = 0x7FFF_0000  # recorders that write to a pipe put about 2 or 4 GiB there and mean "until the end"


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

    Attributes
    ----------
    name : str
        The path as given, or the name of the open file.
    rate_hz, channels : int
    duration_s : float
        What the file announces, less ``start_s``.
    notes : list of str
        Notes for the user on the result, one clause each.
    fault : str or None
        Set once all was read and it was clearly less than announced; what was given stays valid.

    Raises
    ------
    AudioError
        Missing, unreadable, a folder, empty, or not audio; and from `blocks`, samples that are not finite.
    """

    live = False

    def __init__(
        self, path: str | os.PathLike[str] | BinaryIO, start_s: float = 0.0, duration_s: float | None = None
    ) -> None:
        import soundfile

        if isinstance(path, (str, os.PathLike)):
            self.name = os.fspath(path)
            _readable(self.name)
            opened: str | BinaryIO = self.name
        else:
            self.name = str(getattr(path, "name", "the recording"))
            path.seek(0)
            if not path.read(1):
                raise _empty(self.name)
            path.seek(0)
            opened = path
        try:
            # As bytes, because a name need not be text.
            self._file = soundfile.SoundFile(os.fsencode(opened) if isinstance(opened, str) else opened)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{self.name}: is not readable audio ({_reason(error)})", f"convert it to {FORMATS}"
            ) from None
        self.rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels
        # NumPy turns 16-bit samples into the very numbers that libsndfile would, in a fifth of the time.
        self._dtype: str = "int16" if self._file.subtype == "PCM_16" else "float32"
        self._announced = _promised_frames(self._file)
        self._estimated = self._file.format in ("MP3", "MPEG") and not _has_length(opened)
        first = round(start_s * self.rate_hz)
        if first:
            if first >= self._file.frames:
                self._file.close()
                raise AudioError(f"{self.name}: ends before {start_s:g} s", "begin earlier")
            try:
                self._file.seek(first)
            except soundfile.LibsndfileError as error:
                self._file.close()
                raise AudioError(
                    f"{self.name}: cannot be read from {start_s:g} s on ({_reason(error)})", "copy the file again"
                ) from None
        self._wanted = max(0, self._announced - first)
        if duration_s is not None:
            self._wanted = min(self._wanted, round(duration_s * self.rate_hz))
        self.duration_s = self._wanted / self.rate_hz
        self.notes = _notes(self.channels, self.rate_hz)
        self.fault: str | None = None

    def blocks(self) -> Iterator[Block]:
        """Decode from the start of the file, or from ``start_s``, to the end."""
        import soundfile

        position = 0
        while position < self._wanted:
            try:
                frames = self._file.read(min(BLOCK_SAMPLES, self._wanted - position), self._dtype, always_2d=True)
            except soundfile.LibsndfileError as error:
                if position == 0:
                    raise AudioError(
                        f"{self.name}: cannot be decoded ({_reason(error)})", "copy the file again"
                    ) from None
                break  # damaged inside: what came before is sound, and `fault` tells the rest
            if not len(frames):
                break
            samples = mixed(frames)
            if not np.isfinite(samples).all():
                at = position + int(np.flatnonzero(~np.isfinite(samples))[0])
                raise AudioError(
                    f"{self.name}: the sample at {at / self.rate_hz:.3f} s is not a number", "export the file again"
                )
            yield Block(position, np.ascontiguousarray(samples))
            position += len(samples)
        missing = self._wanted - position
        if (
            position
            and not self._estimated
            and missing > max(TRUNCATED_SHARE * self._wanted, TRUNCATED_S * self.rate_hz)
        ):
            self.fault = (
                f"announces {self.duration_s:.1f} s but only {position / self.rate_hz:.1f} s can be decoded, "
                "and was used"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def mixed(frames: np.ndarray) -> np.ndarray:
    """Decoded frames as mono.

    Parameters
    ----------
    frames : np.ndarray
        ``[n, channels]`` as a decoder gives them: int16, or float32 of full scale 1.0.

    Returns
    -------
    np.ndarray
        ``[n]`` float32, full scale is 1.0.
    """
    samples = frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1, dtype=np.float32)
    return np.multiply(samples, INT16_UNIT, dtype=np.float32) if frames.dtype == np.int16 else samples


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


def decode(source: FileSource, rate_hz: int) -> np.ndarray:
    """Everything a source has, ``[n]`` mono float32 at a rate, and close it; its `fault` is known from then on."""
    try:
        pieces = [block.samples for block in resampled(source, rate_hz).blocks()]
    finally:
        source.close()
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _readable(name: str) -> None:
    """Say what is wrong; libsndfile only reports "System error"."""
    try:
        with open(name, "rb") as file:
            empty = not file.read(1)
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
    if empty:
        raise _empty(name)


def _empty(name: str) -> AudioError:
    return AudioError(f"{name}: is an empty file", "record or copy it again")


def _promised_frames(file) -> int:  # type: ignore[no-untyped-def]  # soundfile is imported only where it is used
    found = _PROMISED_BYTES.search(file.extra_info)
    if found is None:
        return int(file.frames)
    promised, present = int(found[1]), int(found[2])
    if not present or promised <= present or promised >= _UNKNOWN_BYTES:
        return int(file.frames)
    return round(file.frames * promised / present)


def _has_length(opened: str | BinaryIO) -> bool:
    """Whether an MP3 says how long it is; libsndfile estimates it from the size of the file otherwise."""
    if isinstance(opened, str):
        with open(opened, "rb") as file:
            return _has_length(file)
    position = opened.tell()  # where the decoder goes on
    opened.seek(0)
    head = opened.read(10)
    if head[:3] == b"ID3":  # its size is four bytes of seven bits each (ID3v2.4, section 3.1)
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        opened.seek(10 + size)
    else:
        opened.seek(0)
    first_frame = opened.read(MP3_FIRST_FRAME)
    opened.seek(position)
    return any(tag in first_frame for tag in (b"Xing", b"Info", b"VBRI"))


def _notes(channels: int, rate_hz: int) -> list[str]:
    notes = []
    if channels > 2:
        notes.append(f"{channels} channels were averaged to one")
    if rate_hz < LOW_RATE_HZ:
        notes.append(f"recorded at {rate_hz / 1000:g} kHz, so it has no content above {rate_hz / 2000:g} kHz")
    if rate_hz > HIGH_RATE_HZ:
        notes.append(f"recorded at {rate_hz / 1000:g} kHz, the ultrasound is not used")
    return notes


def _reason(error: Exception) -> str:
    """The library's own word for it, without the path that our line already names."""
    return str(getattr(error, "error_string", error)).strip().rstrip(".") or type(error).__name__
