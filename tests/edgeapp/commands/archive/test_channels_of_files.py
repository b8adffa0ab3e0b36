"""`archive --channel each`: every channel is a recording of its own, as with `identify`, and one file is one file."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import soundfile

from edgeapp.archive.results.dataset import DataSet
from edgeapp.audio.channels import EACH, Channel
from edgeapp.audio.file import FileSource
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.archive.heard import heard

FORMATS = ("json", "ndjson", "csv", "raven", "audacity", "kaleidoscope")
TIT, CUCKOO, TOAD = "Parus major", "Cuculus canorus", "Bufo bufo"


@pytest.fixture
def sounds(tmp_path):
    """A tit on the left and a cuckoo on the right, one channel with a tit, and what is no sound."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    pair = np.stack([toy.tone(1000), toy.tone(3000)], axis=1)
    soundfile.write(folder / "duet.wav", pair, toy.RATE_HZ)
    soundfile.write(folder / "solo.wav", toy.tone(1000), toy.RATE_HZ)
    (folder / "none.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture
def archive(run, sounds, toy_pack, tmp_path, loaded_workers):
    def call(*words: object):
        given = ("--output", tmp_path / "results", "--pack", toy_pack, "--workers", 1, "--channel", "each")
        return run("archive", sounds, *given, *words)

    return call


@pytest.fixture(scope="module")
def channels(toy_pack, tmp_path_factory):
    """Results of three recordings, two of which have two channels; and the recordings."""
    folder = tmp_path_factory.mktemp("channels")
    sounds = [(1000, 3000), (2000,), (3000, 500)]
    names = [f"2026050{day}_040000Z.wav" for day in range(1, 4)]
    for name, tones in zip(names, sounds, strict=True):
        soundfile.write(folder / name, np.stack([toy.tone(hz) for hz in tones], axis=1), toy.RATE_HZ)
    files = [str(folder / name) for name in names]
    return heard(folder / "results", files, toy_pack, channel=Channel(EACH)).folder, files


def rows_of(folder) -> dict[tuple[str, int | None], dict]:
    rows = DataSet(folder).table("files").to_pylist()
    found = {(os.path.basename(row["file"]), row["channel"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def taxa_of(folder) -> list[tuple[str, int, str]]:
    rows = DataSet(folder).table("detections").to_pylist()
    names = ("source_channel", "taxon_scientific_name")
    return sorted((os.path.basename(row["source_file"]), *(row[name] for name in names)) for row in rows)


def test_each_channel_has_rows_of_its_own(archive, tmp_path):
    result = archive()
    assert result.exit_code == 1 and "3 recordings" in result.stderr
    rows = rows_of(tmp_path / "results")
    assert set(rows) == {("duet.wav", 1), ("duet.wav", 2), ("solo.wav", 1), ("none.wav", None)}
    duet = [rows["duet.wav", channel] for channel in (1, 2)]
    assert duet[0]["sha256"] == duet[1]["sha256"] and [row["channels"] for row in duet] == [2, 2]
    assert [row["n_detections"] for row in duet] == [1, 1]
    assert taxa_of(tmp_path / "results") == [("duet.wav", 1, TIT), ("duet.wav", 2, CUCKOO), ("solo.wav", 1, TIT)]


def test_a_file_of_channels_is_heard_once(archive, sounds, tmp_path):
    archive()
    before = rows_of(tmp_path / "results")
    assert "3 done before, of which 1 failed" in archive().stderr
    assert rows_of(tmp_path / "results") == before
    (sounds / "duet.wav").rename(sounds / "moved.wav")
    assert "1 of them heard before" in archive().stderr
    after = rows_of(tmp_path / "results")
    assert set(after) == {("moved.wav", 1), ("moved.wav", 2), ("solo.wav", 1), ("none.wav", None)}
    assert [name for name, *_ in taxa_of(tmp_path / "results")] == ["moved.wav", "moved.wav", "solo.wav"]
    assert "3 done before" in archive().stderr


def test_a_changed_file_replaces_all_its_channels(archive, sounds, tmp_path):
    archive()
    soundfile.write(sounds / "duet.wav", toy.tone(500, seconds=9.0), toy.RATE_HZ)
    archive()
    assert set(rows_of(tmp_path / "results")) == {("duet.wav", 1), ("solo.wav", 1), ("none.wav", None)}
    assert taxa_of(tmp_path / "results") == [("duet.wav", 1, TOAD), ("solo.wav", 1, TIT)]


def test_another_choice_of_channel_is_another_run(archive, run, sounds, toy_pack, tmp_path):
    archive()
    refused = run("archive", sounds, "--output", tmp_path / "results", "--pack", toy_pack, "--workers", 1)
    assert refused.exit_code == 2 and 'channel is "mix", and was "each"' in refused.stderr


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_is_that_of_identify_to_the_letter(run, channels, format):
    folder, files = channels
    said = run("identify", *files, "--format", format, "--hop", 5, "--channel", "each")
    exported = run("archive", "export", folder, "--format", format)
    lines = [sorted(done.stdout.splitlines()) for done in (exported, said)]
    assert (said.exit_code, exported.exit_code) == (0, 0) and lines[0] == lines[1]


def test_a_channel_alone_is_exported_at_its_own_time(run, channels):
    """In a table of many recordings they follow one another, and channels of one lie side by side."""
    folder, files = channels
    result = run("archive", "export", folder, "--format", "audacity", "--species", CUCKOO)
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["0.000000", "10.000000"], result.stderr


def test_effort_counts_each_channel_as_its_detections_are(run, channels):
    """Twice the sound and twice the detections: what is detected in an hour stays as it is with one channel."""
    folder, files = channels
    found = json.loads(run("archive", "summary", folder, "--by", "day", "--zone", "UTC", "--json").stdout)
    assert (found["detections"], found["effort_recordings"], found["windows"]) == (5, 5, 5)
    assert found["effort_h"] == pytest.approx(50 / 3600, abs=1e-4)
    effort = {line["day"]: (line["effort_recordings"], line["detections_per_h"]) for line in found["lines"]}
    assert effort == {
        f"2026-05-0{day}": (recordings, pytest.approx(3600 / (10 * recordings), rel=0.01))
        for day, recordings in ((1, 2), (2, 1), (3, 2))
    }


def test_a_search_and_a_report_know_the_channel(run, channels, toy_pack, tmp_path, monkeypatch):
    folder, files = channels
    words = ("archive", "search", folder, CUCKOO, "--pack", toy_pack, "--format", "ndjson")
    found = [one for one in map(json.loads, run(*words).stdout.splitlines()) if one["event"] == "detection"]
    assert [(one["source"]["file"], one["source"]["channel"]) for one in found] == [(files[0], 2), (files[2], 1)]
    heard = []

    class Heard(FileSource):
        def __init__(self, path, start_s, duration_s, channel, **options):
            heard.append((str(path), channel))
            super().__init__(path, start_s, duration_s, channel, **options)

    monkeypatch.setattr("edgeapp.web.report.stretches.FileSource", Heard)
    monkeypatch.setenv("BIOVITA_PACKS", str(toy_pack.parent))
    result = run("archive", "report", folder, "--output", tmp_path / "report.html")
    assert result.exit_code == 0, result.stderr
    assert set(heard) == {(files[0], 1), (files[0], 2), (files[1], 1), (files[2], 1), (files[2], 2)}
