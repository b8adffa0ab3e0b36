"""`archive summary`: counts and effort of recordings that were really heard."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.edgeapp import toy_pack as toy
from tests.edgeapp.archive.heard import heard


@pytest.fixture
def summary(run, two_sites, toy_pack, monkeypatch):
    monkeypatch.setenv("BIOVITA_PACKS", str(toy_pack.parent))

    def call(*words: object, zone: str = "UTC"):
        return run("archive", "summary", two_sites, "--zone", zone, *words)

    return call


@pytest.fixture
def lines(summary, tmp_path):
    def call(*words: object, **options: str) -> list[dict[str, str]]:
        done = summary("--csv", tmp_path / "summary.csv", *words, **options)
        assert done.exit_code == 0, done.stderr
        return list(csv.DictReader(io.StringIO((tmp_path / "summary.csv").read_text(encoding="utf-8"))))

    return call


def columns(lines: list[dict[str, str]], *names: str) -> list[tuple[str, ...]]:
    return [tuple(line[name] for name in names) for line in lines]


def test_species_are_counted_with_their_confidence_and_times(lines):
    [tit, *others] = lines()
    names = {"detections": "2", "recordings": "1", "scientific_name": "Parus major", "common_name": "Great Tit"}
    assert names.items() <= tit.items()
    assert float(tit["confidence"]) >= float(tit["mean_confidence"]) > 0.99
    assert (tit["first"], tit["last"]) == ("2026-05-01T04:00:00+00:00", "2026-05-01T04:00:25+00:00")
    assert float(tit["effort_h"]) == pytest.approx((50 + 23.7 + 10 + 20) / 3600, abs=1e-4)
    assert float(tit["detections_per_h"]) == pytest.approx(2 * 3600 / 103.7, abs=1e-3)
    found = columns(others, "scientific_name", "first", "detections")
    assert ("Parus minor", "", "1") in found and len(found) == 3


def test_effort_without_a_detection_has_a_line(lines):
    found = lines("--by", "site,day,hour")
    empty = [line for line in found if not line["scientific_name"]]
    assert columns(empty, "site", "day", "hour", "detections", "silent_recordings", "detections_per_h") == [
        ("wood", "2026-05-02", "04", "0", "1", "0.0")
    ]
    unknown = [line for line in found if line["day"] == "unknown"]
    assert columns(unknown, "site", "scientific_name", "failed_recordings") == [("wood", "Parus minor", "1")]


@pytest.mark.parametrize(
    ("by", "zone", "keys"),
    [
        ("hour", "UTC", {"04", "22", "unknown"}),
        ("hour", "Europe/Berlin", {"06", "00", "unknown"}),
        ("hour", "Asia/Kathmandu", {"09", "03", "10", "unknown"}),
        ("day", "Europe/Berlin", {"2026-05-01", "2026-05-02", "unknown"}),
        ("month", "UTC", {"2026-05", "unknown"}),
        ("site", "UTC", {"pond", "wood"}),
    ],
)
def test_days_and_hours_are_those_of_the_zone(lines, by, zone, keys):
    assert {line[by] for line in lines("--by", by, zone=zone)} == keys


def test_a_recording_that_goes_on_counts_in_both_hours(run, toy_pack, tmp_path):
    soundfile.write(tmp_path / "20260501_045950Z.wav", toy.tone(1000, seconds=40.0), toy.RATE_HZ)
    soundfile.write(tmp_path / "20260501_055900Z.wav", toy.noise(10.0), toy.RATE_HZ)
    names = [str(tmp_path / name) for name in ("20260501_045950Z.wav", "20260501_055900Z.wav")]
    heard(tmp_path / "results", names, toy_pack, ("files", "detections"))
    done = run("archive", "summary", tmp_path / "results", "--by", "hour", "--json", "--zone", "UTC")
    found = {line["hour"]: line for line in json.loads(done.stdout)["lines"]}
    hours = {hour: (round(3600 * line["effort_h"]), line["effort_recordings"]) for hour, line in found.items()}
    assert hours == {"04": (10, 1), "05": (40, 1)}
    assert (found["04"]["detections"], found["05"]["detections"], found["04"]["windows"]) == (1, 0, None)
    done = run("archive", "summary", tmp_path / "results", "--since", "2026-05-01T05:00Z", "--json")
    assert json.loads(done.stdout)["effort_h"] == pytest.approx(40 / 3600, abs=1e-4)


def test_parts_and_pieces_of_a_recording_are_one_recording(run, recordings, toy_pack, tmp_path):
    heard(tmp_path / "results", recordings, toy_pack, ("files", "detections"), a_part=1)
    done = run("archive", "summary", tmp_path / "results", "--json")
    found = {line["scientific_name"]: line for line in json.loads(done.stdout)["lines"]}
    assert (found["Parus major"]["detections"], found["Parus major"]["recordings"]) == (2, 1)


def test_windows_without_sound_are_counted(summary):
    found = json.loads(summary("--json").stdout)
    assert (found["windows"], found["silent_windows"]) == (17, 6)
    assert (found["effort_recordings"], found["silent_recordings"], found["failed_recordings"]) == (4, 1, 1)


def test_a_table_is_for_people(summary):
    table = summary("--by", "site").stdout
    assert "Great Tit" in table and "pond" in table
    assert "5 detections in 0.03 h of sound, 4 recordings, 1 without sound, 1 failed" in table


def test_a_selection_is_summed_up(lines):
    assert columns(lines("--species", "Aves", "--folder", "wood"), "scientific_name") == [("Parus minor",)]
    assert columns(lines("--min-confidence", "1", "--species", "Bufo"), "detections") in ([("0",)], [("1",)])
    found = lines("--since", "2026-05-01T12:00", "--until", "2026-05-02T00:00")
    assert columns(found, "scientific_name", "effort_recordings") == [("Cuculus canorus", "1")]


def test_a_site_can_be_a_part_of_the_path(run, toy_pack, tmp_path):
    for name in ("a/1/x.wav", "a/2/x.wav", "b/1/x.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        soundfile.write(tmp_path / name, toy.noise(10.0), toy.RATE_HZ)
    heard(tmp_path / "results", sorted(map(str, tmp_path.rglob("*.wav"))), toy_pack, ("files", "detections"))

    def sites(*words: object) -> list[str]:
        done = run("archive", "summary", tmp_path / "results", "--by", "site", "--json", *words)
        return [line["site"] for line in json.loads(done.stdout)["lines"]]

    assert sites() == ["a/1", "a/2", "b/1"]
    assert sites("--site-depth", 1) == ["a", "b"]


def test_a_heat_map_shows_rates_and_where_nothing_was_heard(summary, tmp_path):
    assert summary("--png", tmp_path / "map.png").exit_code == 0
    pixels = np.array(Image.open(tmp_path / "map.png").convert("RGB")).reshape(-1, 3)
    colours = {tuple(pixel) for pixel in pixels.tolist()}
    assert (226, 226, 226) in colours  # hours without effort
    assert len(colours) > 20
    assert summary("--png", tmp_path / "days.png", "--by", "day,hour", "--species", "Parus major").exit_code == 0
    wide, high = Image.open(tmp_path / "days.png").size
    assert wide > 24 * 22 and high > 3 * 22


def test_a_heat_map_replaces_its_like_and_nothing_else(summary, tmp_path):
    song, text, own, pipe = (tmp_path / name for name in ("song.wav", "notes.txt", "map.png", "pipe"))
    soundfile.write(song, np.zeros(100), 8000)
    text.write_text("notes")
    for path in (song, text):
        before, done = path.read_bytes(), summary("--png", path)
        assert done.exit_code == 2 and "is no PNG picture, and is not replaced; choose another --png" in done.stderr
        assert path.read_bytes() == before
    for _ in range(2):
        assert summary("--png", own).exit_code == 0
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        assert summary("--png", pipe).exit_code == 0 and pipe.is_fifo()
        assert reader.communicate()[0] == own.read_bytes()


def test_a_damaged_part_is_one_line(summary, two_sites, tmp_path, run):
    results = shutil.copytree(two_sites, tmp_path / "results")
    part = next((results / "detections").rglob("*.parquet"))
    part.write_bytes(b"PAR1" + bytes(500) + b"PAR1")
    for command in (("summary",), ("export", "--format", "csv"), ("report", "--output", tmp_path / "report.html")):
        done = run("archive", command[0], results, *command[1:])
        assert done.exit_code == 2 and done.stderr.count("\n") == 1, done.stderr
        assert f"results/detections/{part.relative_to(results / 'detections')}: cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--by", "week"), "unknown key 'week'"),
        (("--folder", "nowhere"), "no recording is selected"),
        (("--png", "no/such/folder/map.png"), "cannot be written"),
    ],
)
def test_what_cannot_be_summed_up_is_said_in_a_line(summary, words, says):
    done = summary(*words)
    assert done.exit_code in (2, 3) and says in done.stderr and done.stderr.count("\n") == 1
