"""What goes into the journal and comes out of it, apart from the file itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeapp.station.clock import Moment

ROUTES = ("portaudio", "arecord", "pcm", "file", "memory")
REVIEWS = ("confirmed", "rejected", "corrected")


@dataclass(frozen=True)
class Stream:
    """Sound on one unbroken sample clock. A microphone that is lost and comes back starts another.

    Attributes
    ----------
    source : str
        Name of the microphone, or path of the recording.
    device_id : str
        What finds the microphone again after its number has changed; empty where nothing does.
    route : str
        One of `ROUTES`.
    rate_hz : int
        Rate at which it records.
    boot_id : str
        Of the machine's run; times since boot are comparable inside one only.
    """

    source: str
    device_id: str
    route: str
    rate_hz: int
    boot_id: str


@dataclass(frozen=True)
class Message:
    """Something to be sent to one target of the outbox."""

    target: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class StoredMessage:
    """A message that waits in the outbox."""

    id: int
    target: str
    payload: Mapping[str, Any]
    attempts: int
    created_utc: str


@dataclass(frozen=True)
class Clip:
    """A piece of sound that was written to a file.

    Attributes
    ----------
    path : str
        Absolute.
    format : str
        wav, flac or ogg.
    start_s, end_s : float
        On the clock of the stream.
    stream : int
        Id in the journal.
    bytes : int
        Size of the file.
    created : Moment
    """

    path: str
    format: str
    start_s: float
    end_s: float
    stream: int
    bytes: int
    created: Moment


@dataclass(frozen=True)
class StoredClip:
    """A clip as the journal knows it.

    Attributes
    ----------
    species : str
        Scientific name of the likeliest species of its first detection.
    created_utc : str
        Sortable, as `edgeapp.journal.utc_text` writes it.
    locked : bool
        Never to be deleted.
    """

    id: int
    path: str
    species: str
    format: str
    bytes: int
    created_utc: str
    locked: bool
    deleted_utc: str | None = None
    deleted_why: str | None = None


@dataclass(frozen=True)
class Review:
    """What a person says of a detection.

    Attributes
    ----------
    detection : int
        Id in the journal.
    verdict : str
        One of `REVIEWS`.
    reviewer : str
    name : str or None
        The right taxon, of a correction.
    note : str
    """

    detection: int
    verdict: str
    reviewer: str
    name: str | None = None
    note: str = ""
