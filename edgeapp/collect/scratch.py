"""SQLite files that are thrown away where they are not finished, and so need no journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gallery import sqlite


def scratch(path: Path, cache_kib: int | None = None) -> sqlite3.Connection:
    """Open a new one; with `cache_kib`, SQLite takes so much memory, as for making indices."""
    connection = sqlite.connect(path, "rwc", autocommit=True)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    if cache_kib is not None:
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    return connection
