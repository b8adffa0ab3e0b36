"""The document of a detection is what other people's programs read: its form does not change unnoticed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from edgeapp.journal import Clip, Message, Review
from gallery.candidates import Candidate
from tests.edgeapp.journal.samples import A_PARUS, DAWN, DEPLOYMENT, GREAT_TIT, MICROPHONE

GOLDEN = Path(__file__).parent / "golden_document.json"


@pytest.fixture
def document_of(journal):
    """Record a detection and give its document."""

    def record(detection=A_PARUS, deployment=DEPLOYMENT, stream=MICROPHONE, messages=None) -> dict:
        started = journal.open_stream(journal.begin(deployment, DAWN), stream, DAWN)
        return journal.document(journal.in_full(journal.record(started, detection, messages)))

    return record


def test_the_document_has_the_agreed_form(document_of):
    text = json.dumps(document_of(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_what_is_sent_is_the_document(document_of, journal):
    document = document_of(messages=lambda: [Message("mqtt"), Message("webhook")])

    assert [journal.composed(one.id).payload for one in journal.due(0.0)] == [{**document, "updated": False}] * 2


def test_the_id_is_the_same_for_the_same_detection_and_no_other(document_of, journal):
    ids = {
        document_of()["id"],
        document_of(replace(A_PARUS, time=DAWN.earlier(-0.001)))["id"],
        document_of(stream=replace(MICROPHONE, source="other microphone"))["id"],
        document_of(deployment=replace(DEPLOYMENT, station="pond"))["id"],
    }
    assert len(ids) == 4
    assert ids == {journal.document(row)["id"] for row in journal.detections()}


def test_the_id_outlives_the_correction_of_the_clock(document_of, journal):
    wrong = document_of(replace(A_PARUS, time=replace(DAWN, clock_set=False)))
    journal.correct_times(MICROPHONE.boot_id, DAWN.utc_of_boot - timedelta(days=1))
    [corrected] = [journal.document(row) for row in journal.detections()]

    assert (wrong["clock"], corrected["clock"]) == ("unset", "corrected")
    assert corrected["time"] < wrong["time"] and corrected["id"] == wrong["id"]


def test_the_station_and_the_place_may_be_unknown(document_of):
    bare = document_of(deployment=replace(DEPLOYMENT, station="", latitude=None, longitude=None))
    assert bare["source"] == {
        "file": None,
        "channel": None,
        "recorded_at": None,
        "recorded_at_origin": None,
        "recorded_at_doubt": None,
        "device": MICROPHONE.source,
        "station": None,
        "latitude": None,
        "longitude": None,
    }


def test_a_recording_is_a_file_and_no_device(document_of):
    source = document_of(stream=replace(MICROPHONE, source="card/dawn.wav", backend="file"))["source"]
    assert (source["file"], source["device"]) == ("card/dawn.wav", None)


def test_a_species_is_its_own_candidate_and_has_its_common_name(document_of):
    document = document_of(GREAT_TIT)
    assert document["taxon"] == {"rank": "species", "scientific_name": "Parus major", "common_name": "Great Tit"}
    assert [one["scientific_name"] for one in document["candidates"]] == ["Parus major"]


def test_the_clip_is_named_below_its_folder_until_it_is_deleted(document_of, journal):
    document_of()
    clip = journal.add_clip(Clip("/clips/2025/05/parus_75p.flac", "flac", 12.0, 28.0, 1, 1, DAWN), [1])
    assert journal.document(journal.in_full(1))["clip"] == "2025/05/parus_75p.flac"

    journal.delete_clip(clip, "old", DAWN)
    assert journal.document(journal.in_full(1))["clip"] is None


def test_the_last_review_is_part_of_the_document(document_of, journal):
    document_of()
    journal.add_review(Review(1, "confirmed", "ana"), DAWN)
    journal.add_review(Review(1, "corrected", "ben", "Parus minor", "the wing bar"), DAWN)

    assert journal.document(journal.in_full(1))["review"] == {
        "verdict": "corrected",
        "scientific_name": "Parus minor",
        "reviewer": "ben",
        "note": "the wing bar",
        "time": "2025-05-01T04:12:09.250Z",
    }


def test_a_similarity_that_is_not_known_is_null(document_of):
    nameless = Candidate("Parus major", "", np.float32(0.5), float("nan"))
    [candidate] = document_of(replace(A_PARUS, candidates=(nameless,)))["candidates"]
    assert (candidate["common_name"], candidate["similarity"]) == (None, None)
