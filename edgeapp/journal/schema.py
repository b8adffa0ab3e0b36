"""The schema of the journal, one small step after another.

deployments      one run of the station with one pack, gallery and set of thresholds
  streams        sound of one microphone or recording on one unbroken sample clock
    window_counts  how its windows ended
    detections   one taxon in one stretch of sound: in one window, or in consecutive ones
      candidates the likeliest species inside that taxon, the most confident first
      vectors    the vector of its most confident window, in the space of the deployment
      reviews    what people said of it; the last one counts
    clips        files of sound, of one or more detections
    sound_levels how loud a minute of it was, where that was asked for
  microphone_states   what its microphones were like, from when on
clip_folders     where the clips lie
messages         the outbox: what targets are to be told of, what they know already, and what was given up
files            recordings of a watched folder that are done
detections_in_full   a view: every confirmed detection with all that is known about it

`clock_set` is 1 for a time that can be trusted, 0 for one taken before the clock was set, 2 for one corrected since.
"""

from __future__ import annotations

from edgeapp.journal.schema_of_browsing import BROWSING
from edgeapp.journal.schema_of_clips import CLIPS, CLIPS_SPLIT, split_paths
from edgeapp.journal.schema_of_learning import LEARNED
from edgeapp.journal.schema_of_messages import MESSAGES, find_detections
from edgeapp.journal.schema_of_microphones import MICROPHONES, any_backend
from edgeapp.journal.schema_of_recordings import RECORDED
from edgeapp.journal.schema_of_taxa import TAXA, TAXA_IN_FULL
from gallery.migrating import Database, Migrations

APPLICATION_ID = 0x42696F56  # "BioV": the header of the file says whose it is

migrations = Migrations("biovita-journal")


@migrations()
def m001_deployments_detections_scores(db: Database) -> None:
    # Written out: checks have no short form in sqlite-utils.
    for statement in (
        f"PRAGMA application_id = {APPLICATION_ID}",
        """
        CREATE TABLE deployments (
            id INTEGER PRIMARY KEY,
            started_utc TEXT NOT NULL,
            ended_utc TEXT,
            device TEXT NOT NULL,
            rate_hz INTEGER NOT NULL,
            hop_s REAL NOT NULL CHECK (hop_s > 0),
            pack TEXT NOT NULL,
            pack_version TEXT NOT NULL,
            space TEXT NOT NULL,
            gallery TEXT NOT NULL,
            gallery_sha256 TEXT NOT NULL,
            thresholds TEXT NOT NULL CHECK (json_valid(thresholds)),
            latitude REAL CHECK (latitude BETWEEN -90 AND 90),
            longitude REAL CHECK (longitude BETWEEN -180 AND 180),
            n_windows INTEGER,
            n_detections INTEGER,
            n_nothing INTEGER,
            n_silent INTEGER,
            n_below INTEGER,
            dropped_samples INTEGER
        )
        """,
        """
        CREATE TABLE detections (
            id INTEGER PRIMARY KEY,
            deployment INTEGER NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
            time_utc TEXT NOT NULL,
            start_s REAL NOT NULL,
            end_s REAL NOT NULL CHECK (end_s > start_s),
            rank TEXT NOT NULL,
            name TEXT NOT NULL,
            mass REAL NOT NULL,
            species TEXT NOT NULL,
            common_name TEXT NOT NULL,
            probability REAL NOT NULL,
            similarity REAL,
            level_dbfs REAL NOT NULL
        )
        """,
        """
        CREATE TABLE scores (
            detection INTEGER NOT NULL REFERENCES detections (id) ON DELETE CASCADE,
            rank INTEGER NOT NULL CHECK (rank > 0),
            species TEXT NOT NULL,
            probability REAL NOT NULL,
            similarity REAL,
            PRIMARY KEY (detection, rank)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX detections_by_deployment ON detections (deployment)",
        "CREATE INDEX detections_by_time ON detections (time_utc)",
        "CREATE INDEX detections_by_species ON detections (species, time_utc)",
        """
        CREATE VIEW detections_in_full AS
        SELECT detections.*, device, rate_hz, hop_s, pack, pack_version, space, gallery, gallery_sha256,
            thresholds, latitude, longitude
        FROM detections JOIN deployments ON deployments.id = detections.deployment
        """,
    ):
        db.execute(statement)


@migrations()
def m002_streams_reviews_clips_messages(db: Database) -> None:
    """A deployment of m001 had one microphone: it becomes the deployment's one stream, with the same id."""
    for statement in (
        "DROP VIEW detections_in_full",  # a table that a view reads cannot be renamed
        *STREAMS,
        *DETECTIONS_OF_STREAMS,
        *AROUND_DETECTIONS,
        DETECTIONS_IN_FULL,
    ):
        db.execute(statement)


@migrations()
def m003_taxa_and_stretches(db: Database) -> None:
    """A detection names a taxon; above the species it has no common name and no similarity, only candidates."""
    for statement in ("DROP VIEW detections_in_full", *TAXA, TAXA_IN_FULL):
        db.execute(statement)


@migrations()
def m004_backend(db: Database) -> None:
    """The column of a stream's audio backend was called `route`; SQLite renames it in the view too."""
    db.execute("ALTER TABLE streams RENAME COLUMN route TO backend")


@migrations()
def m005_vectors(db: Database) -> None:
    """In a table of their own: two kilobytes that no list of detections reads. Earlier detections have none."""
    db.execute(
        """
        CREATE TABLE vectors (
            detection INTEGER PRIMARY KEY REFERENCES detections (id) ON DELETE CASCADE,
            float16 BLOB NOT NULL CHECK (length(float16) > 0 AND length(float16) % 2 = 0)
        )
        """
    )


@migrations()
def m006_indexes_of_pages(db: Database) -> None:
    """Indexes for the web page."""
    for statement in BROWSING:
        db.execute(statement)


@migrations()
def m007_learned(db: Database) -> None:
    """What reviews had taught when a deployment began; earlier versions learnt nothing."""
    for statement in LEARNED:
        db.execute(statement)


@migrations()
def m008_recordings(db: Database) -> None:
    """Which channel of a recording was heard, and where its start was read; neither is known of earlier ones."""
    for statement in RECORDED:
        db.execute(statement)


@migrations()
def m009_messages_clips_and_files(db: Database) -> None:
    """What was a copy, frozen when it was written, or a spelling: texts of messages, paths of clips and recordings."""
    find_detections(db)
    for statement in (*CLIPS, *MESSAGES):
        db.execute(statement)
    split_paths(db)
    for statement in CLIPS_SPLIT:
        db.execute(statement)


@migrations()
def m010_microphones(db: Database) -> None:
    """What microphones were like, and how loud it was; nothing is known of it earlier."""
    any_backend(db)
    for statement in MICROPHONES:
        db.execute(statement)


STREAMS = (
    """
    CREATE TABLE new_deployments (
        id INTEGER PRIMARY KEY,
        started_utc TEXT NOT NULL,
        started_boottime_s REAL,
        clock_set INTEGER NOT NULL CHECK (clock_set IN (0, 1, 2)),
        ended_utc TEXT,
        ended_boottime_s REAL,
        app_version TEXT NOT NULL,
        pack TEXT NOT NULL,
        pack_version TEXT NOT NULL,
        space TEXT NOT NULL,
        gallery TEXT NOT NULL,
        gallery_sha256 TEXT NOT NULL,
        hop_s REAL NOT NULL CHECK (hop_s > 0),
        thresholds TEXT NOT NULL CHECK (json_valid(thresholds)),
        latitude REAL CHECK (latitude BETWEEN -90 AND 90),
        longitude REAL CHECK (longitude BETWEEN -180 AND 180)
    )
    """,
    """
    INSERT INTO new_deployments
    SELECT id, started_utc, NULL, 1, ended_utc, NULL, '', pack, pack_version, space, gallery, gallery_sha256, hop_s,
        thresholds, latitude, longitude
    FROM deployments
    """,
    """
    CREATE TABLE streams (
        id INTEGER PRIMARY KEY,
        deployment INTEGER NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
        source TEXT NOT NULL,
        device_id TEXT NOT NULL,
        route TEXT NOT NULL CHECK (route IN ('portaudio', 'arecord', 'pcm', 'file', 'memory')),
        rate_hz INTEGER NOT NULL CHECK (rate_hz > 0),
        boot_id TEXT NOT NULL,
        started_utc TEXT NOT NULL,
        started_boottime_s REAL,
        clock_set INTEGER NOT NULL CHECK (clock_set IN (0, 1, 2)),
        ended_utc TEXT,
        ended_boottime_s REAL,
        end_reason TEXT,
        lost_samples INTEGER NOT NULL DEFAULT 0
    )
    """,
    """
    INSERT INTO streams
    SELECT id, id, device, '', 'portaudio', rate_hz, '', started_utc, NULL, 1, ended_utc, NULL, NULL,
        coalesce(dropped_samples, 0)
    FROM deployments
    """,
    """
    CREATE TABLE window_counts (
        stream INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
        verdict TEXT NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (stream, verdict)
    ) WITHOUT ROWID
    """,
    # A deployment that lost its power has no counts, but its detections can be counted.
    """
    INSERT INTO window_counts
    SELECT * FROM (
        SELECT id, 'detection', coalesce(n_detections, (
            SELECT count(*) FROM detections WHERE detections.deployment = deployments.id
        )) AS n FROM deployments
        UNION ALL SELECT id, 'nothing', n_nothing FROM deployments
        UNION ALL SELECT id, 'silent', n_silent FROM deployments
        UNION ALL SELECT id, 'below', n_below FROM deployments
    ) WHERE n > 0
    """,
    "DROP TABLE deployments",
    "ALTER TABLE new_deployments RENAME TO deployments",
    "CREATE INDEX streams_by_deployment ON streams (deployment)",
    "CREATE INDEX streams_by_boot ON streams (boot_id)",
)

DETECTIONS_OF_STREAMS = (
    """
    CREATE TABLE clips (
        id INTEGER PRIMARY KEY,
        path TEXT NOT NULL,
        format TEXT NOT NULL,
        start_s REAL NOT NULL,
        end_s REAL NOT NULL CHECK (end_s > start_s),
        stream INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
        bytes INTEGER NOT NULL,
        created_utc TEXT NOT NULL,
        created_boottime_s REAL,
        clock_set INTEGER NOT NULL CHECK (clock_set IN (0, 1, 2)),
        locked INTEGER NOT NULL DEFAULT 0 CHECK (locked IN (0, 1)),
        deleted_utc TEXT,
        deleted_why TEXT
    )
    """,
    """
    CREATE TABLE new_detections (
        id INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
        time_utc TEXT NOT NULL,
        written_utc TEXT,
        boottime_s REAL,
        clock_set INTEGER NOT NULL CHECK (clock_set IN (0, 1, 2)),
        start_s REAL NOT NULL,
        end_s REAL NOT NULL CHECK (end_s > start_s),
        rank TEXT NOT NULL,
        name TEXT NOT NULL,
        mass REAL NOT NULL,
        species TEXT NOT NULL,
        common_name TEXT NOT NULL,
        probability REAL NOT NULL,
        similarity REAL,
        level_dbfs REAL NOT NULL,
        speech REAL,
        confirmed INTEGER NOT NULL CHECK (confirmed IN (0, 1)),
        clip INTEGER REFERENCES clips (id) ON DELETE SET NULL
    )
    """,
    """
    INSERT INTO new_detections
    SELECT id, deployment, time_utc, NULL, NULL, 1, start_s, end_s, rank, name, mass, species, common_name, probability,
        similarity, level_dbfs, NULL, 1, NULL
    FROM detections
    """,
    "DROP TABLE detections",
    "ALTER TABLE new_detections RENAME TO detections",
    "CREATE INDEX detections_by_stream ON detections (stream)",
    "CREATE INDEX detections_by_time ON detections (time_utc)",
    "CREATE INDEX detections_by_species ON detections (species, time_utc)",
    "CREATE INDEX detections_by_clip ON detections (clip)",
    "CREATE INDEX clips_by_stream ON clips (stream)",
)

AROUND_DETECTIONS = (
    """
    CREATE TABLE reviews (
        id INTEGER PRIMARY KEY,
        detection INTEGER NOT NULL REFERENCES detections (id) ON DELETE CASCADE,
        time_utc TEXT NOT NULL,
        verdict TEXT NOT NULL CHECK (verdict IN ('confirmed', 'rejected', 'corrected')),
        name TEXT CHECK (name IS NOT NULL OR verdict <> 'corrected'),
        reviewer TEXT NOT NULL,
        note TEXT NOT NULL
    )
    """,
    "CREATE INDEX reviews_by_detection ON reviews (detection)",
    """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        target TEXT NOT NULL,
        payload TEXT NOT NULL CHECK (json_valid(payload)),
        created_utc TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_try_s REAL NOT NULL DEFAULT 0,
        last_error TEXT,
        sent_utc TEXT,
        dropped_utc TEXT
    )
    """,
    "CREATE INDEX messages_waiting ON messages (id) WHERE sent_utc IS NULL AND dropped_utc IS NULL",
    "CREATE INDEX messages_waiting_by_target ON messages (target, id) WHERE sent_utc IS NULL AND dropped_utc IS NULL",
    """
    CREATE TABLE files (
        path TEXT NOT NULL,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        stream INTEGER REFERENCES streams (id) ON DELETE SET NULL,
        done_utc TEXT NOT NULL,
        PRIMARY KEY (path, size, mtime_ns)
    )
    """,
)

DETECTIONS_IN_FULL = """
    CREATE VIEW detections_in_full AS
    SELECT detections.id, streams.deployment, detections.stream, detections.time_utc, detections.written_utc,
        detections.boottime_s, detections.clock_set, detections.start_s, detections.end_s, detections.rank,
        detections.name, detections.mass, detections.species, detections.common_name, detections.probability,
        detections.similarity, detections.level_dbfs, detections.speech,
        streams.source, streams.device_id, streams.route, streams.rate_hz, streams.boot_id,
        deployments.app_version, deployments.pack, deployments.pack_version, deployments.space, deployments.gallery,
        deployments.gallery_sha256, deployments.hop_s, deployments.thresholds, deployments.latitude,
        deployments.longitude,
        reviews.verdict AS review, reviews.name AS review_name, reviews.reviewer, reviews.note AS review_note,
        reviews.time_utc AS review_utc,
        detections.clip, CASE WHEN clips.deleted_utc IS NULL THEN clips.path END AS clip_path,
        clips.start_s AS clip_start_s, clips.end_s AS clip_end_s,
        streams.ended_boottime_s - streams.started_boottime_s AS stream_s
    FROM detections
    JOIN streams ON streams.id = detections.stream
    JOIN deployments ON deployments.id = streams.deployment
    LEFT JOIN clips ON clips.id = detections.clip
    LEFT JOIN reviews ON reviews.id = (SELECT max(id) FROM reviews WHERE reviews.detection = detections.id)
    WHERE detections.confirmed
"""
