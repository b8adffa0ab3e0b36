"""A detection as a message for other programs: one flat JSON object, the same for every target."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timezone, tzinfo
from typing import Any, Protocol

from edgeapp.clock.system import Moment
from edgeapp.clock.utc import utc_text
from edgeapp.outputs.json import DECIMALS, TIME_DECIMALS, clean, decision_fields
from gallery.decision import Decision, RankedSpecies

SCHEMA = 1  # raised when a field changes its meaning or goes; new fields may come at any time
IDS = uuid.UUID("5b0c8b1e-2a3f-5d0e-9a4c-6f1d0c6f5a11")  # namespace of the ids of detections


class Heard(Protocol):
    """What a message needs of a detection; `edgeapp.journal.Detection` has it."""

    @property
    def time(self) -> Moment: ...
    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...
    @property
    def rank(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def mass(self) -> float: ...
    @property
    def best(self) -> RankedSpecies: ...


@dataclass(frozen=True)
class Sender:
    """What is the same in all messages of one run.

    Attributes
    ----------
    station : str
        Its name.
    pack, pack_version : str
    latitude, longitude : float or None
        Degrees, WGS 84.
    zone : tzinfo or None
        Of the local time; None is the machine's own.
    """

    station: str
    pack: str
    pack_version: str
    latitude: float | None = None
    longitude: float | None = None
    zone: tzinfo | None = None


def detection_payload(
    sender: Sender, detection_id: int, detection: Heard, source: str, clip: str | None = None
) -> dict[str, Any]:
    """The message of one detection.

    Parameters
    ----------
    sender : Sender
    detection_id : int
        In the journal.
    detection : Heard
    source : str
        Name of the microphone or path of the recording.
    clip : str or None
        File name of its clip, without folders.

    Returns
    -------
    dict
        Ready for JSON. ``id`` is the same in every target and in every repetition, and no other detection has it.
    """
    moment = detection.time
    utc = moment.utc.astimezone(timezone.utc)
    written = utc_text(utc)
    best = detection.best
    return {
        "schema": SCHEMA,
        "type": "detection",
        "id": str(uuid.uuid5(IDS, "\n".join((clean(sender.station), clean(source), written, str(detection_id))))),
        "station": clean(sender.station),
        "detection": detection_id,
        "time_utc": written,
        "time_local": utc.astimezone(sender.zone).isoformat(timespec="milliseconds"),
        "clock_set": moment.clock_set,
        "scientific_name": best.scientific_name,
        "common_name": best.common_name,
        "probability": round(float(best.probability), DECIMALS),
        "similarity": round(float(best.similarity), DECIMALS),
        "decision": decision_fields(Decision(detection.rank, detection.name, detection.mass)),
        "latitude": sender.latitude,
        "longitude": sender.longitude,
        "source": clean(source),
        "start_s": round(float(detection.start_s), TIME_DECIMALS),
        "end_s": round(float(detection.end_s), TIME_DECIMALS),
        "clip": None if clip is None else clean(clip),
        "pack": sender.pack,
        "pack_version": sender.pack_version,
    }
