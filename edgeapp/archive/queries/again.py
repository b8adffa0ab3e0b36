"""Recognise an archive once more by its stored embeddings: with another gallery, without hearing it again.

The function that recognises is the same, and so is what merges windows and what is expected at a place. So what comes
out is what hearing again with that gallery would give, but for the rounding of the embeddings to float16.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeapp.archive.expectation import Expected, without_own
from edgeapp.archive.files import notes_of_pack, write_windows
from edgeapp.archive.queries.replay import (
    ByRecording,
    Channels,
    Replayed,
    dicts,
    file_of,
    is_no_recording,
    recording_of,
    window_of,
    with_whole_path,
)
from edgeapp.archive.queries.selection import Selection
from edgeapp.archive.recognition import Loaded, Recognition
from edgeapp.archive.results.dataset import FILES, WINDOWS, DataSet
from edgeapp.archive.results.parts import Parts
from edgeapp.archive.results.record import Record
from edgeapp.archive.results.rows import RowsWriter, tables
from edgeapp.archive.results.vectors import Vectors, vectors_of
from edgeapp.archive.workers.worker import TOP
from edgeapp.outputs.writer import Recording, Run, Writer
from edgeapp.pack.format import UNCALIBRATED
from edgeapp.recognition.merging import Merger
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.recognition.results import Identification, Stretch, WindowResult
from gallery.recognition import Detection, possible
from gallery.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = (
    "size",
    "mtime",
    "sha256",
    "channels",
    "error",
    "n_windows",
)  # columns of `files` that say how it was heard


def recognised(vectors: Vectors, recogniser: Recogniser) -> Iterator[tuple[int, WindowResult]]:
    """What windows hold, with the `file_id` of their recording."""
    for piece in vectors.pieces():
        results = recogniser.recognised(piece.times, piece.levels_dbfs, piece.vectors.astype(np.float32))
        yield from zip(piece.file_ids.tolist(), results, strict=True)


class _Windows:
    """Windows of recordings that come one after the other, taken a recording at a time."""

    def __init__(self, windows: Iterator[tuple[int, WindowResult]]) -> None:
        self._windows = windows
        self._next = next(windows, None)

    def of(self, file_id: int) -> Iterator[WindowResult]:
        """Those of a recording, as they come."""
        while self._next is not None and self._next[0] <= file_id:
            found, window = self._next
            if found == file_id:
                yield window
            self._next = next(self._windows, None)


def recognise_part(data: DataSet, number: int, loaded: Loaded, record: Record) -> dict[str, pa.Table]:
    """The rows of a part of an archive, recognised anew, as `edgeapp.archive.results.parts.Rows` has them.

    Parameters
    ----------
    data : DataSet
        With embeddings.
    number : int
    loaded : Loaded
    record : Record
        Of the new results; windows can be among its tables where the archive has them.

    Raises
    ------
    GalleryError
        The embeddings cannot be compared with the gallery.
    """
    recogniser = loaded.recogniser
    run = Run(recogniser.origin, record.window_s, record.hop_s, record.latitude, record.longitude)
    silent = _silent(data, number, len(recogniser.taxa)) if WINDOWS in record.tables else None
    found = _Windows(recognised(vectors_of(data, number), recogniser))
    writers = []
    for row in dicts(data.part(FILES, number).sort_by("file_id")):
        writer = RowsWriter(run, record)
        if is_no_recording(row):
            writer.pass_over(file_of(row), row["notes"] or ())
        elif row["duration_s"] is None:
            writer.fail(file_of(row), row["error"] or "")
        else:
            mine = list(found.of(row["file_id"]))
            if silent is not None:
                mine = sorted(chain(mine, map(silent.window, silent.rows.of(row["file_id"]))), key=_start)
            _write(writer, row, mine, loaded, record.hop_s)
        writer.complete(**{name: row[name] for name in KEPT})
        writers.append(writer)
    return tables(record, writers)


def _start(window: WindowResult) -> float:
    return window.start_s


class _Silent:
    """The windows of a part that were not encoded."""

    def __init__(self, rows: ByRecording, n_taxa: int) -> None:
        self.rows, self._nothing = rows, np.zeros(n_taxa, np.float32)

    def window(self, row: Mapping[str, Any]) -> WindowResult:
        """One from its row."""
        stored = window_of(row)
        return WindowResult(stored.start_s, stored.end_s, stored.level_dbfs, False, self._nothing, (), None)


def _silent(data: DataSet, number: int, n_taxa: int) -> _Silent:
    import pyarrow.compute as pc

    return _Silent(ByRecording(data.part(WINDOWS, number, where=~pc.field("heard"))), n_taxa)


def _write(
    writer: Writer, row: Mapping[str, Any], windows: Sequence[WindowResult], loaded: Loaded, hop_s: float
) -> None:
    """Write a recording as `edgeapp.archive.files.identify` does."""
    recogniser, recording = loaded.recogniser, recording_of(row)
    expected = None if loaded.expectation is None else loaded.expectation.of(recording.day)
    writer.begin(recording)
    tally, _ = write_windows(windows, recogniser, writer, TOP, loaded.naming, expected)
    among = None if expected is None else expected.species
    species = loaded.naming.candidates(tally.species(TOP, among))
    notes = _notes(row, recogniser, expected.notes if expected is not None else [])
    writer.finish(Identification(file_of(row), row["duration_s"], hop_s, species, tally.heard, tuple(notes)))


def _notes(row: Mapping[str, Any], recogniser: Recogniser, of_place: Sequence[str] = ()) -> list[str]:
    """Notes on a recording that is recognised again: those on its sound stay, those on what was recognised are new."""
    notes = [note for note in without_own(row["notes"] or ()) if note != UNCALIBRATED]
    at = len(notes) - (row["recorded_at_doubt"] is not None)  # a note on that comes last
    notes[at:at] = [*notes_of_pack(recogniser), *of_place]
    return notes


class Search:
    """Detections of some taxa alone, found in the embeddings of an archive.

    Parameters
    ----------
    loaded : Loaded
    rows : sequence of int
        Those of the taxa of the gallery that are meant, or that lie in the group that is.
    asked : collection of (str, str)
        Rank and scientific name of the detections that are wanted.
    """

    def __init__(self, loaded: Loaded, rows: Sequence[int], asked: Collection[tuple[str, str]]) -> None:
        self._loaded, self._asked = loaded, asked
        recogniser = loaded.recogniser
        names = [recogniser.taxa[row].scientific_name for row in rows]
        index = recogniser.index.only(names)
        whole = recogniser.vocabulary
        modalities = [one for one in whole.modalities if one in index.modalities]
        self._meant = Vocabulary(index, recogniser.parameters, modalities, whole.reviewed, recogniser.integers)
        self.n_windows = 0

    def write(self, data: DataSet, writer: Writer, selection: Selection, whole_paths: bool = False) -> Replayed:
        """Give a writer the recordings in which there is one, and what is detected in them.

        Parameters
        ----------
        data : DataSet
        writer : Writer
        selection : Selection
            Its taxa are not looked at.
        whole_paths : bool
            Name recordings by where they lie instead of as they were given.
        """
        counts: Counter[str] = Counter()
        channels = Channels()
        for number in data.numbers:
            stretches = self._stretches(data, number, selection)
            if not stretches:
                continue
            for row in dicts(data.part(FILES, number).sort_by("file_id")):
                mine = stretches.get(row["file_id"])
                if mine and (kept := self._kept(mine, recording_of(row), selection)):
                    counts["recordings"] += 1
                    counts["detections"] += len(kept)
                    if whole_paths:
                        row = with_whole_path(row, data)
                    self._write(writer, channels.follow(recording_of(row)), row, kept, data.record.hop_s)
        return Replayed(counts["recordings"], counts["detections"], 0)

    def possible(self, vectors: Vectors) -> np.ndarray:
        """Which windows can hold one of the taxa, so that they are to be recognised: [n] bool."""
        parts = [possible(piece.vectors.astype(np.float32), self._meant) for piece in vectors.pieces()]
        return np.concatenate([*parts, np.zeros(0, bool)])

    def _stretches(self, data: DataSet, number: int, selection: Selection) -> dict[int, list[Stretch]]:
        """`file_id` to what is detected in a recording."""
        vectors = vectors_of(data, number, selection.recordings("embeddings"))
        self.n_windows += len(vectors)
        some = vectors.at(np.flatnonzero(self.possible(vectors)))
        found: dict[int, list[Stretch]] = {}
        mergers: dict[int, Merger] = {}
        for file_id, window in recognised(some, self._loaded.recogniser):
            wanted = tuple(one for one in window.detections if self._wants(one))
            if wanted:
                one = WindowResult(window.start_s, window.end_s, 0.0, True, window.confidences, wanted, window.vector)
                found.setdefault(file_id, []).extend(mergers.setdefault(file_id, Merger()).add(one))
        for file_id, merger in mergers.items():
            found[file_id] += merger.finish()
        return found

    def _wants(self, detection: Detection) -> bool:
        return (detection.taxon_rank, detection.scientific_name) in self._asked

    def _kept(self, stretches: list[Stretch], recording: Recording, selection: Selection) -> list[Stretch]:
        """Those that are expected and selected."""
        expectation = self._loaded.expectation
        expected: Expected | None = None if expectation is None else expectation.of(recording.day)
        return [
            one
            for one in stretches
            if selection.has(one.detection.confidence, recording.at(one.start_s))
            and (expected is None or expected.keeps(one))
        ]

    def _write(
        self, writer: Writer, recording: Recording, row: Mapping[str, Any], stretches: list[Stretch], hop_s: float
    ) -> None:
        writer.begin(recording)
        for one in stretches:
            writer.detection(one.named(self._loaded.naming))
        notes = tuple(_notes(row, self._loaded.recogniser))
        writer.finish(Identification(file_of(row), row["duration_s"], hop_s, (), True, notes))


class Workers:
    """Processes that recognise parts of an archive; a context manager. One works in the process that asks.

    Parameters
    ----------
    folder : Path
        Of the archive.
    recognition : Recognition
    record : Record
        Of the new results.
    workers : int
    """

    def __init__(self, folder: Path, recognition: Recognition, record: Record, workers: int) -> None:
        self._given = folder, recognition, record
        self._count = workers
        self._pool: ProcessPoolExecutor | None = None

    def parts(self, numbers: Sequence[int]) -> Iterator[dict[str, pa.Table]]:
        """The rows of parts, in their order, no more of them ahead than there are workers.

        Raises
        ------
        GalleryError, PackError
            From `recognise_part`, or a worker cannot start.
        """
        if self._pool is None:
            data, loaded = DataSet(self._given[0]), self._given[1].load()
            for number in numbers:
                yield recognise_part(data, number, loaded, self._given[2])
            return
        waiting: deque[Future[dict[str, pa.Table]]] = deque()
        for number in numbers:
            waiting.append(self._pool.submit(_recognise_there, number))
            if len(waiting) > self._count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def __enter__(self) -> Workers:
        if self._count > 1:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, context, _load_there, self._given)
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


_there: tuple[DataSet, Loaded, Record] | None = None  # of a process that works


def _load_there(folder: Path, recognition: Recognition, record: Record) -> None:
    global _there
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks ends the others
    _there = DataSet(folder), recognition.load(), record


def _recognise_there(number: int) -> dict[str, pa.Table]:
    assert _there is not None
    data, loaded, record = _there
    return recognise_part(data, number, loaded, record)


def continues(data: DataSet, parts: Parts, numbers: Sequence[int], done: Sequence[int]) -> bool:
    """Whether parts that are done have the recordings of the first parts of an archive."""
    if len(done) > len(numbers):
        return False
    for number, ours in zip(numbers, done, strict=False):
        its = data.part(FILES, number, ["file_id", "file"]).sort_by("file_id")["file"]
        if parts.read(ours)[FILES].sort_by("file_id")["file"].to_pylist() != its.to_pylist():
            return False
    return True
