"""The table of a gallery's counterexamples."""

from __future__ import annotations

import sqlite3

import numpy as np

from gallery.entry import Counterexample
from gallery.rows import VECTOR, named, vectors_of


def put(db: sqlite3.Connection, one: Counterexample, dim: int) -> str:
    """Insert a counterexample; why it was not, or ``""``."""
    if reason := one.defect(dim):
        return reason
    vector = np.ascontiguousarray(one.vector, dtype=VECTOR).tobytes()
    provenance = (one.label, one.author, one.licence, one.source)
    cursor = db.execute(
        f"INSERT INTO counterexamples VALUES (NULL{', ?' * 7}) ON CONFLICT DO NOTHING",
        (one.taxon_rank, one.scientific_name, vector, *provenance),
    )
    return "" if cursor.rowcount else "counterexample is in the gallery already"


def read(db: sqlite3.Connection, dim: int) -> list[Counterexample]:
    """All of them, in the order they were added."""
    columns = "taxon_rank, scientific_name, vector, label, author, licence, source"
    rows = list(named(db.execute(f"SELECT {columns} FROM counterexamples ORDER BY id")))
    names = [f"{row['scientific_name']} (counterexample)" for row in rows]
    vectors = vectors_of((row["vector"] for row in rows), dim, names)
    return [Counterexample(**{**row, "vector": vector}) for row, vector in zip(rows, vectors)]
