"""One document for a detection, whichever door it goes out by."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import numpy as np
import pytest

from edgeapp.clock.system import Moment
from edgeapp.detections.document import Review, Source, detection_document, level_field
from edgeapp.recognition.results import Origin
from gallery.candidates import Candidate
from gallery.recognition import Detection

ORIGIN = Origin("starter", "2.0", "ab" * 32)
MAJOR = Candidate("Parus major", "Great Tit", np.float32(0.93), np.float32(0.71))
A_TIT = Detection("species", "Parus major", "Great Tit", ("Aves", "Parus", "Parus major"), np.float32(0.93), (MAJOR,))
A_PARUS = Detection("genus", "Parus", "", ("Aves", "Parus"), 0.9, (MAJOR, Candidate("Parus minor", "", 0.2, 0.3)))
BEGAN = Moment(datetime(2026, 5, 22, 5, 0, 12, tzinfo=timezone.utc), 0.0)
PICTURE = {"id": 17, "label": "tit.jpg", "author": "A", "licence": "CC0", "source": "", "similarity": 0.55}


def keys(value, path=""):
    """Every key of a document, those of the documents inside it too."""
    if isinstance(value, dict):
        return [f"{path}{name}" for name in value] + [
            inner for name, one in value.items() for inner in keys(one, f"{path}{name}.")
        ]
    return [inner for one in value[:1] for inner in keys(one, path)] if isinstance(value, list) else []


def test_a_document_with_everything():
    found = detection_document(
        A_TIT,
        12.0,
        15.0,
        Source("a.wav", "USB", "garden", 52.5, 13.4),
        ORIGIN,
        id="x-1",
        moment=BEGAN,
        clip="2026/05/a.flac",
        review=Review("corrected", "Parus minor", "me", "heard the second phrase", "2026-05-23T06:00:00.000Z"),
        pictures=[PICTURE],
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "schema": 2,
        "id": "x-1",
        "time": "2026-05-22T05:00:12.000Z",
        "clock": "set",
        "source": {
            "file": "a.wav",
            "channel": None,
            "recorded_at": None,
            "recorded_at_origin": None,
            "recorded_at_doubt": None,
            "device": "USB",
            "station": "garden",
            "latitude": 52.5,
            "longitude": 13.4,
        },
        "start_s": 12.0,
        "end_s": 15.0,
        "taxon": {"rank": "species", "scientific_name": "Parus major", "common_name": "Great Tit"},
        "confidence": 0.93,
        "candidates": [
            {"scientific_name": "Parus major", "common_name": "Great Tit", "confidence": 0.93, "similarity": 0.71}
        ],
        "pictures": [PICTURE],
        "clip": "2026/05/a.flac",
        "review": {
            "verdict": "corrected",
            "scientific_name": "Parus minor",
            "reviewer": "me",
            "note": "heard the second phrase",
            "time": "2026-05-23T06:00:00.000Z",
        },
        "pack": {"name": "starter", "version": "2.0"},
        "gallery": {"sha256": "ab" * 32, "learned_sha256": None},
    }


def test_what_is_absent_is_null_and_never_left_out():
    whole = detection_document(
        A_TIT,
        12.0,
        15.0,
        Source("a.wav", "USB", "garden", 52.5, 13.4),
        ORIGIN,
        id="x-1",
        moment=BEGAN,
        clip="a.flac",
        pictures=[PICTURE],
    )
    bare = detection_document(A_TIT, 12.0, 15.0, Source(), ORIGIN)
    assert list(bare) == list(whole) and list(bare["source"]) == list(whole["source"])
    for name in ("id", "time", "clock", "clip", "review"):
        assert bare[name] is None
    assert set(bare["source"].values()) == {None}
    assert bare["pictures"] == []
    assert keys({**whole, "pictures": []}) == keys(bare)


def test_a_group_is_the_taxon_and_only_candidates_are_species():
    found = detection_document(A_PARUS, 0.0, 10.0, Source(), ORIGIN)
    assert found["taxon"] == {"rank": "genus", "scientific_name": "Parus", "common_name": None}
    assert [one["scientific_name"] for one in found["candidates"]] == ["Parus major", "Parus minor"]
    rest = {name: value for name, value in found.items() if name != "candidates"}
    assert "major" not in json.dumps(rest) and "minor" not in json.dumps(rest)


def test_a_species_without_a_common_name_has_null():
    toad = Detection("species", "Bufo bufo", "", ("Bufo bufo",), 0.5, (Candidate("Bufo bufo", "", 0.5, 0.4),))
    found = detection_document(toad, 0.0, 10.0, Source(), ORIGIN)
    assert found["taxon"]["common_name"] is None and found["candidates"][0]["common_name"] is None


def test_numbers_are_rounded_and_plain():
    sure = Candidate("Parus major", "Great Tit", np.float32(0.123456), np.float32(-0.98765432))
    detection = Detection("species", "Parus major", "Great Tit", ("Parus major",), np.float64(0.999987), (sure,))
    found = detection_document(detection, np.float64(0.1 + 0.2), np.float32(10.30004), Source(), ORIGIN)
    assert (found["start_s"], found["end_s"], found["confidence"]) == (0.3, 10.3, 1.0)
    assert (found["candidates"][0]["confidence"], found["candidates"][0]["similarity"]) == (0.1235, -0.9877)
    numbers = [found["start_s"], found["end_s"], found["confidence"], *found["candidates"][0].values()]
    assert {type(one) for one in numbers} == {float, str}


@pytest.mark.parametrize("clock_set", [True, False])
def test_a_time_says_whether_its_clock_was_set(clock_set):
    moment = Moment(BEGAN.utc, 0.0, clock_set)
    told = detection_document(A_TIT, 0.0, 10.0, Source(), ORIGIN, moment=moment)
    assert told["clock"] == ("set" if clock_set else "unset")
    corrected = detection_document(A_TIT, 0.0, 10.0, Source(), ORIGIN, moment=moment, clock="corrected")
    assert corrected["clock"] == "corrected"


def test_odd_bytes_in_names_are_escaped():
    odd = "g\udcffrden"
    source = Source(file=f"{odd}.wav", device=odd, station=odd)
    found = detection_document(A_TIT, 0.0, 10.0, source, ORIGIN, clip=f"{odd}.flac")
    json.dumps(found, ensure_ascii=False).encode("utf-8")
    assert [found["source"][name] for name in ("file", "device", "station")] == [
        r"g\xffrden.wav",
        r"g\xffrden",
        r"g\xffrden",
    ]
    assert found["clip"] == r"g\xffrden.flac"


@pytest.mark.parametrize(("level_dbfs", "said"), [(float("-inf"), None), (-30.04, -30.0), (0.0, 0.0)])
def test_the_level_of_digital_silence_is_null(level_dbfs, said):
    assert level_field(level_dbfs) == said
