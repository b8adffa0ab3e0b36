"""Writing the results of an archive in parts; `dataset.py` says what a part is and when it is there.

Whenever a run is killed, each recording is in exactly one part that counts, or in none and is heard again: a part's
file in `files` is the last of its files to be written and, of a part that is replaced, the first to be deleted.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from edgeapp.archive.results.arrow import arrow_path, check_columns
from edgeapp.archive.results.dataset import (
    FILES,
    NONE,
    TABLES,
    UNKNOWN,
    Committed,
    Part,
    part_files,
    part_name,
    schema,
)
from edgeapp.archive.results.record import Record
from edgeapp.errors import OutputError
from edgeapp.file_names import portable
from gallery import files

if TYPE_CHECKING:
    import pyarrow as pa

PARTITION = "partition"  # column of rows that are to be written: the value by which they are partitioned
ID_BITS = 20  # of a `file_id` that count the recordings of its part; the others are the part's number
MOST_FILES = 1 << ID_BITS
COMPRESSION = "zstd"


@dataclass(frozen=True, eq=False)
class Rows:
    """All rows of some recordings.

    Attributes
    ----------
    tables : dict of str to pyarrow.Table
        `files`, with a row a recording, and others. `file_id` counts the recordings from 0 on; tables but `files` have
        the column `PARTITION` as well.
    supersedes : frozenset of int
        `file_id` of recordings in older parts that these take the place of.
    """

    tables: Mapping[str, pa.Table]
    supersedes: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return int(self.tables[FILES].num_rows)

    @property
    def nbytes(self) -> int:
        """In memory."""
        return sum(table.nbytes for table in self.tables.values())


class Parts:
    """The parts of a data set, to be added to; one writer at a time.

    What a killed run left is removed when it is made.

    Parameters
    ----------
    folder : Path
        Has a `Record`.
    record : Record

    Attributes
    ----------
    committed : Committed
    """

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder, self.record = folder, record
        self._waiting: list[Rows] = []
        with explained(folder):
            for table in TABLES:
                for inner in {path.parent for _, path in part_files(folder / table)} | {folder / table}:
                    files.remove_abandoned(inner)
            files.remove_abandoned(folder)
            self.committed = Committed.of(folder)
            highest = max([*self.committed.parts, *self.committed.replaced, 0])
            self._next = highest + 1
            self._paths: dict[str, dict[int, list[Path]]] = {table: {} for table in TABLES}
            for table in TABLES:
                for number, path in part_files(folder / table):
                    self._paths[table].setdefault(number, []).append(path)
            self._sweep()
        self.settle()

    @property
    def n_waiting(self) -> int:
        """Recordings whose rows are not committed yet."""
        return sum(map(len, self._waiting))

    @property
    def bytes_waiting(self) -> int:
        """What their rows take in memory."""
        return sum(rows.nbytes for rows in self._waiting)

    def add(self, rows: Rows) -> None:
        """Take the rows of recordings; `commit` makes them durable."""
        if len(rows):
            self._waiting.append(rows)

    def commit(self) -> int:
        """Make what was added durable, as one part; how many recordings there were.

        Raises
        ------
        OutputError
            It cannot be written: nothing of it is there, and it still waits.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._waiting:
            return 0
        number = self._next
        gathered: dict[str, list[pa.Table]] = {table: [] for table in self.record.tables}
        count = 0
        for rows in self._waiting:
            for name, table in rows.tables.items():
                ids = pc.add(table["file_id"], (number << ID_BITS) + count)
                gathered[name].append(table.set_column(table.schema.get_field_index("file_id"), "file_id", ids))
            count += len(rows)
        supersedes = frozenset[int]().union(*(rows.supersedes for rows in self._waiting))
        part = Part(number, supersedes=supersedes)
        self._write(part, {name: pa.concat_tables(tables) for name, tables in gathered.items() if tables})
        self._waiting.clear()
        return count

    def settle(self) -> None:
        """Delete rows that are superseded, by parts that take the place of those that have them.

        Raises
        ------
        OutputError
            It cannot be written; the rows still do not count.
        """
        by_part: dict[int, list[int]] = {}
        for one in self.committed.superseded:
            by_part.setdefault(self.number_of(one), []).append(one)
        for number in sorted(by_part):
            if number in self.committed.parts:
                self._rewrite(number, by_part[number])

    def number_of(self, file_id: int) -> int:
        """The part in which a recording is; rewriting a part keeps the `file_id` of its recordings."""
        first = file_id >> ID_BITS
        if first in self.committed.parts:
            return first
        return self.committed.after.get(first, first)

    def read(self, number: int) -> dict[str, pa.Table]:
        """All rows of a part, those of tables but `files` with the column `PARTITION`.

        Raises
        ------
        OutputError
            It cannot be read.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        found = {}
        for name in self.record.tables:
            fields = schema(name, self.record.dim)
            tables = []
            for path in sorted(self._paths[name].get(number, ())):
                check_columns(path, fields)
                with explained(path):
                    table = pq.read_table(arrow_path(path), partitioning=None).select(fields.names).cast(fields)
                if name != FILES:
                    value = self._value_of(path.parent)
                    table = table.append_column(PARTITION, pa.array([value] * len(table), pa.string()))
                tables.append(table)
            if tables:
                found[name] = pa.concat_tables(tables)
        return found

    def _rewrite(self, number: int, gone: list[int]) -> None:
        """Put a part without some of its recordings in its place."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        drop = pa.array(sorted(gone), pa.int64())
        with explained(self.folder):
            has = pq.read_table(arrow_path(self.folder / FILES / part_name(number)), columns=["file_id"])["file_id"]
        if not pc.any(pc.is_in(has, drop)).as_py():
            return
        kept = {
            name: table.filter(pc.invert(pc.is_in(table["file_id"], drop))) for name, table in self.read(number).items()
        }
        before = self.committed.parts[number]
        part = Part(self._next, before.replaces | {number}, before.supersedes)
        self._write(part, kept)
        self._sweep()

    def _write(self, part: Part, tables: Mapping[str, pa.Table]) -> None:
        """Write a part, `files` last, and count it."""
        import pyarrow.parquet as pq

        written: list[Path] = []
        try:
            for name in sorted(tables, key=lambda name: name == FILES):
                fields = schema(name, self.record.dim)
                for inner, rows in self._split(name, tables[name]):
                    target = self.folder / name / inner / part.name
                    rows = rows.select(fields.names).cast(fields)
                    if name == FILES:
                        rows = rows.replace_schema_metadata(part.metadata())
                    written.append(target)
                    with explained(target), files.replacing(target, parents=True, sweep=False) as temporary:
                        pq.write_table(rows, arrow_path(temporary), compression=COMPRESSION)
                    self._paths[name].setdefault(part.number, []).append(target)
        except BaseException:
            for path in reversed(written):  # `files` first
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            for paths in self._paths.values():
                paths.pop(part.number, None)
            raise
        replaced = self.committed.replaced | part.replaces
        parts = {n: one for n, one in self.committed.parts.items() if n not in replaced}
        self.committed = Committed({**parts, part.number: part}, replaced, self.committed.superseded | part.supersedes)
        self._next = part.number + 1

    def _split(self, name: str, table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """The rows of each partition, and the folder they go to inside that of their table."""
        import pyarrow.compute as pc

        if name == FILES:
            yield "", table
            return
        if not len(table):
            return
        if self.record.partition == NONE:
            yield "", table
            return
        for value in sorted(pc.unique(table[PARTITION]).to_pylist()):
            yield partition_folder(self.record.partition, value), table.filter(pc.equal(table[PARTITION], value))

    def _value_of(self, folder: Path) -> str:
        return unquote(folder.name.partition("=")[2]) if self.record.partition != NONE else ""

    def _sweep(self) -> None:
        """Delete files of parts that are not there or do not count, `files` first."""
        for table, paths in self._paths.items():
            for number in [number for number in paths if number not in self.committed.parts]:
                for path in paths.pop(number):
                    path.unlink(missing_ok=True)
                    with suppress(OSError):  # other parts are in it
                        if path.parent != self.folder / table:
                            path.parent.rmdir()


def partition_folder(key: str, value: str) -> str:
    """Name of the folder of a partition, as Hive writes it and any file system takes it."""
    return f"{key}={portable(value or UNKNOWN)}"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Tell a failure of the disk as one of the output.

    Raises
    ------
    OutputError
    """
    try:
        yield
    except OSError as error:
        remedy = "check the folder"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = "free some space and give the same command again: it goes on from here"
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})", remedy) from None
