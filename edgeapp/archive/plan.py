"""Which recordings of an archive are to be heard: what a scan finds, less what was heard before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeapp.archive.inputs import Found, Refused
from edgeapp.archive.results.dataset import FILES, DataSet, schema
from edgeapp.archive.workers.worker import Item, Task

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ITEMS = 100  # of a task: seconds of work, so that little is heard again when a worker is killed
MOST_BYTES = 32 << 20
PIECE = 1000  # recordings scanned between two calls of `done`, and planned at once


@dataclass(frozen=True, eq=False)
class Scan:
    """The recordings that were found.

    Attributes
    ----------
    table : pyarrow.Table
        ``file`` (the path, as bytes), ``size``, ``mtime`` (microseconds since 1970), both null where what was named is
        no file or not there.
    n_bytes : int
    refused : tuple of str
        Inputs that give no recordings, a line each.
    """

    table: pa.Table
    n_bytes: int
    refused: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @classmethod
    def of(cls, found: Iterable[Found | Refused], done: Callable[[int], None] = lambda files: None) -> Scan:
        """Take what `edgeapp.archive.inputs.recordings` finds.

        Parameters
        ----------
        found : iterable of Found or Refused
        done : callable
            Called with the number of files now and then.
        """
        import pyarrow as pa

        fields = pa.schema([("file", pa.binary()), ("size", pa.int64()), ("mtime", pa.int64())])
        batches: list[pa.RecordBatch] = []
        refused: list[str] = []
        rows: list[dict[str, Any]] = []
        count = n_bytes = 0
        for one in found:
            if isinstance(one, Refused):
                refused.append(str(one.error))
                continue
            mtime = None if one.mtime_ns is None else one.mtime_ns // 1000
            rows.append({"file": os.fsencode(one.path), "size": one.size, "mtime": mtime})
            count += 1
            n_bytes += one.size or 0
            if len(rows) == PIECE:
                batches.append(pa.RecordBatch.from_pylist(rows, fields))
                rows.clear()
                done(count)
        batches.append(pa.RecordBatch.from_pylist(rows, fields))
        done(count)
        return cls(pa.Table.from_batches(batches, fields), n_bytes, tuple(refused))


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done.

    Attributes
    ----------
    n_found : int
    n_done : int
        Recordings that were heard before and are as they were.
    n_failed : int
        Of those, how many had failed.
    todo : pyarrow.Table
        The others, in the order of the scan: ``file``, ``size``, ``mtime``, ``check``, see `Item`; ``before`` and
        ``n_before``, see `unseen`.
    n_bytes : int
        Of `todo`.
    unseen : pyarrow.Table
        What was heard before and may be heard again under another path or time of change: ``before`` (the first
        `file_id`), ``n_before`` (how many there are: those of the channels of a file follow one another), ``sha256``,
        ``key`` (the absolute path), ``error`` (whether it failed).
    retry_failed : bool
    """

    n_found: int
    n_done: int
    n_failed: int
    todo: pa.Table
    n_bytes: int
    unseen: pa.Table
    retry_failed: bool = False

    @property
    def n_todo(self) -> int:
        """How many recordings are to be heard."""
        return int(self.todo.num_rows)

    @classmethod
    def of(cls, scan: Scan, heard: DataSet | None = None, retry_failed: bool = False) -> Plan:
        """Compare what was found with what was heard.

        Parameters
        ----------
        scan : Scan
        heard : DataSet, optional
        retry_failed : bool
            Hear recordings again that failed.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        old = _heard(heard)
        if not len(old):  # what was found can be millions of paths: no copy is made of them
            todo = scan.table.append_column("before", pa.nulls(len(scan), pa.int64()))
            todo = todo.append_column("n_before", pa.nulls(len(scan), pa.int64()))
            todo = todo.append_column("check", pa.repeat(False, len(scan)))
            return cls(len(scan), 0, 0, todo, scan.n_bytes, old, retry_failed)
        found = scan.table.append_column("row", pa.array(range(len(scan)), pa.int64()))
        absolute = (os.fsencode(os.path.abspath(os.fsdecode(file.as_py()))) for file in found["file"])
        found = found.append_column("key", pa.array(absolute, pa.binary()))
        both = found.join(old, "key", join_type="left outer").sort_by("row")

        def is_true(condition: pa.ChunkedArray) -> pa.ChunkedArray:
            return pc.fill_null(condition, False)

        same_size = is_true(pc.equal(both["size"], both["old_size"]))
        same = pc.and_(same_size, is_true(pc.equal(both["mtime"], both["old_mtime"])))
        failed = is_true(both["error"])
        done = pc.and_(same, pc.invert(failed)) if retry_failed else same
        touched = pc.and_(pc.and_(same_size, pc.invert(same)), is_true(pc.is_valid(both["sha256"])))
        missing = old.filter(pc.is_valid(old["sha256"])).join(found.select(["key"]), "key", join_type="left anti")
        maybe_moved = pc.and_(pc.is_null(both["before"]), pc.is_in(both["size"], missing["old_size"].unique()))
        check = pc.or_(touched, maybe_moved)
        columns = ["file", "size", "mtime", "before", "n_before"]
        todo = both.select(columns).append_column("check", check).filter(pc.invert(done))
        kept = ["before", "n_before", "sha256", "key", "error"]
        unseen = pa.concat_tables([one.select(kept) for one in (missing, both.filter(touched))])
        return cls(
            len(scan),
            pc.sum(done).as_py() or 0,
            pc.sum(pc.and_(done, failed)).as_py() or 0,
            todo,
            pc.sum(todo["size"]).as_py() or 0,
            unseen,
            retry_failed,
        )

    def tasks(self) -> Iterator[Task]:
        """What is to be done, in pieces; recordings that are not there are left to `absent`."""
        items: list[Item] = []
        n_bytes = 0
        for item in self._items():
            if item.size < 0:
                continue
            if items and (len(items) == MOST_ITEMS or n_bytes + item.size > MOST_BYTES or item.check != items[0].check):
                yield Task(tuple(items))
                items, n_bytes = [], 0
            items.append(item)
            n_bytes += item.size
        if items:
            yield Task(tuple(items))

    def absent(self) -> Iterator[Item]:
        """What was named and is no file, or not there."""
        return (item for item in self._items() if item.size < 0)

    def _items(self) -> Iterator[Item]:
        for batch in self.todo.to_batches(PIECE):
            for row in batch.to_pylist():
                size = -1 if row["size"] is None else row["size"]
                before = file_ids(row["before"], row["n_before"])
                yield Item(os.fsdecode(row["file"]), size, row["mtime"] or 0, before, row["check"])


def file_ids(first: int | None, count: int | None) -> tuple[int, ...]:
    """Those of a file, see `Plan.unseen`."""
    return () if first is None else tuple(range(first, first + (count or 1)))


def _heard(heard: DataSet | None) -> pa.Table:
    """What was heard before, a row a file: ``old_size``, ``old_mtime``, and those of `Plan.unseen`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = ["file_id", "file", "path", "size", "mtime", "sha256", "error"]
    known = schema(FILES).empty_table().select(names) if heard is None else heard.table(FILES, names)
    keys: list[bytes] = []
    if heard is not None:
        for file, path in zip(known["file"].to_pylist(), known["path"].to_pylist()):
            keys.append(os.fsencode(os.path.abspath(heard.path(file, path))))
    rows = pa.table(
        {
            "key": pa.array(keys, pa.binary()),
            "before": known["file_id"],
            "old_size": known["size"],
            "old_mtime": known["mtime"].cast(pa.int64()),
            "sha256": known["sha256"],
            "error": pc.is_valid(known["error"]),
        }
    )
    facts = [("old_size", "max"), ("old_mtime", "max"), ("sha256", "max"), ("error", "any")]
    by_file = rows.group_by("key", use_threads=False).aggregate([("before", "min"), ("before", "count"), *facts])
    called = {"before_min": "before", "before_count": "n_before", **{f"{name}_{how}": name for name, how in facts}}
    return by_file.rename_columns([called.get(name, name) for name in by_file.column_names])
