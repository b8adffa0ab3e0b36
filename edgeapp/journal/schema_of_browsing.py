"""What m006 does to a journal: indexes from which the web page answers without reading the rows.

Each holds confirmed detections only, the rest being few and short-lived.
"""

from __future__ import annotations

BROWSING = (
    "CREATE INDEX detections_in_order ON detections (time_utc, scientific_name, confidence, stream, clip)"
    " WHERE confirmed",
    "CREATE INDEX detections_by_confidence ON detections (scientific_name, confidence, clip) WHERE confirmed",
    "DROP INDEX detections_by_taxon",
    "CREATE INDEX detections_by_taxon ON detections (scientific_name, time_utc, confidence, stream, clip)"
    " WHERE confirmed",
    "DROP INDEX detections_by_time",
    "CREATE INDEX streams_by_source ON streams (source)",
)
