"""What m010 does to a journal: the states of microphones, sound levels, and any backend of a stream."""

from __future__ import annotations

import re

from gallery.migrating import Database

MICROPHONES = (
    """
    CREATE TABLE microphone_states (
        id INTEGER PRIMARY KEY,
        deployment INTEGER NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
        source TEXT NOT NULL,
        device_id TEXT NOT NULL,
        time_utc TEXT NOT NULL,
        boottime_s REAL,
        clock_set INTEGER NOT NULL CHECK (clock_set IN (0, 1, 2)),
        state TEXT NOT NULL,
        why TEXT NOT NULL
    )
    """,
    "CREATE INDEX microphone_states_by_deployment ON microphone_states (deployment)",
    """
    CREATE TABLE sound_levels (
        id INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
        time_utc TEXT NOT NULL,
        boottime_s REAL,
        clock_set INTEGER NOT NULL CHECK (clock_set IN (0, 1, 2)),
        start_s REAL NOT NULL,
        seconds REAL NOT NULL CHECK (seconds > 0),
        leq_dbfs REAL NOT NULL,
        laeq_dbfs REAL NOT NULL,
        lamax_dbfs REAL NOT NULL,
        la90_dbfs REAL NOT NULL,
        bands_dbfs TEXT NOT NULL CHECK (json_valid(bands_dbfs)),
        lost_samples INTEGER NOT NULL
    )
    """,
    "CREATE INDEX sound_levels_by_stream ON sound_levels (stream)",
    "CREATE INDEX sound_levels_by_time ON sound_levels (time_utc)",
)

_BACKENDS = re.compile(r"\s*CHECK \((?:route|backend) IN \([^)]*\)\)")
_NAME = re.compile(r'^CREATE TABLE "?streams"?', re.IGNORECASE)


def any_backend(db: Database) -> None:
    """Let a stream have a backend that this version does not know; nothing else of the table changes.

    SQLite changes a table by making it anew, and what reads it goes meanwhile.
    """
    [(table,)] = db.execute("SELECT sql FROM sqlite_master WHERE name = 'streams'").fetchall()
    beside = db.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND ("
        " type IN ('view', 'trigger') OR (type = 'index' AND tbl_name = 'streams'))"
        " ORDER BY type = 'trigger'"  # made again after the views that they may read
    ).fetchall()
    for kind, name, _ in reversed(beside):
        db.execute(f"DROP {kind} {name}")
    db.execute(_NAME.sub("CREATE TABLE new_streams", _BACKENDS.sub("", table)))
    db.execute("INSERT INTO new_streams SELECT * FROM streams")
    db.execute("DROP TABLE streams")
    db.execute("ALTER TABLE new_streams RENAME TO streams")
    for _, _, sql in beside:
        db.execute(sql)
