"""The table of a gallery's entries: putting one in, and reading them whole."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from gallery import vectors
from gallery.centroids import Appender
from gallery.entry import Entry, Thumbnail
from gallery.rows import VECTOR, hash_of, named, stored_hash, vectors_of

_READ = """
    SELECT entries.id, scientific_name, modality, block, place, label, author, licence, source, sha256,
        logit_scale, logit_bias, class_vectors.vector AS of_class, class_vectors.crc32 AS of_class_crc32,
        small, large, width, height
    FROM taxa JOIN entries ON entries.taxon = taxa.id
    LEFT JOIN class_vectors ON class_vectors.entry = entries.id
    LEFT JOIN thumbnails ON thumbnails.entry = entries.id
    """


def put(db: sqlite3.Connection, entry: Entry, taxon: int, appender: Appender) -> bool:
    """Insert an entry of the taxon of a row; False where it is there already."""
    key = (taxon, entry.modality)
    of_class = entry.logit_scale is not None
    place = (None, None) if entry.vector is None or of_class else appender.place(key)
    provenance = (entry.label, entry.author, entry.licence, entry.source, stored_hash(entry.sha256))
    if of_class and db.execute("SELECT 1 FROM class_vectors WHERE taxon = ?", (taxon,)).fetchone():
        return False
    cursor = db.execute(
        f"INSERT INTO entries VALUES (NULL{', ?' * 9}) ON CONFLICT DO NOTHING",
        (taxon, entry.modality, *place, *provenance),
    )
    if cursor.rowcount == 0:
        return False
    if of_class:
        content = np.ascontiguousarray(entry.vector, dtype=VECTOR).tobytes()
        values = (cursor.lastrowid, taxon, entry.logit_scale, entry.logit_bias, zlib.crc32(content), content)
        db.execute("INSERT INTO class_vectors VALUES (?, ?, ?, ?, ?, ?)", values)
    elif entry.vector is not None:
        appender.append(key, entry.vector)
    if entry.thumbnail is not None:
        one = entry.thumbnail
        sizes = (cursor.lastrowid, one.width, one.height, one.small, one.large)
        db.execute("INSERT INTO thumbnails VALUES (?, ?, ?, ?, ?)", sizes)
    return True


def read(db: sqlite3.Connection, dim: int, stored_hashes: bool, asked: dict[str, str | None]) -> list[Entry]:
    """Entries in the order they were added.

    Parameters
    ----------
    db : sqlite3.Connection
    dim : int
    stored_hashes : bool
        Whether hashes are as `gallery.rows.stored_hash` has them.
    asked : dict
        Column to what it must be; None for all.

    Raises
    ------
    DamagedRowError
        One is not what was written.
    """
    sha256 = asked.get("sha256")
    values = {**asked, "sha256": stored_hash(sha256) if sha256 is not None and stored_hashes else sha256}
    where = " AND ".join(f"{column} = :{column}" for column, value in values.items() if value is not None)
    rows = list(named(db.execute(f"{_READ} WHERE {where or 'true'} ORDER BY entries.id", values)))
    vectors.attach(db, dim, rows)
    for row in rows:
        del row["id"]
    return [_entry(row, dim) for row in rows]


def each(db: sqlite3.Connection, dim: int) -> Iterator[tuple[int, Entry]]:
    """All entries with their rows, taxon by taxon, one after the other.

    Raises
    ------
    DamagedRowError
        One is not what was written.
    """
    for (taxon,) in db.execute("SELECT id FROM taxa ORDER BY id").fetchall():
        rows = list(named(db.execute(f"{_READ} WHERE entries.taxon = ? ORDER BY entries.id", (taxon,))))
        vectors.attach(db, dim, rows)
        yield from ((row.pop("id"), _entry(row, dim)) for row in rows)


def _entry(row: dict[str, Any], dim: int) -> Entry:
    small, large, width, height = (row.pop(key) for key in ("small", "large", "width", "height"))
    of_class, crc32 = row.pop("of_class"), row.pop("of_class_crc32")
    if row["logit_scale"] is not None:
        name = row["scientific_name"]
        vectors.whole(of_class, dim, crc32, f"the class vector of {name}")
        row["vector"] = vectors_of([of_class], dim, [name])[0]
    row["sha256"] = hash_of(row["sha256"])
    return Entry(**row, thumbnail=None if large is None else Thumbnail(small or large, large, width, height))
