"""Rows of the tables of an archive, from what is heard: a writer like those of the output formats."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeapp.archive.results.dataset import DATE, DETECTIONS, EMBEDDINGS, FILES, FOLDER, UNKNOWN, WINDOWS, schema
from edgeapp.archive.results.parts import PARTITION
from edgeapp.archive.results.record import Record
from edgeapp.detections.document import CLOCK_SET, CLOCK_UNSET, TIME_DECIMALS, candidate_fields, cleaned
from edgeapp.file_names import text_of
from edgeapp.outputs.json import stretch_document, window_fields
from edgeapp.outputs.writer import Recording, Run
from gallery.utc import utc_of

if TYPE_CHECKING:
    import pyarrow as pa

    from edgeapp.recognition.results import Identification, Stretch, WindowResult
    from gallery.recognition import Candidate

LEFT_OUT = ("pictures", "review")  # fields of the detection document that an archive never has


class FileWriter:
    """The rows of one file: one recording, or one for each of its channels; see `edgeapp.outputs.writer.Writer`.

    Channels that were finished before another one failed are kept, as `identify` has written them by then.

    Parameters
    ----------
    run : Run or None
        None for a file that failed.
    record : Record

    Attributes
    ----------
    recordings : list of RowsWriter
        Those that are done, failed or passed over.
    """

    def __init__(self, run: Run | None, record: Record) -> None:
        self._run, self._record = run, record
        self.recordings: list[RowsWriter] = []
        self._begun = RowsWriter(run, record)

    def begin(self, recording: Recording) -> None:
        """The windows of the recording follow."""
        self._begun = RowsWriter(self._run, self._record)
        self._begun.begin(recording)

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """One window of the recording begun last."""
        self._begun.window(result, species)

    def detection(self, stretch: Stretch) -> None:
        """A detection in it."""
        self._begun.detection(stretch)

    def finish(self, identification: Identification) -> None:
        """It is done."""
        self._begun.finish(identification)
        self.recordings.append(self._begun)

    def fail(self, file: str, reason: str) -> None:
        """The file, or what was begun last, could not be done."""
        self._begun = RowsWriter(None, self._record)
        self._begun.fail(file, reason)
        self.recordings.append(self._begun)

    def pass_over(self, file: str, notes: Sequence[str]) -> None:
        """The file is no recording, and no fault either."""
        self._begun = RowsWriter(None, self._record)
        self._begun.pass_over(file, notes)
        self.recordings.append(self._begun)

    def complete(self, **fields: Any) -> None:
        """Set columns of all rows in `files`."""
        for one in self.recordings:
            one.complete(**fields)

    @property
    def duration_s(self) -> float:
        """Of all recordings together."""
        return sum(one.duration_s for one in self.recordings)


class RowsWriter:
    """The rows of one recording; see `edgeapp.outputs.writer.Writer`. One that failed has a row in `files` alone.

    Parameters
    ----------
    run : Run or None
        None for a recording that failed.
    record : Record
        Says which tables, and how they are partitioned.

    Attributes
    ----------
    rows : dict of str to list of dict
        By table, without `file_id`.
    vectors : list of numpy.ndarray
        Of the rows of `embeddings`, ``[dim]`` float16.
    """

    def __init__(self, run: Run | None, record: Record) -> None:
        self._run, self._record = run, record
        self.begin(Recording("", 0))

    def begin(self, recording: Recording) -> None:
        """The windows of the recording follow."""
        self.rows: dict[str, list[dict[str, Any]]] = {table: [] for table in self._record.tables}
        self.vectors: list[np.ndarray] = []
        self._recording, self._n_windows = recording, 0
        self._value = partition_value(recording, self._record.partition)

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """One window, and its likeliest species."""
        self._n_windows += 1
        if WINDOWS in self.rows:
            fields = window_fields(result, species)
            fields["detections"] = [flattened(one) for one in fields["detections"]]
            self._add(WINDOWS, fields)
        if EMBEDDINGS in self.rows and result.vector is not None:
            times = {"start_s": round(result.start_s, TIME_DECIMALS), "end_s": round(result.end_s, TIME_DECIMALS)}
            self._add(EMBEDDINGS, {**times, "level_dbfs": result.level_dbfs})  # not rounded: it may be compared again
            self.vectors.append(result.vector.astype(np.float16))

    def detection(self, stretch: Stretch) -> None:
        """A detection."""
        assert self._run is not None
        row = flattened(stretch_document(stretch, self._recording, self._run))
        for name in ("time", "source_recorded_at"):
            row[name] = None if row[name] is None else utc_of(row[name])
        self._add(DETECTIONS, row)

    def finish(self, identification: Identification) -> None:
        """The recording is done."""
        moment = self._recording.recorded
        self.rows[FILES] = [
            {
                **names_of(self._recording.file),
                "duration_s": round(identification.duration_s, TIME_DECIMALS),
                "rate_hz": self._recording.rate_hz,
                "channel": self._recording.channel,
                "recorded_at": None if moment is None else moment.utc,
                "recorded_at_origin": None if moment is None else self._recording.origin,
                "recorded_at_doubt": None if moment is None else self._recording.doubt,
                "clock": None if moment is None else CLOCK_SET if moment.clock_set else CLOCK_UNSET,
                "heard": identification.heard,
                "n_windows": self._n_windows,
                "n_detections": len(self.rows[DETECTIONS]),
                "species": candidate_fields(identification.species),
                "notes": list(identification.notes),
            }
        ]

    def fail(self, file: str, reason: str) -> None:
        """The recording could not be done."""
        self.begin(Recording(file, 0))
        self.rows[FILES] = [{**names_of(file), "notes": [], "error": cleaned(reason)}]

    def pass_over(self, file: str, notes: Sequence[str]) -> None:
        """The file is no recording, and no fault either."""
        self.begin(Recording(file, 0))
        self.rows[FILES] = [{**names_of(file), "heard": False, "notes": [cleaned(note) for note in notes]}]

    def complete(self, **fields: Any) -> None:
        """Set columns of the row in `files`."""
        self.rows[FILES][0].update(fields)

    @property
    def duration_s(self) -> float:
        """Of the recording; 0 of one that failed."""
        return float(self.rows[FILES][0].get("duration_s", 0.0))

    def _add(self, table: str, row: dict[str, Any]) -> None:
        self.rows[table].append({"source_file": text_of(self._recording.file), PARTITION: self._value, **row})


def tables(record: Record, recordings: Sequence[RowsWriter]) -> dict[str, pa.Table]:
    """The rows of recordings, as `edgeapp.archive.results.parts.Rows` has them."""
    import pyarrow as pa

    made = {}
    for name in record.tables:
        rows = [{"file_id": n, **row} for n, one in enumerate(recordings) for row in one.rows[name]]
        fields = schema(name, record.dim)
        if name != FILES:
            fields = fields.append(pa.field(PARTITION, pa.string()))
        if name == EMBEDDINGS:
            flat = np.concatenate([*(v for one in recordings for v in one.vectors), np.empty(0, np.float16)])
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float16()), record.dim)
            at = fields.get_field_index("embedding")
            made[name] = pa.Table.from_pylist(rows, fields.remove(at)).add_column(at, fields.field(at), vectors)
        else:
            made[name] = pa.Table.from_pylist(rows, fields)
    return made


def flattened(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a document, an inner field under its outer one's name and its own joined by ``_``."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{inner}": one for inner, one in value.items()}
        elif name not in LEFT_OUT:
            flat[name] = value
    return flat


def names_of(file: str) -> dict[str, Any]:
    """The path of a recording in `files`: as text, and its bytes where these are no text."""
    text, raw = text_of(file), os.fsencode(file)
    return {"file": text, "path": None if text.encode() == raw else raw}


def partition_value(recording: Recording, partition: str) -> str:
    """By what the rows of a recording are partitioned."""
    moment = recording.recorded
    if partition == DATE:
        return moment.utc.date().isoformat() if moment is not None and moment.clock_set else UNKNOWN
    if partition == FOLDER:
        return folder_of(recording.file)
    return ""


def folder_of(file: str) -> str:
    """The folder of a recording, as its partition is named."""
    return cleaned(PurePath(file).parent.as_posix()) or "."
