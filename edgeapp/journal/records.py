"""What goes into the journal and comes out of it, apart from the file itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgeapp.clock.system import Moment
from gallery.candidates import Candidate


@dataclass(frozen=True)
class Deployment:
    """What stays the same during one run, and must be known to judge any detection of it.

    Attributes
    ----------
    pack, pack_version, space : str
        The pack, and the embedding space that its encoders share.
    gallery, gallery_sha256 : str
        Path of the gallery, and the hash of what it held.
    hop_s : float
        Seconds between the starts of windows.
    thresholds : Mapping[str, Any]
        Everything that decides what becomes a detection.
    latitude, longitude : float | None
        Degrees, WGS 84.
    app_version : str
        Of this program.
    station : str
        Its name, as its detections give it.
    learned_sha256 : str or None
        Hash of what reviews had taught; None without.
    """

    pack: str
    pack_version: str
    space: str
    gallery: str
    gallery_sha256: str
    hop_s: float
    thresholds: Mapping[str, Any]
    latitude: float | None = None
    longitude: float | None = None
    app_version: str = ""
    station: str = ""
    learned_sha256: str | None = None


@dataclass(frozen=True)
class Stream:
    """Sound on one unbroken sample clock. A microphone that is lost and comes back starts another.

    Attributes
    ----------
    source : str
        Name of the microphone, or path of the recording.
    device_id : str
        What finds the microphone again after its number has changed; empty where nothing does.
    backend : str
        One of `edgeapp.audio.microphones.backends.BACKENDS`, ``pcm`` or ``file``.
    rate_hz : int
        Rate at which it records.
    boot_id : str
        Of the machine's run; times since boot are comparable inside one only.
    channel : int or None
        Of a recording, from 1, where one was chosen.
    recorded_at_origin, recorded_at_doubt : str or None
        Of a recording: where its start was read, and what is doubtful about it; see
        `edgeapp.audio.metadata.recording_time.RecordingStart`.
    """

    source: str
    device_id: str
    backend: str
    rate_hz: int
    boot_id: str
    channel: int | None = None
    recorded_at_origin: str | None = None
    recorded_at_doubt: str | None = None


@dataclass(frozen=True)
class Detection:
    """One taxon in one stretch of sound, with the confidence of its most confident window.

    Attributes
    ----------
    time : Moment
        When the stretch began.
    start_s, end_s : float
        The stretch on the stream's clock, which counts samples.
    taxon_rank, scientific_name : str
    common_name : str
        Of a species; empty where there is none, and above the species.
    confidence : float
    candidates : Sequence[Candidate]
        The likeliest species inside the taxon, the most confident first; a species is its own first one.
    level_dbfs : float
        Level of the most confident window.
    windows : int
        How many consecutive windows it was detected in.
    speech : float | None
        Probability of speech in that window; None if not computed.
    confirmed : bool
        False while it waits for more sound that says the same.
    vector : np.ndarray | None
        [dim] of the most confident window, as the encoder gave it, in the space of the deployment; kept in float16.
    """

    time: Moment
    start_s: float
    end_s: float
    taxon_rank: str
    scientific_name: str
    common_name: str
    confidence: float
    candidates: Sequence[Candidate]
    level_dbfs: float
    windows: int = 1
    speech: float | None = None
    confirmed: bool = True
    vector: np.ndarray | None = field(default=None, compare=False)


DETECTION, GIVEN = "detection", "given"  # kinds of messages: the document of a detection, a text of its own


@dataclass(frozen=True)
class Message:
    """Something that one target of the outbox is to be told.

    Attributes
    ----------
    target : str
    payload : Mapping[str, Any] | None
        None is the document of a detection, as it is when it is sent.
    created : Moment | None
        Decides the age of the message; now by the wall clock where it is None.
    """

    target: str
    payload: Mapping[str, Any] | None = None
    created: Moment | None = None


@dataclass(frozen=True)
class StoredMessage:
    """A message that waits in the outbox.

    Attributes
    ----------
    id : int
    target : str
    kind : str
        `DETECTION` or `GIVEN`.
    attempts : int
        Since it was sent last.
    created_utc : str
    clock_set : bool
        Whether that time can be trusted.
    revision : int
        Of what it says; more with every change.
    clip_expected : bool
        Its detection has no clip, and its stream still runs.
    """

    id: int
    target: str
    kind: str
    attempts: int
    created_utc: str
    clock_set: bool
    revision: int
    clip_expected: bool


@dataclass(frozen=True)
class Composed:
    """What a message says now.

    Attributes
    ----------
    payload : Mapping[str, Any]
        With ``updated``, where it is the document of a detection: whether the target has an earlier form of it.
    revision : int
    """

    payload: Mapping[str, Any]
    revision: int


CLIP_PATH = "coalesce(clip_folders.path || '/', '') || clips.path"  # of a row of `CLIPS`
CLIPS = "clips LEFT JOIN clip_folders ON clip_folders.id = clips.folder"
CLIP_PARTS = 3  # of a clip's path below the folder of the clips: year, month, name


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
    started : Moment | None
        When its sound began, as its name and its metadata say.
    sha256 : str | None
        Of the file, by which it is found again where it was moved.
    """

    path: str
    format: str
    start_s: float
    end_s: float
    stream: int
    bytes: int
    created: Moment
    started: Moment | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class StoredClip:
    """A clip as the journal knows it.

    Attributes
    ----------
    species : str
        Scientific name of its first detection, which may stand above the species; empty where it has none.
    created_utc : str
        Sortable, as `edgeapp.journal.utc_text` writes it.
    locked : bool
        Never to be deleted.
    clock_set : int
        0 when `created_utc` was taken before the clock was set: its age is not known yet. 2 when corrected since.
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
    stream: int = 0
    start_s: float = 0.0
    end_s: float = 0.0
    clock_set: int = 1


@dataclass(frozen=True)
class ClipToRename:
    """A clip whose name says another beginning than the journal, or that left a file behind when it was renamed.

    Attributes
    ----------
    id : int
    path : str
    started_utc : str
        When its sound began.
    clock_set : bool
        Whether that can be trusted.
    left_path : str | None
        Its earlier file.
    renamed : bool
        Only `left_path` is still to be removed.
    """

    id: int
    path: str
    started_utc: str
    clock_set: bool
    left_path: str | None
    renamed: bool


@dataclass(frozen=True)
class MissingClip:
    """A clip whose file is not where the journal says.

    Attributes
    ----------
    id : int
    path, below : str
        Where it should be, and that below the folder of the clips.
    bytes : int
    sha256 : str | None
    """

    id: int
    path: str
    below: str
    bytes: int
    sha256: str | None


@dataclass(frozen=True)
class Review:
    """A review of a detection.

    Attributes
    ----------
    detection : int
        Id in the journal.
    verdict : str
        A value of `edgeapp.detections.review.ReviewVerdict`.
    reviewer : str
    name : str or None
        The right taxon, of a correction.
    note : str
    unlisted : bool
        The name is in no list of taxa, and meant all the same.
    """

    detection: int
    verdict: str
    reviewer: str
    name: str | None = None
    note: str = ""
    unlisted: bool = False
