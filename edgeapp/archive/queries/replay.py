"""The results of an archive once more, as `identify` gives them: to the same writers, so that they write the same.

Parts are read one after the other, so that no more than the rows of one are in memory.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeapp.archive.queries.selection import Selection
from edgeapp.archive.results.dataset import DETECTIONS, FILES, WINDOWS, DataSet
from edgeapp.clock.system import Moment
from edgeapp.detections.document import CLOCK_SET
from edgeapp.outputs.writer import Recording, Run, Writer
from edgeapp.recognition.results import Identification, Origin, Stretch, WindowResult
from gallery.candidates import Candidate
from gallery.naming import Naming
from gallery.recognition import Detection

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Timed(Recording):
    """A recording whose detections began when an archive says.

    Attributes
    ----------
    times : Mapping of float to Moment
        Start of a detection to its time, which is exact where that of the recording is rounded.
    """

    times: Mapping[float, Moment] = field(default_factory=dict)

    def at(self, start_s: float) -> Moment | None:
        """The moment so many seconds after its beginning."""
        return self.times.get(start_s) or super().at(start_s)


@dataclass(frozen=True)
class Replayed:
    """What was written.

    Attributes
    ----------
    recordings, detections, failed : int
    """

    recordings: int
    detections: int
    failed: int


def run_of(data: DataSet) -> Run:
    """What is the same for all recordings of an archive."""
    record, settings = data.record, data.record.settings
    pack, _, version = str(settings.get("pack", "")).rpartition(" ")
    origin = Origin(pack, version, settings.get("gallery sha256") or "", settings.get("learned sha256"))
    return Run(origin, record.window_s, record.hop_s, record.latitude, record.longitude)


def replay(data: DataSet, writer: Writer, selection: Selection, whole_paths: bool = False) -> Replayed:
    """Give a writer what an archive has.

    Where detections are selected, recordings without one of them are left out, and so are windows. Otherwise windows
    are written where the archive has them.

    Parameters
    ----------
    data : DataSet
    writer : Writer
    selection : Selection
    whole_paths : bool
        Name recordings by where they lie instead of as they were given.

    Raises
    ------
    OutputError
        From the writer.
    """
    counts: Counter[str] = Counter()
    named, channels = Naming(), Channels()
    whole = selection.of_recordings_alone
    with_windows = whole and data.has(WINDOWS)
    for number in data.numbers:
        detections = ByRecording(data.part(DETECTIONS, number, where=selection.detections()))
        windows = None
        if with_windows:
            windows = ByRecording(data.part(WINDOWS, number, where=selection.recordings(WINDOWS)))
        for row in dicts(data.part(FILES, number, where=selection.recordings(FILES)).sort_by("file_id")):
            mine = detections.of(row["file_id"])
            its_windows = windows.of(row["file_id"]) if windows else []
            if whole_paths:
                row = with_whole_path(row, data)
            if not whole and not mine:
                continue
            if is_no_recording(row):
                continue
            if row["duration_s"] is None:
                writer.fail(file_of(row), row["error"] or "")
                counts["failed"] += 1
                continue
            counts["recordings"] += 1
            counts["detections"] += len(mine)
            recording = channels.follow(recording_of(row, mine))
            _replay_one(writer, recording, row, mine, its_windows, data.record.hop_s, named)
    return Replayed(counts["recordings"], counts["detections"], counts["failed"])


def _replay_one(
    writer: Writer,
    recording: Recording,
    row: dict[str, Any],
    detections: Sequence[dict[str, Any]],
    windows: Sequence[dict[str, Any]],
    hop_s: float,
    naming: Naming,
) -> None:
    writer.begin(recording)
    for window in windows:
        writer.window(window_of(window).named(naming), naming.candidates(candidates_of(window["species"])))
    for one in detections:
        writer.detection(Stretch(one["start_s"], one["end_s"], detection_of(one), None).named(naming))
    species = naming.candidates(candidates_of(row["species"]))
    notes = tuple(row["notes"] or ())
    writer.finish(Identification(file_of(row), row["duration_s"], hop_s, species, bool(row["heard"]), notes))


class Channels:
    """Which recordings are other channels of the one before; those of a file follow one another in an archive."""

    def __init__(self) -> None:
        self._file: str | None = None

    def follow(self, recording: Recording) -> Recording:
        """A recording as writers are to be told of it."""
        follows = recording.channel is not None and recording.file == self._file
        self._file = recording.file
        return replace(recording, follows=follows)


class ByRecording:
    """Rows of a part, taken a recording at a time, in the order of their `file_id`; those of each in their order."""

    def __init__(self, table: pa.Table) -> None:
        order = np.argsort(table["file_id"].to_numpy(), kind="stable")
        self._rows = dicts(table.take(order))
        self._next = next(self._rows, None)

    def of(self, file_id: int) -> list[dict[str, Any]]:
        """Those of a recording, by the names of their columns."""
        found = []
        while self._next is not None and self._next["file_id"] <= file_id:
            if self._next["file_id"] == file_id:
                found.append(self._next)
            self._next = next(self._rows, None)
        return found


def dicts(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows of a table by the names of their columns, a few at a time."""
    for batch in table.to_batches(4096):
        yield from batch.to_pylist()


def file_of(row: Mapping[str, Any]) -> str:
    """The path of a recording, from its row in `files`, as it was given."""
    return os.fsdecode(row["path"]) if row["path"] is not None else str(row["file"])


def is_no_recording(row: Mapping[str, Any]) -> bool:
    """Whether a file was passed over, which is no fault, from its row in `files`."""
    return row["duration_s"] is None and row["error"] is None


def with_whole_path(row: Mapping[str, Any], data: DataSet) -> dict[str, Any]:
    """A row of `files` that names its recording by where it lies."""
    return {**row, "file": str(data.path(row["file"], row["path"])), "path": None}


def recording_of(row: Mapping[str, Any], detections: Sequence[Mapping[str, Any]] = ()) -> Recording:
    """A recording from its row in `files` and those of its detections."""
    times = {one["start_s"]: _moment(one["time"], one["clock"]) for one in detections if one["time"] is not None}
    began = None if row["recorded_at"] is None else _moment(row["recorded_at"], row["clock"])
    origin, doubt = row["recorded_at_origin"], row["recorded_at_doubt"]
    return Timed(file_of(row), row["rate_hz"] or 0, began, origin, doubt, row["channel"], times=times)


def _moment(utc: Any, clock: str | None) -> Moment:
    return Moment(utc, 0.0, clock == CLOCK_SET)


def detection_of(row: Mapping[str, Any]) -> Detection:
    """A detection from its row, or from one of those in a row of `windows`."""
    name = row["taxon_scientific_name"]
    return Detection(
        row["taxon_rank"],
        name,
        row["taxon_common_name"] or "",
        (name,),
        row["confidence"],
        candidates_of(row["candidates"]),
    )


def window_of(row: Mapping[str, Any]) -> WindowResult:
    """A window from its row; without the confidences of taxa that were not detected."""
    level = -math.inf if row["level_dbfs"] is None else row["level_dbfs"]
    found = tuple(map(detection_of, row["detections"] or ()))
    return WindowResult(row["start_s"], row["end_s"], level, row["heard"], np.zeros(0, np.float32), found, None)


def candidates_of(fields: Sequence[Mapping[str, Any]] | None) -> tuple[Candidate, ...]:
    """Candidates from a list of them in a row."""
    return tuple(
        Candidate(
            one["scientific_name"],
            one["common_name"] or "",
            one["confidence"],
            math.nan if one["similarity"] is None else one["similarity"],
        )
        for one in fields or ()
    )
