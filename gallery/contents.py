"""What a gallery holds, counted."""

from __future__ import annotations

import sqlite3
from typing import Any

from gallery.entry import MODALITIES


def counts(db: sqlite3.Connection) -> dict[str, Any]:
    """Taxa, entries, thumbnails, licences and rejections of a gallery, as `gallery.store.Gallery.info` gives them."""
    entries = dict.fromkeys(MODALITIES, 0)
    taxa_with = dict.fromkeys(MODALITIES, 0)
    of_modality = "SELECT modality, count(*), count(DISTINCT taxon) FROM entries GROUP BY modality"
    for modality, n, n_taxa in db.execute(of_modality):
        entries[modality], taxa_with[modality] = n, n_taxa
    of_licence = "SELECT licence, count(*) FROM entries WHERE modality <> 'text' GROUP BY licence ORDER BY licence"
    return {
        "taxa": _number(db, "taxa"),
        "entries": entries,
        "taxa_with": taxa_with,
        "class_vectors": _number(db, "class_vectors"),
        "photos_without_vectors": _number(db, "entries WHERE block IS NULL AND modality = 'image'"),
        "counterexamples": _number(db, "counterexamples"),
        "thumbnails": _number(db, "thumbnails"),
        "licences": dict(db.execute(of_licence).fetchall()),
        "rejected": _number(db, "rejected"),
    }


def counts_of_taxa(db: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """Scientific name to modality to entries, of every taxon of a gallery in the order they were added."""
    found = {
        name: dict.fromkeys(MODALITIES, 0) for (name,) in db.execute("SELECT scientific_name FROM taxa ORDER BY id")
    }
    of_taxa = """
        SELECT scientific_name, modality, count(*) FROM entries JOIN taxa ON taxa.id = entries.taxon
        GROUP BY taxon, modality
        """
    for name, modality, n in db.execute(of_taxa):
        found[name][modality] = n
    return found


def _number(db: sqlite3.Connection, of: str) -> int:
    (count,) = db.execute(f"SELECT count(*) FROM {of}").fetchone()
    return int(count)
