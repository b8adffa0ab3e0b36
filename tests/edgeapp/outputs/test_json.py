"""What `identify` writes for programs, and the table that people read."""

from __future__ import annotations

import io
import json
from datetime import datetime, timezone

import numpy as np
import pytest

from edgeapp.clock.system import Moment
from edgeapp.outputs.table import SHOWN
from edgeapp.outputs.writer import Recording, Run, writer
from edgeapp.recognition.results import Identification, Origin, Stretch, WindowResult
from gallery.candidates import Candidate
from gallery.recognition import Detection

RUN = Run(Origin("toy", "1.0", "ab" * 32), window_s=10.0, hop_s=5.0)
BIRDS = ("Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Parus")
MAJOR = Candidate("Parus major", "Great Tit", np.float32(0.87654321), np.float32(0.5))
TOAD = Candidate("Bufo bufo", "", 0.75, 0.4)
A_TIT = Detection("species", "Parus major", "Great Tit", (*BIRDS, "Parus major"), np.float32(0.87654321), (MAJOR,))
A_TOAD = Detection("species", "Bufo bufo", "", ("Animalia", "Bufo bufo"), 0.75, (TOAD,))
A_PARUS = Detection("genus", "Parus", "", BIRDS, 0.912, (MAJOR,))
BEGAN = Moment(datetime(2026, 5, 22, 5, 0, 0, tzinfo=timezone.utc), 0.0)
SILENT = WindowResult(15.0, 25.0, float("-inf"), False, np.zeros(2), (), None)


def window(start_s, *detections):
    return WindowResult(start_s, start_s + 10.0, -30.04, True, np.zeros(2), detections, np.ones(1))


WINDOWS = (window(0.0, A_TIT, A_TOAD), window(5.0, A_TIT), SILENT)
STRETCHES = (Stretch(0.0, 10.0, A_TOAD, None), Stretch(0.0, 15.0, A_TIT, None, 2), Stretch(20.0, 30.0, A_PARUS, None))


def written(format, file="duet.wav", recorded=None, stretches=STRETCHES, notes=(), heard=True):
    """What a writer makes of one file, its windows and detections."""
    out = io.StringIO()
    writing = writer(format, out, RUN)
    writing.begin(Recording(file, 48_000, recorded))
    for result in WINDOWS:
        writing.window(result, (MAJOR, TOAD) if result.heard else ())
    for stretch in stretches:
        writing.detection(stretch)
    writing.finish(Identification(file, 30.0, 5.0, (MAJOR, TOAD) if heard else (), heard, tuple(notes)))
    return out.getvalue()


def events(text):
    return [json.loads(line) for line in text.splitlines()]


def test_json_has_the_keys_of_its_schema_in_their_order():
    document = json.loads(written("json"))
    assert list(document) == [
        *("schema", "file", "duration_s", "channel", "recorded_at", "recorded_at_origin", "recorded_at_doubt", "pack"),
        *("gallery", "window_s", "hop_s", "notes", "species", "detections", "windows"),
    ]
    assert (document["schema"], document["file"], document["duration_s"]) == (2, "duet.wav", 30.0)
    assert (document["window_s"], document["hop_s"]) == (10.0, 5.0)
    assert (document["pack"], document["gallery"]) == (
        {"name": "toy", "version": "1.0"},
        {"sha256": "ab" * 32, "learned_sha256": None},
    )
    assert list(document["windows"][0]) == ["start_s", "end_s", "level_dbfs", "heard", "detections", "species"]
    assert document["species"][1] == {
        "scientific_name": "Bufo bufo",
        "common_name": None,
        "confidence": 0.75,
        "similarity": 0.4,
    }


def test_json_names_two_species_at_once_each_with_start_and_end():
    document = json.loads(written("json"))
    found = [(one["taxon"]["scientific_name"], one["start_s"], one["end_s"]) for one in document["detections"]]
    assert found == [("Bufo bufo", 0.0, 10.0), ("Parus major", 0.0, 15.0), ("Parus", 20.0, 30.0)]
    first, second, silent = document["windows"]
    assert [one["taxon"]["scientific_name"] for one in first["detections"]] == ["Parus major", "Bufo bufo"]
    assert first["detections"][0]["confidence"] == 0.8765
    assert [one["taxon"]["scientific_name"] for one in second["detections"]] == ["Parus major"]
    assert (silent["heard"], silent["level_dbfs"], silent["detections"], silent["species"]) == (False, None, [], [])
    assert first["level_dbfs"] == -30.0


def test_json_gives_a_group_its_rank_and_no_species():
    group = json.loads(written("json"))["detections"][2]
    assert group["taxon"] == {"rank": "genus", "scientific_name": "Parus", "common_name": None}
    assert [one["scientific_name"] for one in group["candidates"]] == ["Parus major"]


def summary_and_detections(format, **options):
    """The summary of the file and its detections, as a format has them."""
    text = written(format, **options)
    if format == "json":
        document = json.loads(text)
        return document, document["detections"]
    found = events(text)
    return found[-1], [event for event in found if event["event"] == "detection"]


@pytest.mark.parametrize("format", ["json", "ndjson"])
def test_a_recording_with_a_date_dates_its_detections(format):
    summary, detections = summary_and_detections(format, recorded=BEGAN)
    assert summary["recorded_at"] == "2026-05-22T05:00:00.000Z"
    assert [one["time"] for one in detections] == [
        "2026-05-22T05:00:00.000Z",
        "2026-05-22T05:00:00.000Z",
        "2026-05-22T05:00:20.000Z",
    ]
    summary, detections = summary_and_detections(format)
    assert summary["recorded_at"] is None
    assert [(one["time"], one["clock"]) for one in detections] == [(None, None)] * 3


@pytest.mark.parametrize("format", ["json", "ndjson"])
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, (None, None, None, None)),
        ({"recorded": BEGAN, "origin": "audiomoth"}, (None, "2026-05-22T05:00:00.000Z", "audiomoth", None)),
        (
            {"recorded": BEGAN, "origin": "name", "doubt": "repeated hour", "channel": 2},
            (2, "2026-05-22T05:00:00.000Z", "name", "repeated hour"),
        ),
    ],
)
def test_every_document_has_the_start_and_the_channel_of_its_file(format, told, expected):
    out = io.StringIO()
    writing = writer(format, out, RUN)
    writing.begin(Recording("duet.wav", 48_000, **told))
    writing.detection(STRETCHES[0])
    writing.finish(Identification("duet.wav", 30.0, 5.0, ()))
    summary = json.loads(out.getvalue()) if format == "json" else events(out.getvalue())[-1]
    detection = summary["detections"][0] if format == "json" else events(out.getvalue())[0]
    for document in (summary, detection["source"]):
        names = ("channel", "recorded_at", "recorded_at_origin", "recorded_at_doubt")
        assert tuple(document[name] for name in names) == expected


@pytest.mark.parametrize("format", ["json", "ndjson"])
@pytest.mark.parametrize("notes", [[], ["8 channels were averaged to one", "no sound: never above -80 dBFS"]])
def test_what_a_person_should_know_is_in_the_notes(format, notes):
    summary, _ = summary_and_detections(format, notes=notes)
    assert summary["notes"] == notes


def test_ndjson_has_an_event_for_each_window_detection_file_and_error():
    out = io.StringIO()
    writing = writer("ndjson", out, RUN)
    writing.begin(Recording("duet.wav", 48_000))
    writing.window(WINDOWS[0], (MAJOR,))
    assert [event["event"] for event in events(out.getvalue())] == ["window"], "each is written as it comes"
    writing.detection(STRETCHES[1])
    assert [event["event"] for event in events(out.getvalue())] == ["window", "detection"]
    writing.finish(Identification("duet.wav", 30.0, 5.0, (MAJOR,)))
    writing.fail("torn.wav", "torn.wav: cannot be decoded")
    window_event, detection, file, error = events(out.getvalue())
    whole = json.loads(written("json"))
    assert window_event == {
        "event": "window",
        "file": "duet.wav",
        "channel": None,
        **whole["windows"][0],
        "species": whole["species"][:1],
    }
    assert detection == {"event": "detection", **whole["detections"][1]}
    del whole["detections"], whole["windows"]
    assert file == {"event": "file", **whole, "species": whole["species"][:1]}
    assert error == {"event": "error", "file": "torn.wav", "error": "torn.wav: cannot be decoded"}


def test_a_file_that_failed_half_way_leaves_nothing_in_the_next_document():
    out = io.StringIO()
    writing = writer("json", out, RUN)
    writing.begin(Recording("torn.wav", 48_000))
    writing.window(WINDOWS[0], (MAJOR,))
    writing.detection(STRETCHES[0])
    writing.fail("torn.wav", "torn")
    writing.begin(Recording("quiet.wav", 48_000))
    writing.finish(Identification("quiet.wav", 1.0, 5.0, (), False))
    document = json.loads(out.getvalue())
    assert (document["file"], document["detections"], document["windows"]) == ("quiet.wav", [], [])


@pytest.mark.parametrize("format", ["json", "ndjson", "csv"])
def test_odd_bytes_in_a_name_can_be_had_again(format):
    text = written(format, file="d\udcffet.wav", stretches=STRETCHES[:1])
    text.encode("utf-8")
    assert {"json": r"d\\xffet.wav", "ndjson": r"d\\xffet.wav", "csv": r"d\xffet.wav"}[format] in text


def test_the_table_has_a_row_for_each_detection_with_start_and_end():
    lines = [line.split() for line in written("table").splitlines()]
    assert lines[0] == ["duet.wav", "0:30"]
    assert lines[1] == ["from", "to", "detected", "confidence"]
    assert lines[2] == ["0:00", "0:10", "Bufo", "bufo", "75%"]
    assert lines[3] == ["0:00", "0:15", "Great", "Tit", "(Parus", "major)", "88%"]
    assert lines[4] == ["0:20", "0:30", "a", "Parus,", "probably", "P.", "major", "91%"]


@pytest.mark.parametrize("more", [0, 1])
def test_the_table_counts_the_detections_it_does_not_show(more):
    text = written("table", stretches=[Stretch(5.0 * n, 5.0 * n + 10.0, A_TOAD, None) for n in range(SHOWN + more)])
    assert text.count("75%") == SHOWN
    assert (f"… {more} more, see --format ndjson" in text) == bool(more)


@pytest.mark.parametrize(("heard", "said"), [(True, "nothing known"), (False, "nothing heard")])
def test_the_table_says_that_nothing_was_detected(heard, said):
    assert written("table", stretches=(), heard=heard).splitlines()[1] == said
