"""The results of an archive: a Parquet data set of what was heard in any number of recordings.

    RESULTS/
        run.json                                         settings, pack, gallery, versions: see `record.py`
        files/part-000001.parquet                        one row a recording, heard or failed
        detections/date=2026-05-22/part-000001.parquet   one row a detection
        windows/…, embeddings/…                          one row a window, where asked for

Tables but `files` are partitioned as Hive names them, by date or by folder, or not at all. Their rows come in parts. A
part holds all rows of some recordings, under its number in every table, and its file in `files` is written last. So a
part is there when its file in `files` is: what else has its number was left by a run that was killed. A part can
replace others, whose files are deleted once it is there, and can supersede single recordings of others; its metadata
says which. So the rows that count are those of parts with a file in `files` that no other part replaces, less the
recordings that a part supersedes. `DataSet` reads these alone. After a run that was not killed, and after the next one,
nothing else is there, so that any reader of Parquet can be used.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeapp.archive.results.arrow import arrow_path, check_columns, readable, require_pyarrow
from edgeapp.archive.results.record import Record
from edgeapp.errors import OutputError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads

FILES, DETECTIONS, WINDOWS, EMBEDDINGS = TABLES = ("files", "detections", "windows", "embeddings")
DATE, FOLDER, NONE = ("date", "folder", "none")
UNKNOWN = "unknown"  # partition of recordings whose date is not known; pandas cannot read Hive's own name for that
METADATA = b"biovita_edge"
PART_NAME = re.compile(r"part-(\d{6,})\.parquet")


def candidates_type() -> pa.DataType:
    """Type of a list of candidates, as `edgeapp.detections.document.candidate_fields` gives them."""
    import pyarrow as pa

    fields = [("scientific_name", pa.string()), ("common_name", pa.string())]
    return pa.list_(pa.struct([*fields, ("confidence", pa.float64()), ("similarity", pa.float64())]))


def schema(table: str, dim: int = 0) -> pa.Schema:
    """Columns of a table, without its partition.

    `detections` has the fields of the detection document, an inner field under its outer one's name and its own joined
    by ``_``, and `file_id`, by which the tables are joined.

    Parameters
    ----------
    table : str
        One of `TABLES`.
    dim : int
        Of a vector, for `embeddings`.
    """
    import pyarrow as pa

    time = pa.timestamp("ms", "UTC")
    if table == FILES:
        return pa.schema(
            [
                ("file_id", pa.int64()),
                ("file", pa.string()),  # path, from `Record.base` on where it is relative
                ("path", pa.binary()),  # the path's bytes where they are no UTF-8, else null
                ("size", pa.int64()),
                ("mtime", pa.timestamp("us", "UTC")),
                ("sha256", pa.string()),
                ("duration_s", pa.float64()),
                ("rate_hz", pa.int32()),
                ("channels", pa.int32()),
                ("channel", pa.int32()),  # that was heard, where one was chosen
                ("recorded_at", time),
                ("recorded_at_origin", pa.string()),
                ("recorded_at_doubt", pa.string()),
                ("clock", pa.string()),
                ("heard", pa.bool_()),
                ("n_windows", pa.int32()),
                ("n_detections", pa.int32()),
                ("species", candidates_type()),
                ("notes", pa.list_(pa.string())),
                ("error", pa.string()),
            ]
        )
    of_file = [("file_id", pa.int64()), ("source_file", pa.string())]
    stretch = [("start_s", pa.float64()), ("end_s", pa.float64())]
    taxon = [
        ("taxon_rank", pa.string()),
        ("taxon_scientific_name", pa.string()),
        ("taxon_common_name", pa.string()),
        ("confidence", pa.float64()),
        ("candidates", candidates_type()),
    ]
    if table == WINDOWS:
        detection = pa.struct(taxon)
        heard = [("level_dbfs", pa.float64()), ("heard", pa.bool_())]
        found = [("detections", pa.list_(detection)), ("species", candidates_type())]
        return pa.schema([*of_file, *stretch, *heard, *found])
    if table == EMBEDDINGS:
        vector = pa.list_(pa.float16(), dim)
        return pa.schema([*of_file, *stretch, ("level_dbfs", pa.float64()), ("embedding", vector)])
    return pa.schema(
        [
            ("file_id", pa.int64()),
            ("schema", pa.int32()),
            ("id", pa.string()),
            ("time", time),
            ("clock", pa.string()),
            ("source_file", pa.string()),
            ("source_channel", pa.int32()),
            ("source_recorded_at", time),
            ("source_recorded_at_origin", pa.string()),
            ("source_recorded_at_doubt", pa.string()),
            ("source_device", pa.string()),
            ("source_station", pa.string()),
            ("source_latitude", pa.float64()),
            ("source_longitude", pa.float64()),
            *stretch,
            *taxon,
            ("clip", pa.string()),
            ("pack_name", pa.string()),
            ("pack_version", pa.string()),
            ("gallery_sha256", pa.string()),
            ("gallery_learned_sha256", pa.string()),
        ]
    )


@dataclass(frozen=True)
class Part:
    """A part whose file in `files` is there.

    Attributes
    ----------
    number : int
    replaces : frozenset of int
        Parts whose recordings it has, as far as they still count.
    supersedes : frozenset of int
        `file_id` of recordings in other parts that it has again.
    """

    number: int
    replaces: frozenset[int] = frozenset()
    supersedes: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """Of its files."""
        return part_name(self.number)

    def metadata(self) -> dict[bytes, bytes]:
        """For the file in `files`."""
        fields = {"part": self.number, "replaces": sorted(self.replaces), "supersedes": sorted(self.supersedes)}
        return {METADATA: json.dumps(fields).encode()}

    @classmethod
    def of(cls, metadata: dict[bytes, bytes]) -> Part:
        """Read what `metadata` gave."""
        fields = json.loads(metadata[METADATA])
        return cls(fields["part"], frozenset(fields["replaces"]), frozenset(fields["supersedes"]))


def part_name(number: int) -> str:
    """Name of the files of a part."""
    return f"part-{number:06d}.parquet"


@dataclass(frozen=True)
class Committed:
    """The parts that are there.

    Attributes
    ----------
    parts : dict of int to Part
        Those that count.
    replaced : frozenset of int
        Those that others replace.
    superseded : frozenset of int
        `file_id` of recordings that do not count, in whatever part they are.
    """

    parts: dict[int, Part]
    replaced: frozenset[int]
    superseded: frozenset[int]

    @cached_property
    def after(self) -> dict[int, int]:
        """The part that counts by each that it replaces."""
        return {old: part.number for part in self.parts.values() for old in part.replaces}

    @classmethod
    def of(cls, folder: Path) -> Committed:
        """Read which parts of a data set are there.

        Raises
        ------
        OutputError
            One cannot be read.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        found: dict[int, Part] = {}
        for number, path in sorted(part_files(folder / FILES)):
            try:
                found[number] = Part.of(pq.read_schema(arrow_path(path)).metadata)
            except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
                raise OutputError(
                    f"{path}: is no part of an archive's results ({' '.join(str(error).split())})",
                    "move it away; its recordings are then heard again",
                ) from None
        replaced = frozenset(number for part in found.values() for number in part.replaces)
        counting = {number: part for number, part in found.items() if number not in replaced}
        superseded = frozenset(one for part in found.values() for one in part.supersedes)
        return cls(counting, replaced, superseded)


def part_files(folder: Path) -> Iterator[tuple[int, Path]]:
    """Number and path of every part in a table, whether it counts or not."""
    for inner, _, names in os.walk(folder):
        for name in names:
            if match := PART_NAME.fullmatch(name):
                yield int(match[1]), Path(inner, name)


class DataSet:
    """The results of an archive, to be read; what a run that goes on adds is not seen.

    Parameters
    ----------
    folder : path

    Attributes
    ----------
    folder : Path
    record : Record
        Settings, pack and gallery of the run.

    Raises
    ------
    UsageError
        pyarrow is not installed, or the folder has no results.
    OutputError
        They cannot be read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        require_pyarrow()
        self.folder = Path(folder)
        self.record = Record.read(self.folder)
        self._checked: set[Path] = set()  # parts whose columns are right

    @cached_property
    def committed(self) -> Committed:
        """The parts that are there."""
        return Committed.of(self.folder)

    def has(self, table: str) -> bool:
        """Whether a table was asked for: `windows` and `embeddings` need not be."""
        return table in self.record.tables

    def table(self, name: str, columns: Sequence[str] | None = None, where: pads.Expression | None = None) -> pa.Table:
        """Rows of a table, all in memory; see `batches`."""
        import pyarrow as pa

        found = list(self.batches(name, columns, where))
        asked = self._of(name)[0].schema
        if columns is not None:
            asked = pa.schema([asked.field(column) for column in columns])
        return pa.Table.from_batches(found, asked.remove_metadata())

    def batches(
        self, name: str, columns: Sequence[str] | None = None, where: pads.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Rows of a table, part by part, in memory that does not grow with it.

        Parameters
        ----------
        name : str
            One of `TABLES`.
        columns : sequence of str, optional
            All, and the partition (``date`` or ``folder``), if not given.
        where : pyarrow.dataset.Expression, optional
            Which rows; a condition on the partition spares reading the others.

        Raises
        ------
        UsageError
            The run was not asked for this table.
        """
        read, counts = self._of(name)
        condition = counts if where is None else where if counts is None else where & counts
        with readable(self.folder / name):
            scanned = read.scanner(columns=None if columns is None else list(columns), filter=condition)
            for batch in scanned.to_batches():
                if len(batch):
                    yield batch.replace_schema_metadata(None)

    def count(self, name: str, where: pads.Expression | None = None) -> int:
        """How many rows of a table there are; see `batches`."""
        read, counts = self._of(name)
        with readable(self.folder / name):
            return int(read.count_rows(filter=counts if where is None else where if counts is None else where & counts))

    @property
    def numbers(self) -> list[int]:
        """Of the parts that count, in the order in which they were written."""
        return sorted(self.committed.parts)

    def part(
        self, name: str, number: int, columns: Sequence[str] | None = None, where: pads.Expression | None = None
    ) -> pa.Table:
        """Rows of a table that lie in one part, all in memory: those of all its recordings; see `batches`."""
        read, counts = self._of(name, number)
        condition = counts if where is None else where if counts is None else where & counts
        columns = None if columns is None else list(columns)
        with readable(self.folder / name):
            return read.to_table(columns=columns, filter=condition).replace_schema_metadata(None)

    def document(self, row: dict[str, Any]) -> dict[str, Any]:
        """The detection document of a row of `detections` (of `RecordBatch.to_pylist`)."""
        from edgeapp.clock.utc import utc_text

        def inner(name: str, *fields: str) -> dict[str, Any]:
            values = {field: row[f"{name}_{field}"] for field in fields}
            return {name: {k: utc_text(v) if isinstance(v, datetime) else v for k, v in values.items()}}

        recorded = ("recorded_at", "recorded_at_origin", "recorded_at_doubt")

        return {
            "schema": row["schema"],
            "id": row["id"],
            "time": None if row["time"] is None else utc_text(row["time"]),
            "clock": row["clock"],
            **inner("source", "file", "channel", *recorded, "device", "station", "latitude", "longitude"),
            "start_s": row["start_s"],
            "end_s": row["end_s"],
            **inner("taxon", "rank", "scientific_name", "common_name"),
            "confidence": row["confidence"],
            "candidates": row["candidates"],
            "pictures": [],
            "clip": row["clip"],
            "review": None,
            **inner("pack", "name", "version"),
            **inner("gallery", "sha256", "learned_sha256"),
        }

    def path(self, file: str, path: bytes | None = None) -> Path:
        """Where a recording lies: its columns `file` and `path` of `files`."""
        return Path(self.record.base, file if path is None else os.fsdecode(path))

    @cached_property
    def _paths(self) -> dict[str, list[tuple[int, Path]]]:
        """Table to the number and path of its files that count."""
        found = {name: sorted(part_files(self.folder / name), key=lambda one: one[1]) for name in TABLES}
        return {name: [one for one in files if one[0] in self.committed.parts] for name, files in found.items()}

    def _of(self, name: str, number: int | None = None) -> tuple[pads.Dataset, pads.Expression | None]:
        """A table's parts that count, or one of them, and which of their rows do."""
        import pyarrow as pa
        import pyarrow.dataset as pads

        if name not in TABLES:
            raise ValueError(f"{name!r} is no table of an archive")
        if not self.has(name):
            raise UsageError(
                f"{self.folder}: the archive was heard without {name}", f"hear it again with --{name} --new-run"
            )
        fields = schema(name, self.record.dim)
        hive = None
        if name != FILES and self.record.partition != NONE:
            fields = fields.append(pa.field(self.record.partition, pa.string()))
            hive = pads.partitioning(pa.schema([fields.field(self.record.partition)]), flavor="hive")
        chosen = [path for part, path in self._paths[name] if number in (None, part)]
        for path in chosen:
            if path not in self._checked:
                check_columns(path, schema(name, self.record.dim))
                self._checked.add(path)
        paths = [arrow_path(path.as_posix()) for path in chosen]
        root = arrow_path((self.folder / name).as_posix())
        read = pads.dataset(paths, schema=fields, format="parquet", partitioning=hive, partition_base_dir=root)
        gone = self.committed.superseded
        return read, ~pads.field("file_id").isin(sorted(gone)) if gone else None
