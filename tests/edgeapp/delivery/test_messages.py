"""The message of a detection is what other people's programs read: its form does not change unnoticed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from gallery.decision import RankedSpecies

from edgeapp.clock.system import Moment
from edgeapp.delivery.messages import Sender, detection_payload

GOLDEN = Path(__file__).parent / "golden_message.json"
SENDER = Sender("garden", "starter", "1.0", 52.5, 13.4, timezone(timedelta(hours=2)))


@dataclass(frozen=True)
class Heard:
    time: Moment
    start_s: float
    end_s: float
    rank: str
    name: str
    mass: float
    best: RankedSpecies


GREAT_TIT = Heard(
    Moment(datetime(2026, 5, 1, 4, 12, 9, 250_000, timezone.utc), 3600.0),
    15.0,
    25.0,
    "genus",
    "Parus",
    np.float32(0.75),
    RankedSpecies(1, "Parus major", "Great Tit", np.float32(0.375), np.float32(0.25)),
)


def payload(**changes):
    detection = replace(GREAT_TIT, **changes)
    return detection_payload(SENDER, 17, detection, "USB microphone", "parus_major_38p_20260501T041209Z.flac")


def test_the_message_has_the_agreed_form():
    text = json.dumps(payload(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_id_is_the_same_for_the_same_detection_and_no_other():
    assert payload()["id"] == payload()["id"]
    later = Moment(GREAT_TIT.time.utc + timedelta(milliseconds=1), 3600.0)
    other = [
        payload(time=later),
        detection_payload(SENDER, 18, GREAT_TIT, "USB microphone"),
        detection_payload(SENDER, 17, GREAT_TIT, "other microphone"),
        detection_payload(replace(SENDER, station="pond"), 17, GREAT_TIT, "USB microphone"),
    ]
    assert len({payload()["id"], *(one["id"] for one in other)}) == 5


def test_a_clock_that_was_not_set_is_told():
    assert payload(time=replace(GREAT_TIT.time, clock_set=False))["clock_set"] is False


def test_the_place_and_the_clip_may_be_unknown():
    bare = detection_payload(Sender("garden", "starter", "1.0"), 17, GREAT_TIT, "pulse")
    assert (bare["latitude"], bare["longitude"], bare["clip"]) == (None, None, None)
    assert datetime.fromisoformat(bare["time_local"]) == GREAT_TIT.time.utc, "the machine's own zone, same moment"


def test_a_file_name_that_is_not_text_can_be_sent():
    name = b"dawn\xff.wav".decode("utf-8", "surrogateescape")
    json.dumps(detection_payload(SENDER, 17, GREAT_TIT, name), ensure_ascii=False).encode("utf-8")
