"""`archive report`: one page about recordings that were really heard."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from edgeapp.web.report import archive as shown
from tests.edgeapp.archive.heard import heard

# Sum of what every report is allowed to have, as text in the page: pictures of species and stretches, sound.
MOST_BYTES = 15_000_000


@pytest.fixture
def report(run, two_sites, toy_pack, monkeypatch, tmp_path):
    monkeypatch.setenv("BIOVITA_PACKS", str(toy_pack.parent))

    def call(*words: object, results: Path = two_sites) -> str:
        done = run("archive", "report", results, "--output", tmp_path / "report.html", "--zone", "UTC", *words)
        call.done = done
        return (tmp_path / "report.html").read_text(encoding="utf-8") if done.exit_code in (0, 1) else done.stderr

    return call


def text(page: str) -> str:
    body = re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_species_have_counts_times_and_stretches(report):
    page = report()
    said = text(page)
    assert report.done.exit_code == 0, report.done.stderr
    assert "Great Tit Parus major" in said and "Common Cuckoo" in said
    assert "2 detections" in said and "first 2026-05-01 04:00:00 UTC, last 2026-05-01 04:00:25 UTC" in said
    assert page.count("data:image/webp") >= 4 and page.count("data:audio/") >= 3
    assert "20260501_220000Z.wav at 0:00, 2026-05-01 22:00:00, confidence 1.00" in said


def test_effort_failures_and_settings_are_there(report):
    said = text(report())
    assert (
        "Effort by site site hours heard recordings without sound failed species detections per hour pond 0.02 2"
        in said
    )
    assert "Effort by day" in said and "2026-05-02 0.01 1 1 0 0 0 0.0" in said
    assert "Recordings that could not be read" in said and "broken.wav" in said
    assert "pack toy 1.0" in said and "windows 10 s, one every 5 s" in said
    assert "Detections by hour of the day" in said


def test_recordings_that_are_gone_are_said(report, recordings, toy_pack, tmp_path):
    for name in recordings:
        shutil.copy(name, tmp_path)
    copies = [str(tmp_path / Path(name).name) for name in recordings]
    heard(tmp_path / "results", copies, toy_pack, ("files", "detections"))
    Path(copies[1]).unlink()
    page = report(results=tmp_path / "results")
    assert report.done.exit_code == 0
    assert "recordings of best detections that are not there any more 1" in text(page)
    assert "Common Cuckoo" in text(page)
    Path(copies[0]).write_bytes(b"RIFF")
    page = report(results=tmp_path / "results")
    assert report.done.exit_code == 1
    assert "not shown in the report" in report.done.stderr


def test_what_is_selected_is_reported(report):
    said = text(report("--species", "Parus", "--folder", "wood", "--report-audio", "none"))
    assert "Japanese Tit" in said and "Great Tit" not in said
    assert "only Parus" in said and "in wood" in said and "sound in this report none" in said


def test_what_is_left_out_is_said(report, monkeypatch):
    monkeypatch.setattr(shown, "MOST_TAXA", 1)
    monkeypatch.setattr(shown, "MOST_FAILED", 0)
    monkeypatch.setattr(shown, "MOST_ROWS", 1)
    page = report()
    said = text(page)
    assert page.count('<article class="taxon"') == 1
    assert "Further taxa" in said and "Common Toad Bufo bufo 1" in said
    assert "taxa without a stretch 3" in said
    assert "1 more the table files of the archive has them all" in said
    assert "not shown: 1 with less sound" in said and "not shown: 2 earlier" in said


def test_bounds_keep_the_page_small():
    """Each bound times what one of its kind takes at most, as text."""
    from edgeapp.web.report import pictures, sound, stretches

    sound_bytes = stretches.BEST_S * sound.BIT_RATE * 1000 / 8
    picture_bytes = pictures.LARGE_BYTES + shown.MOST_PICTURED * pictures.OF_TAXON * 10_000
    stretch_bytes = stretches.MOST_STRETCHES * 28_000  # white noise takes 27 kB, more than any sound
    rows = shown.MOST_TAXA * 3000 + shown.MOST_IN_TABLE * 300 + shown.MOST_FAILED * 1000 + 60 * 55 * 100
    assert 4 / 3 * (sound_bytes + picture_bytes + stretch_bytes) + rows < MOST_BYTES


@pytest.mark.parametrize(
    ("words", "says"), [(("--report-audio", "all"), "too much sound"), (("--folder", "nowhere"), "no recording")]
)
def test_what_cannot_be_reported_is_said_in_a_line(report, words, says):
    said = report(*words)
    assert (report.done.exit_code, said.count("\n")) == (2, 1) and says in said
