"""``biovita-edge identify`` as a person and a script meet it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from edgeapp.audio.metadata.guano import as_text, into_wav
from edgeapp.cli import app
from edgeapp.outputs.csv import HEADER, OF_RECORDING
from edgeapp.outputs.json import JsonWriter
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.audio.test_file import cut
from tests.edgeapp.outputs import receivers


@pytest.fixture
def tit(record):
    return record("tit.wav", toy.tone(1000, seconds=12))


@pytest.fixture
def careful(toy_copy):
    """A toy pack that wants more than any sound here gives before it names a species: groups are left."""
    path = toy_copy / "pack.json"
    document = json.loads(path.read_text())
    document["decision"]["threshold"] = 0.99999
    path.write_text(json.dumps(document))
    return toy_copy


def lines(text):
    return text.splitlines()


def detected(document):
    """Names of the detected taxa of a document, of a file or of a window."""
    return [one["taxon"]["scientific_name"] for one in document["detections"]]


def test_json_is_one_document_of_the_promised_shape(run, tit):
    result = run("identify", tit, "--format", "json", "--top", 2)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert list(document) == [
        *("schema", "file", "duration_s", "channel", "recorded_at", "recorded_at_origin", "recorded_at_doubt", "pack"),
        *("gallery", "window_s", "hop_s", "notes", "species", "detections", "windows"),
    ]
    assert (document["schema"], document["file"], document["duration_s"]) == (2, tit, 12.0)
    assert document["pack"] == {"name": "toy", "version": "1.0"}
    assert (document["window_s"], document["hop_s"]) == (10.0, 5.0)
    (detection,) = document["detections"]
    assert detection["taxon"] == {"rank": "species", "scientific_name": "Parus major", "common_name": "Great Tit"}
    assert detection["confidence"] == pytest.approx(1.0, abs=1e-3)
    assert (detection["start_s"], detection["end_s"]) == (0.0, 12.0), "both windows"
    first = document["species"][0]
    assert list(first) == ["scientific_name", "common_name", "confidence", "similarity"]
    assert (first["scientific_name"], first["common_name"]) == ("Parus major", "Great Tit")
    assert [(w["start_s"], w["end_s"]) for w in document["windows"]] == [(0.0, 10.0), (2.0, 12.0)]
    assert all(w["heard"] and detected(w) == ["Parus major"] and len(w["species"]) == 2 for w in document["windows"])


def test_the_gallery_is_named_by_its_hash(run, tit, toy_pack):
    document = json.loads(run("identify", tit, "-f", "json").stdout)
    wanted = hashlib.sha256((toy_pack / "gallery.sqlite").read_bytes()).hexdigest()
    assert document["gallery"] == document["detections"][0]["gallery"] == {"sha256": wanted, "learned_sha256": None}


def test_two_species_at_once_are_both_detected(run, record):
    path = record("duet.wav", toy.tone(1000, 3000, seconds=15))
    document = json.loads(run("identify", path, "-f", "json").stdout)
    assert [sorted(detected(w)) for w in document["windows"]] == [["Cuculus canorus", "Parus major"]] * 2
    found = {one["taxon"]["scientific_name"]: one for one in document["detections"]}
    assert set(found) == {"Cuculus canorus", "Parus major"}
    for name, one in found.items():
        assert (one["start_s"], one["end_s"]) == (0.0, 15.0)
        assert one["confidence"] > 0.9 and [c["scientific_name"] for c in one["candidates"]] == [name]


def test_each_stretch_of_a_species_is_one_detection(run, record):
    silence = np.zeros(160_000, np.float32)
    path = record("night.wav", np.concatenate([toy.tone(1000, seconds=25), silence, toy.tone(1000, seconds=15)]))
    document = json.loads(run("identify", path, "-f", "json", "--hop", 10).stdout)
    assert [(one["start_s"], one["end_s"]) for one in document["detections"]] == [(0.0, 30.0), (40.0, 60.0)]
    assert set(detected(document)) == {"Parus major"}


GUANO = {"Timestamp": "2026-05-22T07:00:00+02:00"}


@pytest.mark.parametrize(
    ("name", "guano", "began"),
    [
        ("20260522T050000Z.wav", {}, "2026-05-22T05:00:00.000Z"),
        ("garden.wav", GUANO, "2026-05-22T05:00:00.000Z"),
        ("20260522_050000.wav", {}, None),
        ("garden.wav", {"Timestamp": "2026-05-22T07:00:00"}, None),
        ("garden.wav", {}, None),
    ],
)
def test_a_recording_is_dated_where_it_states_its_zone(run, tmp_path, record, name, guano, began):
    path = Path(record(name, np.concatenate([np.zeros(160_000, np.float32), toy.tone(1000, seconds=10)])))
    if guano:
        path.write_bytes(into_wav(path.read_bytes(), as_text(guano)))
    document = json.loads(run("identify", path, "-f", "json", "--hop", 10).stdout)
    assert document["recorded_at"] == began
    (detection,) = document["detections"]
    assert (detection["start_s"], detection["time"]) == (20.0, began and "2026-05-22T05:00:20.000Z")


@pytest.mark.parametrize(
    ("name", "zone", "began", "origin", "noted"),
    [
        ("20260522_070000.wav", "Europe/Berlin", "2026-05-22T05:00:00.000Z", "name", ""),
        ("20260522_070000.wav", "+02:00", "2026-05-22T05:00:00.000Z", "name", ""),
        ("20260522T050000Z.wav", "Europe/Berlin", "2026-05-22T05:00:00.000Z", "name", ""),
        ("20261025_023000.wav", "Europe/Berlin", "2026-10-25T00:30:00.000Z", "name", "may have been an hour later"),
        ("20260329_023000.wav", "Europe/Berlin", "2026-03-29T01:30:00.000Z", "name", "hour that the clocks skip"),
        ("garden.wav", "Europe/Berlin", None, None, ""),
    ],
)
def test_local_time_of_a_recorder_is_in_the_zone_given(run, record, name, zone, began, origin, noted):
    result = run("identify", record(name, toy.tone(1000, seconds=10)), "-f", "json", "--time-zone", zone)
    document = json.loads(result.stdout)
    assert (document["recorded_at"], document["recorded_at_origin"]) == (began, origin)
    doubts = [note for note in document["notes"] if "hour" in note]
    assert noted in " ".join(doubts) and noted in result.stderr
    assert bool(doubts) == bool(noted) == (document["recorded_at_doubt"] is not None)


def test_a_time_zone_that_does_not_exist_is_refused(run, tit):
    result = run("identify", tit, "--time-zone", "Europe/Atlantis")
    assert result.exit_code == 2 and "there is no time zone 'Europe/Atlantis'" in result.stderr


def test_json_of_several_files_is_one_document_after_the_other(run, tit, record):
    cuckoo = record("cuckoo.wav", toy.tone(3000))
    result = run("identify", tit, cuckoo, "-f", "json")
    decoder, text, found = json.JSONDecoder(), result.stdout.strip(), []
    while text:
        document, end = decoder.raw_decode(text)
        found += detected(document)
        text = text[end:].strip()
    assert found == ["Parus major", "Cuculus canorus"]
    assert "2 of 2 files done, 0 failed" in result.stderr


def test_ndjson_is_an_event_a_line(run, record, tmp_path):
    path = record("a.wav", np.concatenate([toy.tone(1000, seconds=20), np.zeros(80_000, np.float32)]))
    result = run("identify", path, tmp_path / "none.wav", "-f", "ndjson")
    assert result.exit_code == 1
    events = [json.loads(line) for line in lines(result.stdout)]
    assert [event["event"] for event in events] == [*["window"] * 5, "detection", "file", "error"]
    assert [event["heard"] for event in events[:5]] == [True, True, True, True, False]
    silent = events[4]
    assert silent["level_dbfs"] is None and silent["species"] == [] and silent["detections"] == []
    assert detected(events[0]) == ["Parus major"]
    assert events[5]["taxon"]["scientific_name"] == "Parus major"
    assert (events[5]["start_s"], events[5]["end_s"]) == (0.0, 25.0)
    assert "windows" not in events[6] and events[6]["species"][0]["scientific_name"] == "Parus major"
    assert events[7]["error"].startswith(str(tmp_path / "none.wav"))


def test_ndjson_tells_a_detection_once_it_is_over(run, record):
    path = record("a.wav", np.concatenate([toy.tone(1000), np.zeros(160_000, np.float32), toy.tone(3000)]))
    result = run("identify", path, "-f", "ndjson", "--hop", 10)
    events = [json.loads(line) for line in lines(result.stdout)]
    assert [event["event"] for event in events] == [
        *("window", "window", "window", "detection", "window", "detection", "file")
    ]
    assert [e["taxon"]["scientific_name"] for e in events if e["event"] == "detection"] == [
        "Parus major",
        "Cuculus canorus",
    ]


def test_csv_has_birdnets_columns_and_a_row_for_each_species(run, record):
    path = record("a.wav", np.concatenate([toy.tone(1000, 2000), np.zeros(80_000, np.float32), toy.noise(10)]))
    rows = list(csv.reader(io.StringIO(run("identify", path, "-f", "csv", "--hop", 10).stdout)))
    assert HEADER == ("Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File")
    assert tuple(rows[0]) == (*HEADER, *OF_RECORDING)
    assert [(row[0], row[1], row[2], row[3]) for row in rows[1:]] == [
        ("0.0", "10.0", "Parus major", "Great Tit"),
        ("0.0", "10.0", "Parus minor", "Japanese Tit"),
    ]
    assert all(0.9 < float(row[4]) <= 1 and row[5] == path for row in rows[1:])


def test_a_group_has_its_rank_everywhere_and_no_row_of_csv(run, record, careful):
    path = record("a.wav", toy.tone(1000, 2000))

    def written(format):
        return run("identify", path, "-f", format, "--pack", careful).stdout

    (group,) = json.loads(written("json"))["detections"]
    assert group["taxon"] == {"rank": "genus", "scientific_name": "Parus", "common_name": None}
    assert {one["scientific_name"] for one in group["candidates"]} == {"Parus major", "Parus minor"}
    assert lines(written("csv")) == [",".join((*HEADER, *OF_RECORDING))]
    (selection,) = receivers.raven(written("raven"))
    assert (selection["Rank"], selection["Scientific Name"], selection["Common Name"]) == ("genus", "Parus", "Parus")
    ((_, _, label),) = receivers.audacity(written("audacity"))
    assert label == f"Parus (genus) {group['confidence']:.2f}"


def table(run, path, *words):
    """Rows of the table that people read, below the name of the file."""
    result = run("identify", path, *words)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    return lines(result.stdout)[1:]


def test_the_table_says_in_words_what_was_detected(run, record, careful):
    def first(sound, *words):
        rows = table(run, record("a.wav", sound), *words)
        return rows[1] if rows[0].startswith("from") else rows[0]

    assert "Great Tit (Parus major)" in first(toy.tone(1000))
    assert "a Parus, probably P. m" in first(toy.tone(1000, 2000), "--pack", careful)
    assert "one of the Aves (class), probably " in first(toy.tone(1000, 3000), "--pack", careful)
    assert first(toy.noise()) == "nothing known"
    assert first(np.zeros(80_000, np.float32)) == "nothing heard"


def test_the_table_has_two_species_that_sound_at_once(run, record):
    rows = [line.split() for line in table(run, record("duet.wav", toy.tone(1000, 3000)))[1:3]]
    assert sorted(row[:-1] for row in rows) == [
        ["0:00", "0:10", "Common", "Cuckoo", "(Cuculus", "canorus)"],
        ["0:00", "0:10", "Great", "Tit", "(Parus", "major)"],
    ]


def test_the_table_has_bars_and_the_times_of_detections(run, record):
    sounds = [toy.tone(1000, seconds=20), np.zeros(160_000, np.float32), toy.tone(3000)]
    path = record("[bold]odd.wav", np.concatenate(sounds))
    out = run("identify", path).stdout
    assert path in out
    assert "████" in out and "Parus major" in out
    found = [line.split()[:-1] for line in lines(out)]
    assert ["0:00", "0:25", "Great", "Tit", "(Parus", "major)"] in found
    assert ["0:35", "0:50", "Common", "Cuckoo", "(Cuculus", "canorus)"] in found


def test_top_hop_and_only_change_the_answer(run, tit):
    document = json.loads(run("identify", tit, "-f", "json", "-k", 1, "--hop", 1).stdout)
    assert len(document["species"]) == 1 and len(document["windows"]) == 3
    document = json.loads(run("identify", tit, "-f", "json", "--only", "Cuculidae", "--only", "Bufo").stdout)
    assert detected(document) == []
    assert {s["scientific_name"] for s in document["species"]} == {"Cuculus canorus", "Bufo bufo"}


def test_the_number_of_threads_changes_no_answer(run, tit):
    one, two = (run("identify", tit, "-f", "json", "--threads", n).stdout for n in (1, 2))
    assert json.loads(one) == json.loads(two)


def test_output_goes_whole_into_the_file_and_not_on_the_screen(run, tit, tmp_path):
    out = tmp_path / "out.json"
    result = run("identify", tit, "-f", "json", "-o", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(out.read_text())["file"] == tit
    assert not list(tmp_path.glob(".out*"))


def test_a_failed_run_leaves_the_former_output(run, tmp_path, toy_copy, tit):
    out = tmp_path / "out.csv"
    out.write_text("former")
    assert run("identify", tmp_path / "none.wav", "-f", "csv", "-o", out).exit_code == 1
    (toy_copy / "audio.onnx").write_bytes(b"changed")
    assert run("identify", tit, "-f", "csv", "-o", out, "--pack", toy_copy).exit_code == 3
    assert out.read_text() == "former"
    assert not list(tmp_path.glob(".out*"))


def test_an_output_that_is_a_pipe_is_written_to_and_stays_a_pipe(run, tit, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run("identify", tit, "--format", "csv", "--output", pipe).exit_code == 0
        assert os.read(reader, 1 << 16).decode().startswith(",".join(HEADER))
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_an_output_that_cannot_be_written_is_said_before_any_work(run, tit, tmp_path):
    for out in (tmp_path, tmp_path / "no" / "out.json"):
        result = run("identify", tit, "-o", out)
        assert result.exit_code == 2
        assert lines(result.stderr)[0].startswith(f"biovita-edge: {out}: ")


def test_a_recording_is_never_overwritten(run, tit):
    before = Path(tit).read_bytes()
    result = run("identify", tit, "-f", "json", "-o", tit)
    assert result.exit_code == 2 and "is one of the recordings" in result.stderr
    assert Path(tit).read_bytes() == before


@pytest.mark.parametrize("named", ["night", "night/*.wav", "@list.txt"])
def test_a_folder_a_pattern_and_a_list_are_the_recordings_in_them(run, record, tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    Path("night").mkdir()
    record("night/b.wav", toy.tone(1000))
    record("night/a.wav", toy.tone(1000))
    Path("night/._a.wav").write_bytes(bytes.fromhex("00051607"))
    Path("list.txt").write_text("night/a.wav\nnight/._a.wav\nnight/b.wav\nnight/b.wav\n")

    result = run("identify", named, "-f", "json")
    assert result.exit_code == 0
    assert re.findall('^  "file": "(.*)"', result.stdout, re.M) == ["night/a.wav", "night/b.wav"]
    over = ["biovita-edge: passed over 1 macOS companion file (night/._a.wav)"] if "*" not in named else []
    assert lines(result.stderr)[2:] == [*over, "biovita-edge: 2 of 2 files done, 0 failed"]


def test_inputs_that_give_nothing_fail_and_the_others_are_done(run, tit, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run("identify", tmp_path / "empty", tmp_path / "no*.wav", f"@{tmp_path / 'none.txt'}", tit, "-f", "ndjson")
    assert result.exit_code == 1
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events if event["event"] in ("error", "file")] == ["error"] * 3 + ["file"]
    assert lines(result.stderr)[-1] == "biovita-edge: 1 of 4 files done, 3 failed"


def test_a_recording_in_a_folder_is_never_overwritten(run, tit, tmp_path):
    before = Path(tit).read_bytes()
    for option in ("--output", "--report"):
        result = run("identify", tmp_path, "-f", "json", option, tit)
        assert result.exit_code == 2 and f"is one of the recordings; choose another {option}" in result.stderr
        assert Path(tit).read_bytes() == before


BAD = {
    "empty.wav": "is an empty file",
    "text.wav": "is not readable audio",
    "short.wav": "is only 0.20 s long",
    "nan.wav": "is not a number",
    "folder": "has no recordings in it",
    "missing.wav": "does not exist",
}


def test_each_bad_input_is_one_line_and_the_others_are_done(run, record, tit, tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not audio at all")
    record("short.wav", toy.tone(1000, seconds=0.2))
    record("nan.wav", np.where(np.arange(240_000) == 200_000, np.nan, toy.tone(1000, seconds=30)), subtype="FLOAT")
    (tmp_path / "folder").mkdir()
    result = run("identify", *(tmp_path / name for name in BAD), tit, "-f", "csv", "-q")
    assert result.exit_code == 1
    said = lines(result.stderr)
    assert len(said) == len(BAD)
    for (name, words), line in zip(BAD.items(), said, strict=True):
        assert line.startswith(f"biovita-edge: {tmp_path / name}: ") and words in line
        assert line.rpartition(";")[2].strip(), "the remedy"
    rows = list(csv.reader(io.StringIO(result.stdout)))[1:]
    assert rows and {row[5] for row in rows} == {tit}, "a file that failed half way has no rows"


def test_a_companion_file_is_passed_over_and_fails_nothing(run, tit, tmp_path):
    (tmp_path / "copied.wav").write_bytes(b"\x00\x05\x16\x07" + bytes(4000))
    result = run("identify", tmp_path / "copied.wav", tit, "-f", "csv")
    assert result.exit_code == 0
    assert "copied.wav: is a companion file of macOS, not a recording; passed over" in result.stderr
    assert "1 of 2 files done, 0 failed, 1 passed over" in result.stderr


def test_a_file_that_may_not_be_read_is_one_line(run, tit, monkeypatch):
    def refuse(path, *args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("edgeapp.audio.file.open", refuse, raising=False)
    result = run("identify", tit)
    assert result.exit_code == 1
    assert lines(result.stderr) == [f"biovita-edge: {tit}: permission denied; check the file's permissions"]


@pytest.mark.parametrize("name", ["cut.mp3", "cut.wav", "cut.flac"])
def test_a_cut_file_is_done_as_far_as_it_goes_and_named(run, record, name, capfd):
    path = cut(record(name, toy.tone(1000, seconds=40, rate_hz=48_000), 48_000), 0.5)
    result = run("identify", path, "-f", "json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert detected(document) == ["Parus major"]
    assert 10 < document["duration_s"] < 25
    (line,) = lines(result.stderr)
    assert [note for note in document["notes"] if note in line and note.startswith("announces 40.0 s")]
    assert line.startswith(f"biovita-edge: {path}: announces 40.0 s but only ")
    assert capfd.readouterr().err == "", "mpg123 speaks on the process's own standard error"


MPG123 = b"[src/libmpg123/layer3.c:INT123_do_layer3():1804] error: dequantization failed!\n"


def test_what_a_decoder_prints_is_one_note_and_the_rest_is_passed_on(run, tit, capfd, monkeypatch):
    begin = JsonWriter.begin

    def speaking(self, recording):
        os.write(2, MPG123 + b"a driver speaks\n" + MPG123)
        begin(self, recording)

    monkeypatch.setattr(JsonWriter, "begin", speaking)
    result = run("identify", tit, "-f", "json")
    assert result.exit_code == 0
    (line,) = lines(result.stderr)
    assert line.startswith(f"biovita-edge: {tit}: ") and line.endswith("the decoder skipped 2 damaged places")
    assert "the decoder skipped 2 damaged places" in json.loads(result.stdout)["notes"]
    assert capfd.readouterr().err == "a driver speaks\n"


@pytest.mark.parametrize(
    ("sound", "rate_hz", "note"),
    [
        (np.repeat(toy.tone(1000, rate_hz=48_000)[:, None], 8, axis=1), 48_000, "8 channels were averaged to one"),
        (toy.tone(1000), 8_000, "no content above 4 kHz"),
        (toy.tone(1000, rate_hz=192_000), 192_000, "recorded at 192 kHz"),
        (np.zeros(480_000, np.float32), 48_000, "no sound"),
    ],
)
def test_an_odd_input_is_done_with_one_note(run, record, sound, rate_hz, note):
    path = record("odd.wav", sound, rate_hz)
    result = run("identify", path, "-f", "json")
    assert result.exit_code == 0
    (line,) = lines(result.stderr)
    assert line.startswith(f"biovita-edge: {path}: ") and note in line
    document = json.loads(result.stdout)
    assert detected(document) == ([] if note == "no sound" else ["Parus major"])
    assert line == f"biovita-edge: {path}: {'; '.join(document['notes'])}"
    assert run("identify", path, "--quiet").stderr == ""


def test_silence_names_no_species_in_any_format(run, record):
    path = record("silence.wav", np.zeros(480_000, np.float32), 48_000)
    document = json.loads(run("identify", path, "-f", "json").stdout)
    assert document["species"] == [] and document["detections"] == []
    assert all(window["species"] == window["detections"] == [] for window in document["windows"])
    assert len(lines(run("identify", path, "-f", "csv").stdout)) == 1
    assert "Parus" not in run("identify", path, "-f", "ndjson").stdout
    assert "Parus" not in run("identify", path).stdout


def test_a_bug_on_one_file_does_not_end_the_job(run, tit, record, monkeypatch):
    from edgeapp.audio.file import FileSource

    bad = record("bad.wav", toy.tone(1000))
    whole = FileSource.blocks

    def blocks(self):
        if self.name == bad:
            raise RuntimeError("unheard of")
        return whole(self)

    monkeypatch.setattr(FileSource, "blocks", blocks)
    result = run("identify", bad, tit, "-f", "csv", "-q")
    assert result.exit_code == 1
    (line,) = lines(result.stderr)
    assert line.startswith(f"biovita-edge: {bad}: failed unexpectedly (RuntimeError: unheard of)")
    assert "Parus major" in result.stdout


def test_a_pack_with_a_changed_byte_and_a_foreign_gallery_end_with_3(run, tit, toy_copy, tmp_path):
    other = toy.make(tmp_path / "other", space="other")
    result = run("identify", tit, "--gallery", other / "gallery.sqlite")
    assert result.exit_code == 3
    (line,) = lines(result.stderr)
    assert str(other / "gallery.sqlite") in line and "other encoders" in line
    path = toy_copy / "text.onnx"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    result = run("identify", tit, "--pack", toy_copy)
    assert (result.exit_code, result.stdout) == (3, "")
    (line,) = lines(result.stderr)
    assert str(toy_copy) in line and "text.onnx was changed" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "xml"], "unknown format 'xml'"),
        (["--hop", "0"], "--hop must be greater than 0"),
        (["--hop", "nan"], "must be greater than 0"),
        (["--top", "0"], "--top"),
        (["--threads", "0"], "--threads"),
        (["--modalities", "text,smell"], "unknown modality 'smell'"),
        (["--only", "Parsu"], "no taxon is called 'Parsu'"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_setting_is_one_line_and_2(run, tit, words, said):
    result = run("identify", tit, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = lines(result.stderr)
    assert line.startswith("biovita-edge: ") and said in line


def test_a_wrong_call_is_one_line_and_2(run):
    for words in (["identify"], ["idenfity", "x"], ["gallery", "fold"], ["gallery"], ["pack"]):
        result = run(*words)
        assert (result.exit_code, len(lines(result.stderr))) == (2, 1)


def test_help_names_every_command(run):
    out = run("--help").stdout
    assert all(command in out for command in ("identify", "gallery", "pack", "listen"))
    assert run().stdout.strip() == out.strip()


MAIN = "from edgeapp.cli import main; main()"


def program(*words: object, code: str = MAIN, python: list[str] | None = None):
    return subprocess.run(
        [*(python or [sys.executable]), "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        check=False,
    )


def test_main_turns_errors_into_one_line_and_a_code(tmp_path, toy_pack, tit, forks):
    python = forks.python()
    done = program("identify", tit, tmp_path / "none.wav", "--pack", toy_pack, "-q", "-f", "csv", python=python)
    assert done.returncode == 1
    assert lines(done.stderr) == [f"biovita-edge: {tmp_path / 'none.wav'}: does not exist; check the path"]
    assert program("identify", tit, "--pack", tmp_path / "no", python=python).returncode == 3
    assert program("identify", python=python).returncode == 2


def test_an_interruption_is_one_line_and_130(toy_pack, tit):
    code = (
        "import edgeapp.archive.files as i\n"
        "def stop(*a, **k): raise KeyboardInterrupt\n"
        "i.identify = stop\n"
        "from edgeapp.cli import main; main()"
    )
    done = program("identify", tit, "--pack", toy_pack, code=code)
    assert (done.returncode, done.stdout, lines(done.stderr)) == (130, "", ["biovita-edge: interrupted"])


def test_a_reader_that_leaves_is_no_crash(toy_pack, record, forks):
    path = record("long.wav", toy.noise(600))
    shell = (
        f"{shlex.join(forks.python())} -m edgeapp identify '{path}' -q -f ndjson --hop 1 --pack '{toy_pack}' | head -1"
    )
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, cwd=PROJECT, check=True)
    assert len(lines(done.stdout)) == 1 and done.stderr == ""


@pytest.mark.parametrize("format", ["json", pytest.param("table", marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_recording(peak_mib, record, format):
    short, long = (record(f"{seconds}.wav", toy.tone(1000, 2000, seconds=seconds)) for seconds in (100, 1300))
    assert peak_mib(long, "-f", format) < peak_mib(short, "-f", format) + 15  # 20 minutes are 37 MiB of samples


def test_nothing_is_imported_before_it_is_used(toy_pack, tit):
    report = "import sys; print([m for m in {unwanted!r} if m in sys.modules], file=sys.stderr)"
    heavy = ("torch", "rich", "PIL", "sounddevice", "onnxruntime", "soundfile", "soxr", "tokenizers")
    done = program(code="import edgeapp.cli; " + report.format(unwanted=heavy))
    assert done.stderr.strip() == "[]"
    unwanted = ("torch", "rich", "PIL", "sounddevice", "tokenizers")
    code = f"from edgeapp.cli import main\ntry:\n main()\nfinally:\n {report.format(unwanted=unwanted)}"
    done = program("identify", tit, "--pack", toy_pack, "-q", "-f", "json", code=code)
    assert detected(json.loads(done.stdout)) == ["Parus major"]
    assert done.stderr.strip() == "[]"


# raw sound that is piped in


@pytest.fixture
def piped(toy_pack):
    """Run `identify -` on some bytes."""

    def call(raw: bytes, *words: object):
        command = ["identify", "-", "--pack", str(toy_pack), *map(str, words)]
        return CliRunner().invoke(app, command, input=raw)

    return call


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_file_on_standard_input_is_read_as_the_file_it_is(piped, run, tit, tmp_path, format):
    path = tmp_path / f"a.{format.lower()}"
    sound, rate_hz = soundfile.read(tit)
    soundfile.write(path, sound, rate_hz, format=format)
    from_pipe = json.loads(piped(path.read_bytes(), "-f", "json", "--pcm-rate", 16_000).stdout)
    named = json.loads(run("identify", path, "-f", "json").stdout)
    assert from_pipe["detections"] and from_pipe["duration_s"] == named["duration_s"]
    for one in (from_pipe, named):
        for detection in one["detections"]:
            detection["source"] = None
    assert from_pipe["detections"] == named["detections"]


def test_raw_sound_gets_the_answer_of_its_file(piped, run, record):
    song = toy.tone(3000, seconds=12.0, rate_hz=48_000)
    raw = (np.stack([song, song], axis=1) * 8_388_607 * 256).astype("<i4").tobytes()
    from_file = json.loads(run("identify", record("c.wav", song, 48_000), "--format", "json").stdout)

    done = piped(raw, "--pcm-format", "s32le", "--pcm-channels", 2, "--format", "json")
    document = json.loads(done.stdout)

    assert document["file"] == "-"
    assert detected(document) == detected(from_file) == ["Cuculus canorus"]
    assert [w["start_s"] for w in document["windows"]] == [w["start_s"] for w in from_file["windows"]]


def test_raw_sound_has_no_date_even_beside_a_file_of_its_name(piped, record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = Path(record("other.wav", toy.tone(1000))).rename("-")
    other.write_bytes(into_wav(other.read_bytes(), as_text(GUANO)))
    raw = (toy.tone(1000, rate_hz=48_000) * 32_767).astype("<i2").tobytes()

    assert json.loads(piped(raw, "--format", "json").stdout)["recorded_at"] is None


def test_raw_sound_at_another_rate_is_other_sound(piped):
    raw = (toy.tone(1500, seconds=10.0, rate_hz=24_000) * 32_767).astype("<i2").tobytes()

    assert json.loads(piped(raw, "--pcm-rate", 24_000, "--format", "json").stdout)["duration_s"] == 10.0
    assert json.loads(piped(raw, "--pcm-rate", 48_000, "--format", "json").stdout)["duration_s"] == 5.0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--pcm-format", "u8"], "u8"),
        (["-"], "standard input can be read only once"),
    ],
)
def test_what_is_wrong_with_raw_sound_is_one_line(piped, words, told):
    done = piped(b"\0\0" * 48_000, *words)
    assert done.exit_code == 2 and told in done.stderr


def test_bytes_that_are_left_over_are_named_and_the_rest_is_done(piped):
    raw = (toy.tone(1000, seconds=10.0, rate_hz=48_000) * 32_767).astype("<i2").tobytes()
    done = piped(raw + b"\1", "--format", "json")

    assert done.exit_code == 1 and "ends inside a sample" in done.stderr
    assert detected(json.loads(done.stdout)) == ["Parus major"]
