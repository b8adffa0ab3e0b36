"""The journal, one SQLite file: deployments, streams, detections, reviews, clips and messages to be sent."""

from edgeapp.clock.utc import utc_text
from edgeapp.journal.database import DamagedJournalError, JournalError, default_path
from edgeapp.journal.journal import Journal
from edgeapp.journal.microphones import MicrophoneState
from edgeapp.journal.outbox import Messages
from edgeapp.journal.reading import Reader
from edgeapp.journal.records import (
    Clip,
    Composed,
    Deployment,
    Detection,
    Message,
    Review,
    StoredClip,
    StoredMessage,
    Stream,
)
from edgeapp.journal.schema import migrations
from gallery.utc import utc_of

__all__ = [
    "Clip",
    "Composed",
    "DamagedJournalError",
    "Deployment",
    "Detection",
    "Journal",
    "JournalError",
    "Message",
    "Messages",
    "MicrophoneState",
    "Reader",
    "Review",
    "StoredClip",
    "StoredMessage",
    "Stream",
    "default_path",
    "migrations",
    "utc_of",
    "utc_text",
]
