"""What every output format does, and the table of formats.

A file is announced, then its windows and detections come one by one, then it is finished or it failed. Writers keep no
more than a file's summary in memory: a recording of a day takes no more than one of a minute.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol, TextIO

from edgeapp.errors import UsageError

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

# Formats to whose files more can be added, and how a file without a head begins. The times of the others run on over
# all files of a call, which a later call does not know.
APPENDED = {"table": "", "json": "{\n", "ndjson": '{"event": ', "csv": "", "kaleidoscope": ""}

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
    excel : bool
        Whether CSV is for spreadsheets; see `edgeapp.outputs.spreadsheet`.
    """

    origin: Origin
    window_s: float
    hop_s: float
    latitude: float | None = None
    longitude: float | None = None
    gallery: Gallery | None = None
    excel: bool = False


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
        Where that was read, and what is doubtful about it; see `edgeapp.audio.metadata.recording_time.RecordingStart`.
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

    @property
    def day(self) -> date | None:
        """The date in UTC on which it began, where that can be trusted."""
        return None if self.recorded is None or not self.recorded.clock_set else self.recorded.utc.date()

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

    @property
    def empty(self) -> bool:
        """Whether nothing is kept."""
        return self._file.tell() == 0

    def pieces(self) -> Iterator[str]:
        """What was kept, in pieces; nothing may be written before the last."""
        self._file.seek(0)
        while text := self._file.read(SPOOL_BYTES):
            yield text

    def taken(self) -> str:
        """What was kept, and be empty again."""
        text = "".join(self.pieces())
        self.clear()
        return text

    def pour(self, out: TextIO) -> None:
        """Write what was kept, and be empty again."""
        for text in self.pieces():
            out.write(text)
        self.clear()

    def clear(self) -> None:
        """Be empty again."""
        self._file.seek(0)
        self._file.truncate()
