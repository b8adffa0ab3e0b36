"""Hear some recordings: what each process that works on an archive does, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeapp.archive.content import Content, HashedSource
from edgeapp.archive.files import identify
from edgeapp.archive.inputs import Found
from edgeapp.archive.recognition import Recognition
from edgeapp.archive.results.record import Record
from edgeapp.archive.results.rows import FileWriter, tables
from edgeapp.audio.source import AudioSource
from edgeapp.detections.document import cleaned
from edgeapp.outputs.writer import Run
from gallery.errors import reason_of

if TYPE_CHECKING:
    import pyarrow as pa

TOP = 5  # likeliest species of a window and of a recording, as `identify` writes


@dataclass(frozen=True)
class Item:
    """A recording to be heard.

    Attributes
    ----------
    file : str
        Its path.
    size, mtime_us : int
        In bytes, and microseconds since 1970, when it was found.
    before : tuple of int
        `file_id` of what was heard under this path before: none, one, or one for each of its channels.
    check : bool
        Only hash it: it may have been heard before, under another path or before it was touched.
    """

    file: str
    size: int
    mtime_us: int
    before: tuple[int, ...] = ()
    check: bool = False


@dataclass(frozen=True)
class Task:
    """Recordings that one process hears, one after the other.

    Attributes
    ----------
    items : tuple of Item
    tries : int
        How many processes died of it.
    """

    items: tuple[Item, ...]
    tries: int = 0


@dataclass(frozen=True)
class Hashed:
    """A recording that was only hashed."""

    item: Item
    sha256: str
    size: int
    mtime_us: int


@dataclass(frozen=True)
class Lost:
    """A recording that cannot be read, whatever it holds: it is gone, or its disk or share is."""

    item: Item
    reason: str


@dataclass(frozen=True, eq=False)
class Heard:
    """What became of a task.

    Attributes
    ----------
    tables : dict of str to pyarrow.Table
        The rows of `items`, see `edgeapp.archive.results.parts.Rows`.
    items : tuple of Item
        That were heard, or failed.
    failures : tuple of str
        A line for each that failed.
    hashed : tuple of Hashed
    lost : tuple of Lost
    sound_s : float
        Seconds of sound that were heard.
    """

    tables: dict[str, pa.Table]
    items: tuple[Item, ...] = ()
    failures: tuple[str, ...] = ()
    hashed: tuple[Hashed, ...] = ()
    lost: tuple[Lost, ...] = ()
    sound_s: float = 0.0


@dataclass(frozen=True, eq=False)
class _Rows:
    """A file that was heard, or failed."""

    item: Item
    writer: FileWriter
    failures: tuple[str, ...]


class Worker:
    """A loaded model that hears recordings.

    Parameters
    ----------
    recognition : Recognition
    record : Record

    Raises
    ------
    PackError, GalleryError, TaxonError, UsageError, DeviceError
        What cannot be loaded, found or used.
    """

    def __init__(self, recognition: Recognition, record: Record) -> None:
        self._asked, self._loaded, self._record = recognition, recognition.load(), record
        spec, origin = self._loaded.recogniser.pack.audio, self._loaded.recogniser.origin
        self._run = Run(origin, spec.window_s, self._loaded.hop_s, record.latitude, record.longitude)

    def hear(self, task: Task) -> Heard:
        """Hear recordings; what is wrong with one is told, and the others are heard.

        Raises
        ------
        PackError, GalleryError
            What would fail every other recording too.
        """
        outcomes = [self._hear(item) for item in task.items]
        rows = [one for one in outcomes if isinstance(one, _Rows)]
        return Heard(
            tables(self._record, [recording for one in rows for recording in one.writer.recordings]),
            tuple(one.item for one in rows),
            tuple(failure for one in rows for failure in one.failures),
            tuple(one for one in outcomes if isinstance(one, Hashed)),
            tuple(one for one in outcomes if isinstance(one, Lost)),
            sum(one.writer.duration_s for one in rows),
        )

    def _hear(self, item: Item) -> _Rows | Hashed | Lost:
        """Hear a recording, or hash it."""
        try:
            with Content(item.file) as content:
                if item.check:
                    return Hashed(item, content.sha256(), content.size, content.mtime_us)
                return self._identify(item, content)
        except PermissionError:
            reason = f"{item.file}: permission denied; check the file's permissions"
            writer = FileWriter(None, self._record)
            writer.fail(item.file, reason)
            writer.complete(size=item.size, mtime=item.mtime_us)
            return _Rows(item, writer, (reason,))
        except (OSError, ValueError) as error:
            return Lost(item, f"{item.file}: cannot be read ({reason_of(error)})")

    def _identify(self, item: Item, content: Content) -> _Rows:
        """Hear a recording as `identify` does.

        Raises
        ------
        OSError
            It cannot be read to its end.
        """
        sources: list[AudioSource] = []
        notes: list[str] = []
        failures: list[str] = []

        def listening(source: AudioSource) -> AudioSource:
            sources.append(source)
            return HashedSource(source, content)

        loaded, writer = self._loaded, FileWriter(self._run, self._record)
        identify(
            [Found(item.file)],
            loaded.recogniser,
            writer,
            loaded.hop_s,
            TOP,
            notes.append,
            failures.append,
            naming=loaded.naming,
            expectation=loaded.expectation,
            listening=listening,
            zone=self._asked.zone,
            channel=self._asked.channel,
            gate=loaded.gate,
        )
        if not writer.recordings:
            writer.pass_over(item.file, notes)
        writer.complete(sha256=content.sha256(), size=content.size, mtime=content.mtime_us)
        if sources:
            writer.complete(channels=getattr(sources[0], "channels", None))
        if failures:
            writer.complete(error=cleaned(failures[0]))
        return _Rows(item, writer, tuple(failures))
