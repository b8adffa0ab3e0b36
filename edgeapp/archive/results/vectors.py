"""The stored embeddings of an archive, to be compared once more; part by part, so that memory does not grow.

Windows that were below the level of silence were not encoded and are not among them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeapp.archive.results.dataset import EMBEDDINGS, DataSet
from edgeapp.errors import PackError, UsageError
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import installed_packs

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads

AT_ONCE = 256  # windows compared together: enough for the processor, and what is found of each waits in memory


@dataclass(frozen=True, eq=False)
class Vectors:
    """Encoded windows, those of a recording together and in their order.

    Attributes
    ----------
    file_ids : numpy.ndarray
        [n] int64
    start_s, end_s, levels_dbfs : numpy.ndarray
        [n] float64
    vectors : numpy.ndarray
        [n, dim] float16
    """

    file_ids: np.ndarray
    start_s: np.ndarray
    end_s: np.ndarray
    levels_dbfs: np.ndarray
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.file_ids)

    def at(self, rows: np.ndarray | slice) -> Vectors:
        """Some of them."""
        return Vectors(
            self.file_ids[rows], self.start_s[rows], self.end_s[rows], self.levels_dbfs[rows], self.vectors[rows]
        )

    def pieces(self) -> Iterator[Vectors]:
        """All of them, `AT_ONCE` at a time."""
        for at in range(0, len(self), AT_ONCE):
            yield self.at(slice(at, at + AT_ONCE))

    @property
    def times(self) -> list[tuple[float, float]]:
        """Start and end of each, in seconds."""
        return list(zip(self.start_s.tolist(), self.end_s.tolist(), strict=True))


def vectors_of(data: DataSet, number: int, where: pads.Expression | None = None) -> Vectors:
    """The encoded windows of a part.

    Raises
    ------
    UsageError
        The archive was heard without embeddings.
    """
    table = data.part(EMBEDDINGS, number, None, where)
    ids = table["file_id"].to_numpy()
    order = np.argsort(ids, kind="stable")
    start_s, end_s, level = (table[name].to_numpy()[order] for name in ("start_s", "end_s", "level_dbfs"))
    return Vectors(ids[order], start_s, end_s, level, _matrix(table["embedding"], data.record.dim)[order])


def _matrix(column: pa.ChunkedArray, dim: int) -> np.ndarray:
    """[n, dim] float16."""
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate([*chunks, np.empty(0, np.float16)]).reshape(-1, dim)


def check_space(data: DataSet, pack: Pack) -> None:
    """Raise where the embeddings of an archive are not there or are of another space than a pack's.

    Raises
    ------
    UsageError
    """
    if not data.has(EMBEDDINGS):
        raise UsageError(
            f"{data.folder}: the archive was heard without embeddings", "hear it again with --embeddings --new-run"
        )
    record, identity = data.record, pack.identity
    if (record.space, record.dim) != (identity.space, identity.dim):
        raise UsageError(
            f"{data.folder}: its embeddings are of pack {record.settings.get('pack')}, and pack {pack.name} "
            f"{pack.version} has another space",
            "name a pack of that space with --pack, or hear the archive again with this one",
        )


def pack_of_space(data: DataSet) -> str | None:
    """Folder of an installed pack that can compare the embeddings of an archive: the one that made them if it is there.

    None if there is none.
    """
    found = None
    for one in installed_packs():
        try:
            pack = Pack.load(one.folder, verify=False)
        except PackError:
            continue  # `doctor` names it
        if (pack.identity.space, pack.identity.dim) == (data.record.space, data.record.dim):
            if f"{pack.name} {pack.version}" == data.record.settings.get("pack"):
                return os.fspath(one.folder)
            found = found or os.fspath(one.folder)
    return found
