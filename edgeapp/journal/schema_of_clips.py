"""What m009 does to clips and recordings in a journal.

The path of a clip is below the folder of the clips, which is written once, so that the folder can move. A clip knows
its content, when its sound began (`started_utc`, corrected with all other times), and which beginning its name and its
metadata say (`written_utc`): where the two differ, the file is to be renamed. `left_path` is the earlier file of a clip
that was, until it is removed. A recording that is done is known by its content as well.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import PurePath

from edgeapp.clock.utc import shifted, utc_text
from edgeapp.journal.records import CLIP_PARTS
from gallery.migrating import Database
from gallery.utc import utc_of

AT_ONCE = timedelta(seconds=2)  # names of earlier clips have no fractions of a second

_STAMP = re.compile(r"_(\d{8}T\d{6}Z)(?:_\d+)?\.\w+$")

CLIPS = (
    "CREATE TABLE clip_folders (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE)",
    "ALTER TABLE clips ADD COLUMN folder INTEGER REFERENCES clip_folders (id)",
    "ALTER TABLE clips ADD COLUMN sha256 TEXT",
    "ALTER TABLE clips ADD COLUMN started_utc TEXT",
    "ALTER TABLE clips ADD COLUMN started_boottime_s REAL",
    "ALTER TABLE clips ADD COLUMN written_utc TEXT",
    "ALTER TABLE clips ADD COLUMN left_path TEXT",
    "ALTER TABLE files ADD COLUMN content TEXT",
    "ALTER TABLE reviews ADD COLUMN unlisted INTEGER NOT NULL DEFAULT 0 CHECK (unlisted IN (0, 1))",
    "CREATE INDEX files_by_age ON files (mtime_ns, size)",
    "CREATE INDEX files_by_content ON files (content) WHERE content IS NOT NULL",
    "CREATE INDEX detections_of_unset_clock ON detections (stream) WHERE clock_set = 0",
    "CREATE INDEX clips_to_rename ON clips (id) WHERE started_utc IS NOT written_utc OR left_path IS NOT NULL",
)

CLIPS_SPLIT = (
    """
    CREATE TRIGGER messages_of_renamed_clip AFTER UPDATE OF path ON clips WHEN old.path IS NOT new.path BEGIN
        UPDATE messages SET revision = revision + 1
        WHERE dropped_utc IS NULL AND detection IN (SELECT id FROM detections WHERE clip = new.id);
    END
    """,
    "DROP VIEW detections_in_full",
    """
    CREATE VIEW detections_in_full AS
    SELECT detections.id, streams.deployment, detections.stream, detections.time_utc, detections.written_utc,
        detections.boottime_s, detections.clock_set, detections.start_s, detections.end_s, detections.taxon_rank,
        detections.scientific_name, detections.common_name, detections.confidence, detections.similarity,
        detections.windows, detections.level_dbfs, detections.speech,
        streams.source, streams.device_id, streams.backend, streams.rate_hz, streams.boot_id,
        streams.started_utc AS stream_started_utc, streams.channel,
        streams.recorded_at_origin, streams.recorded_at_doubt,
        deployments.station, deployments.app_version, deployments.pack, deployments.pack_version, deployments.space,
        deployments.gallery, deployments.gallery_sha256, deployments.learned_sha256, deployments.hop_s,
        deployments.thresholds, deployments.latitude, deployments.longitude,
        reviews.verdict AS review, reviews.name AS review_name, reviews.reviewer, reviews.note AS review_note,
        reviews.time_utc AS review_utc, reviews.unlisted AS review_unlisted,
        detections.clip,
        CASE WHEN clips.deleted_utc IS NULL THEN coalesce(clip_folders.path || '/', '') || clips.path END AS clip_path,
        clips.start_s AS clip_start_s, clips.end_s AS clip_end_s,
        streams.ended_boottime_s - streams.started_boottime_s AS stream_s
    FROM detections
    JOIN streams ON streams.id = detections.stream
    JOIN deployments ON deployments.id = streams.deployment
    LEFT JOIN clips ON clips.id = detections.clip
    LEFT JOIN clip_folders ON clip_folders.id = clips.folder
    LEFT JOIN reviews ON reviews.id = (SELECT max(id) FROM reviews WHERE reviews.detection = detections.id)
    WHERE detections.confirmed
    """,
)


def split_paths(db: Database) -> None:
    """Take the folder of the clips out of the paths of earlier clips, and read when their sound began.

    Before the triggers of messages are there: nobody is told of it.
    """
    folders: dict[str, int] = {}
    rows = db.execute(
        "SELECT clips.id, path, clips.start_s, time_utc, detections.start_s, created_utc, created_boottime_s,"
        " clips.clock_set FROM clips LEFT JOIN detections ON detections.id ="
        " (SELECT min(id) FROM detections WHERE clip = clips.id)"
    )
    for number, path, start_s, time_utc, detected_s, created_utc, created_s, clock_set in rows.fetchall():
        pure = PurePath(path)
        if pure.is_absolute() and len(pure.parts) > CLIP_PARTS:
            folder = str(pure.parents[CLIP_PARTS - 1])
            if folder not in folders:
                folders[folder] = len(folders) + 1
                db.execute("INSERT INTO clip_folders VALUES (?, ?)", [folders[folder], folder])
            below = pure.relative_to(folder).as_posix()
            db.execute("UPDATE clips SET folder = ?, path = ? WHERE id = ?", [folders[folder], below, number])
        stamp = _STAMP.search(path)
        if stamp is None or time_utc is None:
            continue
        written = datetime.strptime(stamp[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        started = shifted(time_utc, start_s - detected_s)
        as_written = clock_set == 1 or (clock_set == 0 and abs(utc_of(started) - written) < AT_ONCE)
        of_boot = None
        if created_s is not None:
            of_boot = created_s - (utc_of(created_utc) - utc_of(started)).total_seconds()
        db.execute(
            "UPDATE clips SET started_utc = ?, started_boottime_s = ?, written_utc = ? WHERE id = ?",
            [started, of_boot, started if as_written else utc_text(written), number],
        )
