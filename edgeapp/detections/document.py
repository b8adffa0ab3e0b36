"""The detection document: one form for every output, `schema` 2. `docs/detection.schema.json` describes it.

Values that are absent are null and never left out. At a rank above the species `taxon` is the group, and only the
candidates name species.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeapp.clock.system import Moment
from edgeapp.clock.utc import utc_text
from edgeapp.file_names import readable
from edgeapp.recognition.results import Origin
from gallery.candidates import Candidate
from gallery.recognition import Detection

SCHEMA = 2  # raised when a field changes its meaning or goes
DECIMALS = 4  # of confidences and similarities: more would be noise of the encoder's arithmetic
TIME_DECIMALS = 3  # of seconds
IDS = uuid.UUID("5b0c8b1e-2a3f-5d0e-9a4c-6f1d0c6f5a11")  # namespace of the ids of detections
CLOCK_UNSET, CLOCK_SET, CLOCK_CORRECTED = "unset", "set", "corrected"


@dataclass(frozen=True)
class Source:
    """Where sound came from: a file, or a microphone of a station.

    Attributes
    ----------
    file, device, station : str or None
    channel : int or None
        Of the file, from 1, where one was chosen.
    recorded : Moment or None
        When the file began.
    origin, doubt : str or None
        Where that was read, and what is doubtful about it; see `edgeapp.audio.metadata.recording_time.RecordingStart`.
    latitude, longitude : float or None
        Degrees, WGS 84.
    """

    file: str | None = None
    device: str | None = None
    station: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    channel: int | None = None
    recorded: Moment | None = None
    origin: str | None = None
    doubt: str | None = None


@dataclass(frozen=True)
class Review:
    """A review of a detection.

    Attributes
    ----------
    verdict : str
        confirmed, rejected or corrected.
    scientific_name : str or None
        What it is instead, where it was corrected.
    reviewer, note : str
    time : str or None
        UTC, as text.
    """

    verdict: str
    scientific_name: str | None
    reviewer: str
    note: str
    time: str | None


def detection_document(
    detection: Detection,
    start_s: float,
    end_s: float,
    source: Source,
    origin: Origin,
    id: str | None = None,
    moment: Moment | None = None,
    clock: str | None = None,
    clip: str | None = None,
    review: Review | None = None,
    pictures: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The document of one detection, ready for JSON.

    Parameters
    ----------
    detection : Detection
    start_s, end_s : float
        On the source's clock.
    source : Source
    origin : Origin
    id : str, optional
        The same in every output and in every repetition.
    moment : Moment, optional
        When it began.
    clock : str, optional
        Whether that time can be trusted: ``set``, ``unset`` or ``corrected``; read off the moment when not given.
    clip : str, optional
        Path of its clip.
    review : Review, optional
    pictures : sequence of dict
        Pictures to check against.
    """
    if clock is None and moment is not None:
        clock = CLOCK_SET if moment.clock_set else CLOCK_UNSET
    return {
        "schema": SCHEMA,
        "id": id,
        "time": None if moment is None else utc_text(moment),
        "clock": clock,
        "source": {
            "file": cleaned(source.file),
            "channel": source.channel,
            **recorded_fields(source.recorded, source.origin, source.doubt),
            "device": cleaned(source.device),
            "station": cleaned(source.station),
            "latitude": source.latitude,
            "longitude": source.longitude,
        },
        "start_s": round(float(start_s), TIME_DECIMALS),
        "end_s": round(float(end_s), TIME_DECIMALS),
        **taxon_fields(detection),
        "pictures": list(pictures),
        "clip": cleaned(clip),
        "review": None if review is None else {**vars(review)},
        "pack": pack_fields(origin),
        "gallery": gallery_fields(origin),
    }


def taxon_fields(detection: Detection) -> dict[str, Any]:
    """Taxon, confidence and candidates of a detection, as in its document and in those of windows."""
    return {
        "taxon": {
            "rank": detection.taxon_rank,
            "scientific_name": detection.scientific_name,
            "common_name": detection.common_name or None,
        },
        "confidence": round(float(detection.confidence), DECIMALS),
        "candidates": candidate_fields(detection.candidates),
    }


def candidate_fields(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Species with their confidences, most confident first."""
    return [
        {
            "scientific_name": one.scientific_name,
            "common_name": one.common_name or None,
            "confidence": round(float(one.confidence), DECIMALS),
            "similarity": None if math.isnan(one.similarity) else round(float(one.similarity), DECIMALS),
        }
        for one in candidates
    ]


def recorded_fields(recorded: Moment | None, origin: str | None, doubt: str | None) -> dict[str, str | None]:
    """When a recording began and where that was read; null where the moment is not known."""
    return {
        "recorded_at": None if recorded is None else utc_text(recorded),
        "recorded_at_origin": None if recorded is None else origin,
        "recorded_at_doubt": None if recorded is None else doubt,
    }


def pack_fields(origin: Origin) -> dict[str, str]:
    return {"name": origin.pack, "version": origin.pack_version}


def gallery_fields(origin: Origin) -> dict[str, str | None]:
    return {"sha256": origin.gallery_sha256, "learned_sha256": origin.learned_sha256}


def document_id(station: str, source: str, time_utc: str, number: int) -> str:
    """The id of a detection of a journal: the same in every output and in every repetition.

    Parameters
    ----------
    station, source : str
        Names of the station, and of the microphone or the recording.
    time_utc : str
        Its first written beginning, which a corrected clock does not change.
    number : int
        In the journal.
    """
    return str(uuid.uuid5(IDS, "\n".join((str(cleaned(station)), str(cleaned(source)), time_utc, str(number)))))


def level_field(level_dbfs: float) -> float | None:
    """A level as JSON has it: null for digital silence."""
    return round(level_dbfs, 1) if math.isfinite(level_dbfs) else None


def cleaned(name: str | None) -> str | None:
    """A name or a sentence that UTF-8 can carry; see `edgeapp.file_names.readable`."""
    return None if name is None else readable(name)
