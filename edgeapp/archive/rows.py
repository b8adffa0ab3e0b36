"""Rows of the tables of an archive, from what is heard: a writer like those of the output formats."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeapp.archive.dataset import DATE, DETECTIONS, EMBEDDINGS, FILES, FOLDER, UNKNOWN, WINDOWS, schema
from edgeapp.archive.parts import PARTITION
from edgeapp.archive.record import Record
from edgeapp.detections.document import CLOCK_SET, CLOCK_UNSET, TIME_DECIMALS, candidate_fields, cleaned, level_field
from edgeapp.outputs.json import stretch_document, window_fields
from edgeapp.outputs.writer import Recording, Run
from gallery.utc import utc_of

if TYPE_CHECKING:
    import pyarrow as pa

    from edgeapp.recognition.results import Identification, Stretch, WindowResult
    from gallery.recognition import Candidate

LEFT_OUT = ("pictures", "review")  # fields of the detection document that an archive never has


class RowsWriter:
    """See `edgeapp.outputs.writer.Writer`. A recording that failed has a row in `files` alone.

    The rows of a recording count once they are kept: it can turn out that it could not be read to its end.

    Parameters
    ----------
    run : Run or None
        None for recordings that failed, alone.
    record : Record
        Says which tables, and how they are partitioned.
    """

    def __init__(self, run: Run | None, record: Record) -> None:
        self._run, self._record = run, record
        self._rows: dict[str, list[dict[str, Any]]] = {table: [] for table in record.tables}
        self._vectors: list[np.ndarray] = []
        self._forget()

    def __len__(self) -> int:
        return len(self._rows[FILES])

    def begin(self, recording: Recording) -> None:
        """The windows of this recording follow."""
        self._forget()
        self._recording = recording
        self._value = partition_value(recording, self._record.partition)

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """One window, and its likeliest species."""
        self._n_windows += 1
        times = {"start_s": round(result.start_s, TIME_DECIMALS), "end_s": round(result.end_s, TIME_DECIMALS)}
        if WINDOWS in self._mine:
            fields = window_fields(result, species)
            fields["detections"] = [flattened(one) for one in fields["detections"]]
            self._add(WINDOWS, fields)
        if EMBEDDINGS in self._mine and result.vector is not None:
            self._add(EMBEDDINGS, {**times, "level_dbfs": level_field(result.level_dbfs)})
            self._my_vectors.append(result.vector.astype(np.float16))

    def detection(self, stretch: Stretch) -> None:
        """A detection."""
        assert self._run is not None
        row = flattened(stretch_document(stretch, self._recording, self._run))
        row["time"] = None if row["time"] is None else utc_of(row["time"])
        self._add(DETECTIONS, row)

    def finish(self, identification: Identification) -> None:
        """The recording is done."""
        moment = self._recording.recorded
        clock = None if moment is None else CLOCK_SET if moment.clock_set else CLOCK_UNSET
        self._add(
            FILES,
            {
                "duration_s": round(identification.duration_s, TIME_DECIMALS),
                "rate_hz": self._recording.rate_hz,
                "recorded_at": None if moment is None else moment.utc,
                "clock": clock,
                "heard": identification.heard,
                "n_windows": self._n_windows,
                "n_detections": len(self._mine[DETECTIONS]),
                "species": candidate_fields(identification.species),
                "notes": list(identification.notes),
            },
        )

    def fail(self, file: str, reason: str) -> None:
        """A recording could not be done."""
        self._forget()
        self._recording = Recording(file, 0)
        self._add(FILES, {"notes": [], "error": cleaned(reason)})

    @property
    def duration_s(self) -> float:
        """Of the recording that is done; 0 of one that failed."""
        return float(self._mine[FILES][-1].get("duration_s", 0.0))

    def keep(self, **fields: Any) -> None:
        """Take the rows of the recording that is done or failed, with more columns of `files`."""
        self._mine[FILES][-1].update(fields)
        for name, rows in self._mine.items():
            self._rows[name] += rows
        self._vectors += self._my_vectors
        self._forget()

    def tables(self) -> dict[str, pa.Table]:
        """What was written, as `edgeapp.archive.parts.Rows` has it."""
        import pyarrow as pa

        made = {}
        for name, rows in self._rows.items():
            fields = schema(name, self._record.dim)
            if name != FILES:
                fields = fields.append(pa.field(PARTITION, pa.string()))
            if name == EMBEDDINGS:
                flat = np.concatenate([*self._vectors, np.empty(0, np.float16)])
                vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float16()), self._record.dim)
                at = fields.get_field_index("embedding")
                made[name] = pa.Table.from_pylist(rows, fields.remove(at)).add_column(at, fields.field(at), vectors)
            else:
                made[name] = pa.Table.from_pylist(rows, fields)
        return made

    def _add(self, table: str, row: dict[str, Any]) -> None:
        if table == FILES:
            names = names_of(self._recording.file)
        else:
            names = {"source_file": cleaned(self._recording.file), PARTITION: self._value}
        self._mine[table].append({"file_id": len(self), **names, **row})

    def _forget(self) -> None:
        """The rows of a recording that is not done."""
        self._mine: dict[str, list[dict[str, Any]]] = {table: [] for table in self._record.tables}
        self._my_vectors: list[np.ndarray] = []
        self._n_windows = 0
        self._recording, self._value = Recording("", 0), UNKNOWN


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
    text, raw = cleaned(file), os.fsencode(file)
    return {"file": text, "path": None if text is not None and text.encode() == raw else raw}


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
