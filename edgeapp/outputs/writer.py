"""What every output format does, the table of formats, and where the text goes.

A file is announced, then its windows and detections come one by one, then it is finished or it failed. Writers keep no
more than a file's summary in memory: a recording of a day takes no more than one of a minute.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from edgeapp.errors import OutputError, UsageError
from gallery import files

if TYPE_CHECKING:
    from edgeapp.clock.system import Moment
    from edgeapp.recognition.results import Identification, Origin, Stretch, WindowResult
    from gallery.recognition import Candidate
    from gallery.store import Gallery

# Format -> where its writer lives. Writers are imported when asked for: JSON must not wait for rich.
FORMATS = {
    "table": ("edgeapp.outputs.table", "TableWriter"),
    "json": ("edgeapp.outputs.json", "JsonWriter"),
    "ndjson": ("edgeapp.outputs.ndjson", "NdjsonWriter"),
    "csv": ("edgeapp.outputs.csv", "CsvWriter"),
    "raven": ("edgeapp.outputs.raven", "RavenWriter"),
    "audacity": ("edgeapp.outputs.audacity", "AudacityWriter"),
    "kaleidoscope": ("edgeapp.outputs.kaleidoscope", "KaleidoscopeWriter"),
}

WITH_PICTURES = ("table", "json", "ndjson")  # formats that have a place for them

SPOOL_BYTES = 1 << 20  # what of one file's windows stays in memory before it goes to a temporary file


@dataclass(frozen=True)
class Run:
    """What is the same for all files of one call.

    Attributes
    ----------
    origin : Origin
        The pack and the gallery.
    window_s, hop_s : float
    latitude, longitude : float or None
        Where all recordings were made, degrees, as far as a person said so.
    gallery : Gallery or None
        Whose pictures go with detections; none do when None. Open in the thread that writes.
    """

    origin: Origin
    window_s: float
    hop_s: float
    latitude: float | None = None
    longitude: float | None = None
    gallery: Gallery | None = None


@dataclass(frozen=True)
class Recording:
    """A file whose windows follow.

    Attributes
    ----------
    file : str
    rate_hz : int
        Its own, not the encoder's.
    recorded : Moment or None
        When it began, where that is known with its zone.
    origin, doubt : str or None
        Where that was read, and what is doubtful about it; see `edgeapp.audio.recording_time.RecordingStart`.
    channel : int or None
        That is heard, from 1, where one was chosen.
    follows : bool
        Another channel of the file that was begun before: the same sound at the same time.
    """

    file: str
    rate_hz: int
    recorded: Moment | None = None
    origin: str | None = None
    doubt: str | None = None
    channel: int | None = None
    follows: bool = False

    def at(self, start_s: float) -> Moment | None:
        """The moment so many seconds after its beginning."""
        return None if self.recorded is None else self.recorded.earlier(-start_s)


class Writer(Protocol):
    """Write identifications in one format; constructed with the text file to write to and the run."""

    def begin(self, recording: Recording) -> None:
        """The windows of this file follow."""
        ...

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """One window of the file begun last, and its likeliest species."""
        ...

    def detection(self, stretch: Stretch) -> None:
        """A detection of the file begun last, once its last window is known; in the order of their starts."""
        ...

    def finish(self, identification: Identification) -> None:
        """The file begun last is done."""
        ...

    def fail(self, file: str, reason: str) -> None:
        """A file could not be done, before or after it was begun."""
        ...


class Writers:
    """Several writers that get the same; see `Writer`."""

    def __init__(self, *writers: Writer) -> None:
        self._writers = writers

    def begin(self, recording: Recording) -> None:
        """Each of them."""
        for one in self._writers:
            one.begin(recording)

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """Each of them."""
        for one in self._writers:
            one.window(result, species)

    def detection(self, stretch: Stretch) -> None:
        """Each of them."""
        for one in self._writers:
            one.detection(stretch)

    def finish(self, identification: Identification) -> None:
        """Each of them."""
        for one in self._writers:
            one.finish(identification)

    def fail(self, file: str, reason: str) -> None:
        """Each of them."""
        for one in self._writers:
            one.fail(file, reason)


def writer(name: str, out: TextIO, run: Run) -> Writer:
    """The writer of a format.

    Raises
    ------
    UsageError
        There is no such format.
    """
    check_format(name)
    module, writer_class = FORMATS[name]
    made: Writer = getattr(importlib.import_module(module), writer_class)(out, run)
    return made


def check_format(name: str) -> None:
    """Raise UsageError when there is no such format."""
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r}", f"use {', '.join(FORMATS)}")


class Spool:
    """Text of one file that may only be written once the whole file is done."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(SPOOL_BYTES, "w+", encoding="utf-8", newline="")  # noqa: SIM115

    def write(self, text: str) -> int:
        """Keep some text."""
        return self._file.write(text)

    def pour(self, out: TextIO) -> None:
        """Write what was kept, and be empty again."""
        self._file.seek(0)
        while text := self._file.read(SPOOL_BYTES):
            out.write(text)
        self.clear()

    def clear(self) -> None:
        """Be empty again."""
        self._file.seek(0)
        self._file.truncate()


class _Output:
    """A text file whose failures are told as errors of the output, not of the recording being heard."""

    def __init__(self, file: TextIO, name: str) -> None:
        self._file = file
        self._name = name

    def write(self, text: str) -> int:
        with _explained(self._name):
            return self._file.write(text)

    def flush(self) -> None:
        with _explained(self._name):
            self._file.flush()

    def isatty(self) -> bool:
        return self._file.isatty()

    @property
    def encoding(self) -> str:
        return self._file.encoding


class Destination:
    """Where results go: stdout, or a file that appears whole or not at all.

    Parameters
    ----------
    path : path or None
        Standard output when None.
    option : str
        That names it, for messages.

    Attributes
    ----------
    out : text file
    keep : bool
        Set it False and a file that is already at ``path`` stays as it was.
    """

    def __init__(self, path: str | os.PathLike[str] | None, option: str = "--output") -> None:
        self.path = Path(path) if path is not None else None
        self._option = option
        self.keep = True
        self.out: TextIO
        self._stack = ExitStack()
        self._temporary: Path | None = None

    def __enter__(self) -> Destination:
        if self.path is None:
            self.out = _Output(sys.stdout, "standard output")  # type: ignore[assignment]
            return self
        if self.path.is_dir():
            raise OutputError(f"{self.path}: is a folder", f"name a file with {self._option}")
        with _explained(str(self.path)):
            # A pipe or a device is written to, not replaced.
            if not self.path.exists() or self.path.is_file():
                self._temporary = self._stack.enter_context(files.temporary_for(self.path))
            written = self._temporary or self.path
            self._file = self._stack.enter_context(open(written, "w", encoding="utf-8", newline=""))
        self.out = _Output(self._file, str(self.path))  # type: ignore[assignment]
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self.path is None:
            if kind is None:
                self.out.flush()
            return
        with self._stack:
            if kind is None and self.keep:
                with _explained(str(self.path)):
                    self._file.close()
                    if self._temporary is not None:
                        files.put_in_place(self._temporary, self.path)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has seen enough; nobody is left to tell
    except OSError as error:
        raise OutputError(
            f"{name}: cannot be written ({error.strerror or error})", "check the folder and the free space"
        ) from None
