"""Clips on the disk.

Layout: ``<folder>/YYYY/MM/turdus_merula_98p_20240607T165929Z.flac``, in UTC. A clip is made whole in memory and written
atomically (`gallery.files`); only then may the journal know of it. So a final name always is a whole clip, and what a
crash leaves is a temporary file that the next start removes, unless a second station on the same folder is writing it.
"""

from __future__ import annotations

import io
import os
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from itertools import count
from pathlib import Path

import numpy as np

from edgeapp.audio.metadata import guano
from edgeapp.clips.settings import FORMATS
from edgeapp.errors import OutputError
from edgeapp.file_names import portable
from gallery import files
from gallery.errors import reason_of

_NAMED = re.compile(r"(.+_\d+p)_\d{8}T\d{6}Z(?:_\d+)?\.\w+")
_LONGEST_NAME = 80  # characters of the taxon: with the rest far below the 255 bytes of FAT, NTFS and ext4
_HIGHEST_VORBIS_HZ = 200_000
_HIGHEST_FLAC_HZ = 655_350
_ENCODED_AT_ONCE = 1 << 16  # libvorbis keeps what it is given on the stack, and a long clip would overflow it


def stem(taxon: str, confidence: float, start: datetime) -> str:
    """Name of a clip without its ending, such as ``turdus_merula_98p_20240607T165929Z``.

    Only a-z, 0-9, "_" and the T and Z of the time, which every file system takes.
    """
    ascii_only = unicodedata.normalize("NFKD", taxon).encode("ascii", "ignore").decode().lower()
    safe = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")[:_LONGEST_NAME].rstrip("_") or "unnamed"
    percent = min(100, max(0, round(confidence * 100)))
    return portable(f"{safe}_{percent}p_{_stamp(start)}")


def stem_at(name: str, start: datetime) -> str | None:
    """The stem of a clip with another beginning, from the name of its file; None where it is no name of a clip."""
    found = _NAMED.fullmatch(name)
    return None if found is None else f"{found[1]}_{_stamp(start)}"


def _stamp(start: datetime) -> str:
    return f"{start.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}"


def holds(format: str, rate_hz: int) -> bool:
    """Whether a format can hold sound of a rate, in Hz.

    Asked beforehand, because libsndfile 1.2.2 crashes on a Vorbis rate that it cannot encode and writes a FLAC that it
    cannot read.
    """
    if format == "ogg":
        return rate_hz <= _HIGHEST_VORBIS_HZ
    if format == "flac":  # above 65,535 Hz its header counts in tens
        return rate_hz <= _HIGHEST_FLAC_HZ and (rate_hz < 1 << 16 or rate_hz % 10 == 0)
    return True


def encoded(samples: np.ndarray, rate_hz: int, format: str, metadata: str) -> bytes:
    """A whole sound file in memory.

    It is made there because libsndfile keeps back write errors that the system gives it while it closes a file.

    Parameters
    ----------
    samples : np.ndarray
        ``[n]`` int16; WAV and FLAC hold exactly these.
    rate_hz : int
    format : str
        One of `FORMATS`.
    metadata : str
        GUANO lines.

    Raises
    ------
    OutputError
        When the format cannot hold sound of that rate.
    """
    import soundfile

    if not holds(format, rate_hz):
        raise OutputError(f"a clip of {rate_hz} Hz cannot be written as {format}", "write clips as wav")
    container, subtype = FORMATS[format]
    made = io.BytesIO()
    with soundfile.SoundFile(made, "w", rate_hz, 1, subtype=subtype, format=container) as file:
        if format != "wav":
            file.comment = metadata
        for start in range(0, len(samples), _ENCODED_AT_ONCE):
            file.write(samples[start : start + _ENCODED_AT_ONCE])
    whole = made.getvalue()
    return guano.into_wav(whole, metadata) if format == "wav" else whole


class ClipFolder:
    """The folder that clips are written into, shared by all streams of a station.

    Parameters
    ----------
    folder : path
        Made when it is missing.
    tell : callable
        Takes one line for a person: when clips cannot be written any more, and when they can again.
    """

    def __init__(self, folder: str | os.PathLike[str], tell: Callable[[str], None]) -> None:
        self.folder = Path(folder).absolute()
        self._tell = tell
        self._lock = threading.Lock()
        self._trouble = False  # since a clip could not be written, until one can
        self._lost = 0  # clips given up meanwhile

    def remove_orphans(self) -> int:
        """Remove the temporary files that a crash left; gives how many."""
        return files.remove_abandoned(self.folder, f"[0-9]*/[0-9]*/{files.TEMPORARY}")

    def write(self, start: datetime, name: str, format: str, make: Callable[[str], bytes]) -> tuple[Path, int]:
        """Write one whole file.

        Parameters
        ----------
        start : datetime
            Decides the year and month.
        name : str
            Stem of the file; ``_2`` and so on is added where it is taken.
        format : str
            Its ending.
        make : callable
            Gives the content, for the final name of the file.

        Returns
        -------
        path : Path
        bytes : int

        Raises
        ------
        OSError, OutputError
            The file is not there then, under any name that the system lets us remove.
        """
        utc = start.astimezone(timezone.utc)
        folder = self.folder / f"{utc:%Y}" / f"{utc:%m}"
        with self._lock:
            _make_folder(folder)
            path = _free(folder, name, format)
            content = make(path.name)
            try:
                with files.replacing(path, sweep=False) as part:
                    part.write_bytes(content)
            except BaseException:
                with suppress(OSError):  # a full or read-only disk already is the error
                    path.unlink()
                raise
            return path, len(content)

    def write_again(
        self, old: Path, start: datetime, name: str, format: str, make: Callable[[str], bytes]
    ) -> tuple[Path, bytes]:
        """Write the file that takes the place of an old one, and give its path and its content.

        As `write`; but where the name of the old file is the right one, it is replaced, and a file that has the very
        content was written by a program that was killed, and is taken.
        """
        utc = start.astimezone(timezone.utc)
        folder = self.folder / f"{utc:%Y}" / f"{utc:%m}"
        with self._lock:
            _make_folder(folder)
            for path in _names(folder, name, format):
                content = make(path.name)
                there = path.read_bytes() if path.exists() else None
                if there is not None and there != content and path != old:
                    continue
                if there != content:
                    with files.replacing(path, sweep=False) as part:
                        part.write_bytes(content)
                return path, content
        raise AssertionError

    def remove_old(self, path: Path) -> None:
        """Remove a file in whose place another one is, and the folders of its month and year where they are empty.

        Raises
        ------
        OSError
            The file cannot be removed.
        """
        with self._lock:
            path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()
                path.parent.parent.rmdir()

    def remove(self, path: Path) -> None:
        """Remove a file that could not be recorded in the journal."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._tell(f"{path}: orphan clip cannot be removed ({error.strerror})")

    def written(self) -> None:
        """Report, once, that clips can be written again."""
        if self._trouble:
            self._tell("clips are written again" + (f"; {self._lost} were lost" if self._lost else ""))
        self._trouble, self._lost = False, 0

    def not_written(self, error: Exception) -> None:
        """Report, once until one succeeds, why clips cannot be written."""
        if not self._trouble:
            self._tell(f"clips cannot be written to {self.folder} ({reason_of(error)}); detections are still kept")
        self._trouble = True

    def lost(self) -> None:
        """Count a clip that was given up."""
        self._lost += 1


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    files.flush_folder(folder.parent)


def _free(folder: Path, name: str, format: str) -> Path:
    return next(path for path in _names(folder, name, format) if not path.exists())


def _names(folder: Path, name: str, format: str) -> Iterator[Path]:
    """The names that a clip may have, in order: ``_2`` and so on where one is taken."""
    yield folder / f"{name}.{format}"
    for n in count(2):
        yield folder / f"{name}_{n}.{format}"
