"""What m007 does to a journal: a deployment says what it had learnt from reviews."""

from __future__ import annotations

LEARNED = (
    "ALTER TABLE deployments ADD COLUMN learned_sha256 TEXT",
    "DROP VIEW detections_in_full",
    """
    CREATE VIEW detections_in_full AS
    SELECT detections.id, streams.deployment, detections.stream, detections.time_utc, detections.written_utc,
        detections.boottime_s, detections.clock_set, detections.start_s, detections.end_s, detections.taxon_rank,
        detections.scientific_name, detections.common_name, detections.confidence, detections.similarity,
        detections.windows, detections.level_dbfs, detections.speech,
        streams.source, streams.device_id, streams.backend, streams.rate_hz, streams.boot_id,
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
