"""All vectors of a gallery, without the rest of their entries, some thousand at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np

from gallery.rows import DamagedRowError, vectors_of

ROWS_PER_READ = 1024  # 1024 rows x 768 numbers x 4 bytes = 3 MiB at a time


def of_modality(
    db: sqlite3.Connection, dim: int, modality: str, beside_class: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """See `gallery.store.Gallery.vectors`."""
    ids, names = _taxa(db)
    cursor = db.execute(
        f"""
        SELECT taxon, vector FROM entries WHERE modality = ? AND logit_scale IS NULL AND vector IS NOT NULL
        {"" if beside_class else "AND taxon NOT IN (SELECT taxon FROM entries WHERE logit_scale > 0)"}
        ORDER BY taxon
        """,
        (modality,),
    )
    while rows := cursor.fetchmany(ROWS_PER_READ):
        taxa, blobs = zip(*rows, strict=True)
        at = np.searchsorted(ids, np.array(taxa, dtype=np.int64))
        yield at, vectors_of(blobs, dim, [names[place] for place in at.tolist()])


def of_classes(db: sqlite3.Connection, dim: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """See `gallery.store.Gallery.class_vectors`."""
    ids, names = _taxa(db)
    cursor = db.execute(
        "SELECT taxon, vector, logit_scale, logit_bias FROM entries WHERE logit_scale > 0 ORDER BY taxon"
    )
    while rows := cursor.fetchmany(ROWS_PER_READ):
        taxa, blobs, scales, biases = zip(*rows, strict=True)
        at = np.searchsorted(ids, np.array(taxa, dtype=np.int64))
        vectors = vectors_of(blobs, dim, [names[place] for place in at.tolist()])
        scale, bias = np.array(scales, np.float32), np.array(biases, np.float32)
        for place in np.flatnonzero(~(np.isfinite(scale) & np.isfinite(bias))).tolist():
            raise DamagedRowError(f"the class vector of {names[at[place]]} has no finite scale and bias")
        yield at, vectors, scale, bias


def _taxa(db: sqlite3.Connection) -> tuple[np.ndarray, list[str]]:
    """Ids [n_taxa] int64 of the taxa in the order they were added, and their scientific names."""
    found = db.execute("SELECT id, scientific_name FROM taxa ORDER BY id").fetchall()
    return np.array([id for id, _ in found], dtype=np.int64), [name for _, name in found]
