"""What m003 does to a journal: detections name taxa and have candidates, and a deployment names its station."""

from __future__ import annotations

TAXA = (
    "ALTER TABLE deployments ADD COLUMN station TEXT NOT NULL DEFAULT ''",
    """
    CREATE TABLE candidates (
        detection INTEGER NOT NULL REFERENCES detections (id) ON DELETE CASCADE,
        place INTEGER NOT NULL CHECK (place > 0),
        scientific_name TEXT NOT NULL,
        common_name TEXT,
        confidence REAL NOT NULL,
        similarity REAL,
        PRIMARY KEY (detection, place)
    ) WITHOUT ROWID
    """,
    # First the species that a row of m002 named inside its taxon, then the others of its window.
    """
    INSERT INTO candidates
    SELECT detection, row_number() OVER (PARTITION BY detection ORDER BY place), scientific_name, common_name,
        confidence, similarity
    FROM (
        SELECT id AS detection, 0 AS place, species AS scientific_name, nullif(common_name, '') AS common_name,
            probability AS confidence, similarity
        FROM detections
        UNION ALL
        SELECT detection, scores.rank, scores.species, NULL, scores.probability, scores.similarity
        FROM scores JOIN detections ON detections.id = scores.detection
        WHERE scores.species <> detections.species
    )
    """,
    "DROP TABLE scores",
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
        taxon_rank TEXT NOT NULL,
        scientific_name TEXT NOT NULL,
        common_name TEXT CHECK (common_name IS NULL OR taxon_rank = 'species'),
        confidence REAL NOT NULL,
        similarity REAL CHECK (similarity IS NULL OR taxon_rank = 'species'),
        windows INTEGER NOT NULL CHECK (windows > 0),
        level_dbfs REAL NOT NULL,
        speech REAL,
        confirmed INTEGER NOT NULL CHECK (confirmed IN (0, 1)),
        clip INTEGER REFERENCES clips (id) ON DELETE SET NULL
    )
    """,
    """
    INSERT INTO new_detections
    SELECT id, stream, time_utc, written_utc, boottime_s, clock_set, start_s, end_s, rank, name,
        CASE rank WHEN 'species' THEN nullif(common_name, '') END, mass, CASE rank WHEN 'species' THEN similarity END,
        1, level_dbfs, speech, confirmed, clip
    FROM detections
    """,
    "DROP TABLE detections",
    "ALTER TABLE new_detections RENAME TO detections",
    "CREATE INDEX detections_by_stream ON detections (stream)",
    "CREATE INDEX detections_by_time ON detections (time_utc)",
    "CREATE INDEX detections_by_taxon ON detections (scientific_name, time_utc)",
    "CREATE INDEX detections_by_clip ON detections (clip)",
)

TAXA_IN_FULL = """
    CREATE VIEW detections_in_full AS
    SELECT detections.id, streams.deployment, detections.stream, detections.time_utc, detections.written_utc,
        detections.boottime_s, detections.clock_set, detections.start_s, detections.end_s, detections.taxon_rank,
        detections.scientific_name, detections.common_name, detections.confidence, detections.similarity,
        detections.windows, detections.level_dbfs, detections.speech,
        streams.source, streams.device_id, streams.route, streams.rate_hz, streams.boot_id,
        deployments.station, deployments.app_version, deployments.pack, deployments.pack_version, deployments.space,
        deployments.gallery, deployments.gallery_sha256, deployments.hop_s, deployments.thresholds,
        deployments.latitude, deployments.longitude,
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
