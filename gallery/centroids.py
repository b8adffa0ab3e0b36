"""Stored centroids: for each taxon and modality the sum and the number of its vectors, so that opening reads no more.

They are changed in the transaction that changes the entries, by `Appender` alone. A sum is of the vectors as they were
given, before the file rounded them to float16.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gallery.rows import DamagedRowError, pieces
from gallery.vectors import DTYPE, PER_BLOCK, blocks, decoded, encoded, ids_of_taxa, name_of, rows_of, whole

ROWS_PER_READ = 1024  # 1024 rows x 768 numbers x 4 bytes = 3 MiB at a time
MOST_PENDING = 4096  # vectors that wait to be written
_SUM = np.dtype("<f4")

Key = tuple[int, str]  # row of a taxon, modality


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of the vectors of one modality, for the taxa that have any.

    Attributes
    ----------
    rows : numpy.ndarray
        [m] int64, places of the taxa, ascending.
    totals : numpy.ndarray
        [m, dim] float32
    counts : numpy.ndarray
        [m] int64
    """

    rows: np.ndarray
    totals: np.ndarray
    counts: np.ndarray


def stored_sums(db: sqlite3.Connection, dim: int, modality: str, beside_class: bool) -> Sums | None:
    """See `gallery.store.Gallery.sums`.

    Raises
    ------
    DamagedRowError
        One is not what was written.
    """
    wanted = "" if beside_class else "AND taxon NOT IN (SELECT taxon FROM class_vectors)"
    (n,) = db.execute(f"SELECT count(*) FROM centroids WHERE modality = ? {wanted}", (modality,)).fetchone()
    if not n:
        return None
    ids = ids_of_taxa(db)
    cursor = db.execute(
        f"SELECT taxon, count, crc32, changed, total FROM centroids WHERE modality = ? {wanted} ORDER BY taxon",
        (modality,),
    )
    rows, counts = np.zeros(n, np.int64), np.zeros(n, np.int64)
    totals, at = np.empty((n, dim), np.float32), 0
    while found := cursor.fetchmany(ROWS_PER_READ):
        taxa, count, crcs, changed, blobs = zip(*found, strict=True)
        sound = not any(changed) and {*map(type, blobs)} == {bytes} and [*map(zlib.crc32, blobs)] == [*crcs]
        if not sound or {*map(len, blobs)} != {dim * _SUM.itemsize}:
            for taxon, blob, crc32, mark in zip(taxa, blobs, crcs, changed):
                _check(blob, crc32, mark, name_of(db, taxon), modality=modality, dim=dim)
        end = at + len(found)
        rows[at:end], counts[at:end] = rows_of(ids, taxa), count
        totals[at:end] = np.frombuffer(b"".join(blobs), _SUM).reshape(-1, dim)
        at = end
    return Sums(rows, totals, counts)


def computed_sums(db: sqlite3.Connection, dim: int, modality: str, beside_class: bool) -> Sums | None:
    """The same from the vectors themselves: of a file without stored ones, or to check those."""
    ids = ids_of_taxa(db)
    totals: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    for taxon, vectors in blocks(db, dim, modality, beside_class):
        if taxon in totals:
            totals[taxon] += vectors.sum(axis=0)
        else:
            totals[taxon] = vectors.sum(axis=0)
        counts[taxon] = counts.get(taxon, 0) + len(vectors)
    if not totals:
        return None
    rows = np.searchsorted(ids, np.array(list(totals), np.int64))
    return Sums(rows, np.stack(list(totals.values())), np.array(list(counts.values()), np.int64))


def sums_of_taxa(
    db: sqlite3.Connection, dim: int, taxa: Sequence[int], modalities: Sequence[str], stored: bool
) -> dict[int, dict[str, np.ndarray]]:
    """Sums [dim] of the vectors of some taxa, given by their rows, by modality; class vectors are among the sounds.

    Parameters
    ----------
    db : sqlite3.Connection
    dim : int
    taxa : sequence of int
    modalities : sequence of str
    stored : bool
        Whether the file has centroids; without, all vectors of the taxa are read.
    """
    totals: dict[int, dict[str, np.ndarray]] = {one: {} for one in taxa}
    kinds = ", ".join(f"'{modality}'" for modality in modalities)
    for some in pieces(taxa):
        if stored:
            query = f"""
                SELECT taxon, modality, total, crc32, changed, scientific_name FROM centroids
                JOIN taxa ON taxa.id = taxon WHERE taxon IN ({some}) AND modality IN ({kinds})
                """
            for taxon, modality, total, crc32, changed, name in db.execute(query):
                _check(total, crc32, changed, name, modality=modality, dim=dim)
                totals[taxon][modality] = np.frombuffer(total, _SUM)
        else:
            query = f"""
                SELECT taxon, modality, vectors, dtype, crc32, scientific_name FROM vectors
                JOIN taxa ON taxa.id = taxon WHERE taxon IN ({some}) AND modality IN ({kinds})
                """
            for taxon, modality, block, dtype, crc32, name in db.execute(query):
                of = totals[taxon]
                of[modality] = of.get(modality, 0.0) + decoded(block, dtype, crc32, dim, name).sum(axis=0)
        query = f"""
            SELECT taxon, vector, crc32, scientific_name FROM class_vectors
            JOIN taxa ON taxa.id = taxon WHERE taxon IN ({some})
            """
        for taxon, vector, crc32, name in db.execute(query) if "audio" in modalities else ():
            whole(vector, dim, crc32, f"the class vector of {name}")
            totals[taxon]["audio"] = totals[taxon].get("audio", 0.0) + np.frombuffer(vector, _SUM)
    return totals


@dataclass
class _Block:
    """A block that is being filled."""

    id: int
    written: bytes | None  # what the file has of it
    vectors: list[np.ndarray] = field(default_factory=list)
    n: int = 0


class Appender:
    """Appends vectors to the blocks of their taxa, and to the stored centroids; inside one transaction.

    Parameters
    ----------
    db : sqlite3.Connection
    dim : int
    """

    def __init__(self, db: sqlite3.Connection, dim: int) -> None:
        self._db = db
        self._dim = dim
        self._open: dict[Key, _Block] = {}
        self._sums: dict[Key, tuple[np.ndarray, int]] = {}
        self._pending = 0
        (last,) = db.execute("SELECT coalesce(max(id), 0) FROM vectors").fetchone()
        self._next = int(last) + 1

    def place(self, key: Key) -> tuple[int, int]:
        """Block and place that the next vector of a taxon and modality gets."""
        block = self._open.get(key) or self._begun(key)
        return block.id, block.n

    def append(self, key: Key, vector: np.ndarray) -> None:
        """Append a vector [dim] of unit length in the place that `place` gave."""
        block = self._open[key]
        block.vectors.append(np.asarray(vector, np.float32))
        block.n += 1
        self._pending += 1
        if block.n == PER_BLOCK:
            self._write(key, block)
            self._open.pop(key)
        if self._pending >= MOST_PENDING:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        for key, block in self._open.items():
            self._write(key, block)
        self._open.clear()
        for key, (total, count) in self._sums.items():
            self._add(key, total, count)
        self._sums.clear()
        self._pending = 0

    def _begun(self, key: Key) -> _Block:
        last = self._db.execute(
            """
            SELECT vectors.id, vectors, dtype, crc32, scientific_name
            FROM vectors JOIN taxa ON taxa.id = vectors.taxon
            WHERE taxon = ? AND modality = ? ORDER BY vectors.id DESC LIMIT 1
            """,
            key,
        ).fetchone()
        block = None
        if last is not None and last[2] == DTYPE:
            id, written, dtype, crc32, name = last
            n = len(decoded(written, dtype, crc32, self._dim, name))
            if n < PER_BLOCK:
                block = _Block(id, written, n=n)
        if block is None:
            block = _Block(self._next, None)
            self._next += 1
        self._open[key] = block
        return block

    def _write(self, key: Key, block: _Block) -> None:
        if not block.vectors:
            return
        vectors = np.stack(block.vectors)
        content = (block.written or b"") + encoded(vectors)
        crc32 = zlib.crc32(content)
        # Never UPDATE, by which the file's trigger tells the changes of other programs.
        row = (block.id, *key, DTYPE, crc32, content)
        self._db.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?, ?)", row)
        total, count = self._sums.get(key, (0.0, 0))
        self._sums[key] = total + vectors.sum(axis=0, dtype=np.float64), count + len(vectors)

    def _add(self, key: Key, total: np.ndarray, count: int) -> None:
        found = self._db.execute(
            """
            SELECT total, count, crc32, changed, scientific_name FROM centroids JOIN taxa ON taxa.id = taxon
            WHERE taxon = ? AND modality = ?
            """,
            key,
        ).fetchone()
        if found is not None:
            stored, known, *mark = found
            _check(stored, *mark, modality=key[1], dim=self._dim)
            total, count = total + np.frombuffer(stored, _SUM), count + known
        if not np.isfinite(total).all():
            raise DamagedRowError(f"the mean {key[1]} vector of taxon {key[0]} is not finite")
        content = total.astype(_SUM).tobytes()
        self._db.execute(
            "INSERT OR REPLACE INTO centroids VALUES (?, ?, ?, ?, 0, ?)", (*key, count, zlib.crc32(content), content)
        )


def _check(total: object, crc32: int, changed: int, name: str, *, modality: str, dim: int) -> None:
    """Raise DamagedRowError unless a stored sum is as it was written, and the vectors that it is of."""
    if changed:
        raise DamagedRowError(f"the {modality} vectors of {name} were changed by another program")
    whole(total, dim, crc32, f"the mean {modality} vector of {name}")
