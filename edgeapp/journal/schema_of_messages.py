"""What m009 does to a journal: a message names its detection, and is written when it is sent.

`revision` counts what a message says: one more whenever its detection, the clip or a review of it changes;
`sent_revision` is what its target has, 0 for nothing yet. A message whose detection changed after it was sent waits
again, as one update however many changes there were. Triggers see the changes of every program that writes.

A message that earlier versions wrote keeps its text only where its detection is not found.
"""

from __future__ import annotations

import json

from edgeapp.detections.document import document_id
from gallery.migrating import Database

UNSENT = "sent_utc IS NULL AND dropped_utc IS NULL"
CHANGED = "sent_utc IS NOT NULL AND dropped_utc IS NULL AND sent_revision < revision"

_BUMP = "UPDATE messages SET revision = revision + 1 WHERE detection = {} AND dropped_utc IS NULL"
_TOLD = ("time_utc", "clock_set", "end_s", "taxon_rank", "scientific_name", "confidence", "clip")  # of a detection

MESSAGES = (
    """
    CREATE TABLE new_messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        target TEXT NOT NULL,
        kind TEXT NOT NULL,
        detection INTEGER REFERENCES detections (id) ON DELETE CASCADE,
        payload TEXT CHECK (payload IS NULL OR json_valid(payload)),
        revision INTEGER NOT NULL DEFAULT 1,
        sent_revision INTEGER NOT NULL DEFAULT 0,
        created_utc TEXT NOT NULL,
        created_boottime_s REAL,
        clock_set INTEGER NOT NULL DEFAULT 1 CHECK (clock_set IN (0, 1, 2)),
        attempts INTEGER NOT NULL DEFAULT 0,
        next_try_s REAL NOT NULL DEFAULT 0,
        last_error TEXT,
        sent_utc TEXT,
        dropped_utc TEXT,
        CHECK ((detection IS NULL) <> (payload IS NULL))
    )
    """,
    # A number never comes again, also where the newest rows were forgotten.
    "INSERT INTO sqlite_sequence (name, seq) SELECT 'new_messages', seq FROM sqlite_sequence WHERE name = 'messages'",
    """
    INSERT INTO new_messages
    SELECT messages.id, target, CASE WHEN found.detection IS NULL THEN 'given' ELSE 'detection' END, found.detection,
        CASE WHEN found.detection IS NULL THEN payload END, 1, sent_utc IS NOT NULL, created_utc, NULL,
        json_extract(payload, '$.clock') IS NOT 'unset', attempts, next_try_s, last_error, sent_utc, dropped_utc
    FROM messages LEFT JOIN temp.detections_of_messages AS found ON found.message = messages.id
    """,
    "DROP TABLE messages",
    "DROP TABLE temp.detections_of_messages",
    "ALTER TABLE new_messages RENAME TO messages",
    f"CREATE INDEX messages_waiting ON messages (id) WHERE {UNSENT}",
    f"CREATE INDEX messages_waiting_by_target ON messages (target, id) WHERE {UNSENT}",
    f"CREATE INDEX messages_changed ON messages (target, id) WHERE {CHANGED}",
    "CREATE UNIQUE INDEX messages_of_detection ON messages (detection, target, kind) WHERE detection IS NOT NULL",
    f"""
    CREATE TRIGGER messages_of_changed_detection AFTER UPDATE OF {", ".join(_TOLD)} ON detections
    WHEN {" OR ".join(f"old.{column} IS NOT new.{column}" for column in _TOLD)}
    BEGIN {_BUMP.format("new.id")}; END
    """,
    f"CREATE TRIGGER messages_of_added_review AFTER INSERT ON reviews BEGIN {_BUMP.format('new.detection')}; END",
    f"CREATE TRIGGER messages_of_removed_review AFTER DELETE ON reviews BEGIN {_BUMP.format('old.detection')}; END",
)


def find_detections(db: Database) -> None:
    """Note which detection each message is about, by the id in its text, for `MESSAGES`."""
    db.execute("CREATE TEMP TABLE detections_of_messages (message INTEGER PRIMARY KEY, detection INTEGER NOT NULL)")
    waiting: dict[str, list[tuple[int, str]]] = {}
    for number, target, payload in db.execute("SELECT id, target, payload FROM messages").fetchall():
        told = json.loads(payload)
        if isinstance(told, dict) and isinstance(told.get("id"), str):
            waiting.setdefault(told["id"], []).append((number, target))
    if not waiting:
        return
    rows = db.execute(
        "SELECT detections.id, station, source, coalesce(written_utc, time_utc) FROM detections"
        " JOIN streams ON streams.id = stream JOIN deployments ON deployments.id = deployment WHERE confirmed"
    )
    for detection, station, source, first_utc in rows.fetchall():
        of_targets = {
            target: number for number, target in waiting.get(document_id(station, source, first_utc, detection), ())
        }
        for number in of_targets.values():
            db.execute("INSERT INTO detections_of_messages VALUES (?, ?)", [number, detection])
