"""Recordings that were heard under another path, or before they were touched: known by their content."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeapp.archive.plan import file_ids
from edgeapp.archive.results.dataset import FILES, FOLDER
from edgeapp.archive.results.parts import PARTITION, Parts, Rows
from edgeapp.archive.results.rows import folder_of, names_of
from edgeapp.archive.workers.worker import Hashed

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Before:
    """What was heard before of the same content."""

    file_ids: tuple[int, ...]
    failed: bool


class Unseen:
    """What was heard before and has not been found where it was, by its hash.

    Parameters
    ----------
    table : pyarrow.Table
        See `edgeapp.archive.plan.Plan`.
    """

    def __init__(self, table: pa.Table) -> None:
        hashes = np.array(table["sha256"].to_pylist(), "S64")
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._table, self._rows = hashes[order], table, order
        self._taken = np.zeros(len(hashes), bool)

    def take(self, hashed: Hashed) -> Before | None:
        """A recording of the same content, each once; None where there is none.

        A recording that is still where it was is another one of the same content.
        """
        wanted = hashed.sha256.encode()
        here = os.fsencode(os.path.abspath(hashed.item.file))
        for at in range(*(int(np.searchsorted(self._hashes, wanted, side)) for side in ("left", "right"))):
            if self._taken[at]:
                continue
            row = int(self._rows[at])
            key = self._table["key"][row].as_py()
            if key == here or not os.path.lexists(key):
                self._taken[at] = True
                first, count, failed = (self._table[name][row].as_py() for name in ("before", "n_before", "error"))
                return Before(file_ids(first, count), failed)
        return None


def moved_rows(parts: Parts, moved: Sequence[tuple[int, Hashed]]) -> list[Rows]:
    """The rows of recordings under their new names, which take the place of those under the old ones.

    Parameters
    ----------
    parts : Parts
    moved : sequence of (int, Hashed)
        `file_id` of what was heard, and what was found. Each at most once.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    by_part: dict[int, list[tuple[int, Hashed]]] = {}
    for one in moved:
        by_part.setdefault(parts.number_of(one[0]), []).append(one)
    made = []
    for number, those in sorted(by_part.items()):
        old = pa.array([file_id for file_id, _ in those], pa.int64())
        names = [names_of(one.item.file) for _, one in those]
        columns = {
            "file": pa.array([name["file"] for name in names], pa.string()),
            "path": pa.array([name["path"] for name in names], pa.binary()),
            "size": pa.array([one.size for _, one in those], pa.int64()),
            "mtime": pa.array([one.mtime_us for _, one in those], pa.timestamp("us", "UTC")),
        }
        tables = {}
        for name, table in parts.read(number).items():
            place = pc.index_in(table["file_id"], old)
            table = table.set_column(0, "file_id", pc.cast(place, pa.int64())).filter(pc.is_valid(place))
            new = columns if name == FILES else {"source_file": columns["file"]}
            if name != FILES and parts.record.partition == FOLDER:
                new[PARTITION] = pa.array([folder_of(one.item.file) for _, one in those], pa.string())
            for column, values in new.items():
                at = table.schema.get_field_index(column)
                table = table.set_column(at, table.schema.field(at), values.take(table["file_id"]))
            tables[name] = table
        made.append(Rows(tables, frozenset(old.to_pylist())))
    return made
