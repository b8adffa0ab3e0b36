"""What was heard, kept in one SQLite file: deployments, streams, detections, reviews, clips and messages to be sent."""

from edgeapp.journal.journal import (
    Counts,
    Deployment,
    Detection,
    Journal,
    JournalError,
    default_path,
    migrations,
    utc_text,
)
from edgeapp.journal.records import Clip, Message, Review, StoredClip, StoredMessage, Stream

__all__ = [
    "Clip",
    "Counts",
    "Deployment",
    "Detection",
    "Journal",
    "JournalError",
    "Message",
    "Review",
    "StoredClip",
    "StoredMessage",
    "Stream",
    "default_path",
    "migrations",
    "utc_text",
]
