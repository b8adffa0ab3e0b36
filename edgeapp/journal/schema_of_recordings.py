"""What m008 does to a journal: a recording says which channel was heard, and where its start was read."""

from __future__ import annotations

RECORDED = (
    "ALTER TABLE streams ADD COLUMN channel INTEGER",
    "ALTER TABLE streams ADD COLUMN recorded_at_origin TEXT",
    "ALTER TABLE streams ADD COLUMN recorded_at_doubt TEXT",
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
    """,
)
