"""`archive export`: what `identify` writes of the same recordings."""

from __future__ import annotations

import csv
import io
import json
import os

import pytest

from tests.edgeapp.archive.heard import heard

FORMATS = ("json", "ndjson", "csv", "raven", "audacity", "kaleidoscope")


def of_detections(ndjson: str) -> list[dict]:
    return [line for line in map(json.loads, ndjson.splitlines()) if line["event"] == "detection"]


@pytest.fixture
def export(run, two_sites, toy_pack, monkeypatch):
    monkeypatch.setenv("BIOVITA_PACKS", str(toy_pack.parent))

    def call(*words: object):
        return run("archive", "export", two_sites, *words)

    return call


@pytest.mark.parametrize("format", FORMATS)
def test_a_format_is_that_of_identify_to_the_letter(run, export, recordings, format):
    said = run("identify", *recordings, "--format", format, "--hop", 5)
    exported = export("--format", format)
    assert (said.exit_code, exported.exit_code) == (1, 0)
    lines = [done.stdout.splitlines() for done in (exported, said)]
    if format == "ndjson":  # a detection comes after the window that shows its end
        lines = [sorted(those) for those in lines]
    assert lines[0] == lines[1]
    assert len(lines[0]) > 4


def test_a_table_for_people_names_every_detection(export):
    table = export("--format", "table").stdout
    assert table.count("Great Tit (Parus major)") == 2
    assert "1:00  Common Cuckoo" not in table and "Common Cuckoo (Cuculus canorus)" in table


def test_an_archive_without_windows_has_the_same_detections(run, recordings, toy_pack, tmp_path):
    heard(tmp_path / "results", recordings, toy_pack, ("files", "detections"), a_part=3)
    said = run("identify", *recordings, "--format", "ndjson", "--hop", 5)
    exported = run("archive", "export", tmp_path / "results", "--format", "ndjson")
    assert of_detections(exported.stdout) == of_detections(said.stdout)
    assert '"event": "window"' not in exported.stdout


@pytest.mark.parametrize("partition", ["folder", "none"])
def test_partitions_change_nothing(run, export, recordings, toy_pack, tmp_path, partition):
    heard(tmp_path / "results", recordings, toy_pack, partition=partition)
    exported = run("archive", "export", tmp_path / "results", "--format", "json")
    assert exported.stdout == export("--format", "json").stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--species", "Kohlmeise"), ["Parus major"] * 2),
        (("--species", "Parus"), ["Parus major"] * 2 + ["Parus minor"]),
        (("--species", "amphibia", "--species", "Cuculus canorus"), ["Bufo bufo", "Cuculus canorus"]),
        (("--folder", "wood"), ["Parus minor"]),
        (("--since", "2026-05-01T12:00Z"), ["Cuculus canorus"]),
        (("--until", "2026-05-01T06:00", "--zone", "Europe/Berlin"), []),
        (("--until", "2026-05-01T06:00:01", "--zone", "Europe/Berlin"), ["Parus major"]),
        (("--min-confidence", "1", "--folder", "wood"), ["Parus minor"]),
    ],
)
def test_a_selection_is_exported(export, words, found):
    done = export("--format", "ndjson", *words)
    assert [one["taxon"]["scientific_name"] for one in of_detections(done.stdout)] == found
    assert done.exit_code == (0 if found else 2)
    if not found:
        assert "no detection is selected" in done.stderr
    if "--since" in words:
        assert "left out: 1 whose time is not known" in done.stderr


def test_a_selection_has_only_recordings_with_a_detection(export):
    lines = [json.loads(line) for line in export("-f", "ndjson", "--species", "Bufo bufo").stdout.splitlines()]
    assert [line["event"] for line in lines] == ["detection", "file"]


def test_an_unknown_name_is_searched_as_written(export):
    done = export("--species", "Parus majr")
    assert done.exit_code == 2
    assert "no taxon is called 'Parus majr'" in done.stderr and "searched as written" in done.stderr


def test_tables_name_recordings_by_where_they_lie(run, recordings, toy_pack, tmp_path, monkeypatch):
    base = os.path.dirname(os.path.dirname(recordings[0]))
    monkeypatch.chdir(base)
    heard(tmp_path / "results", [os.path.relpath(one, base) for one in recordings], toy_pack, base=base)
    monkeypatch.chdir(tmp_path)
    [first, *_] = csv.DictReader(io.StringIO(run("archive", "export", "results", "-f", "raven").stdout), delimiter="\t")
    assert first["Begin Path"] == recordings[0]
    [first, *_] = csv.DictReader(io.StringIO(run("archive", "export", "results", "-f", "csv").stdout))
    assert first["File"] == os.path.relpath(recordings[0], base)
    for folder in (os.path.dirname(recordings[2]), "wood", os.path.relpath(os.path.dirname(recordings[2]))):
        assert "Parus minor" in run("archive", "export", "results", "--folder", folder).stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--format", "ebird"), "no reviews"),
        (("--format", "xml"), "unknown format 'xml'"),
        (("--min-confidence", "2"), "must be between 0 and 1"),
        (("--since", "soon"), "is not a time"),
        (("--zone", "Mars"), "no time zone"),
        (("--folder", "nowhere"), "no detection is selected"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(export, words, says):
    done = export(*words)
    assert done.exit_code == 2
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_a_folder_without_results_is_said(run, tmp_path):
    done = run("archive", "export", tmp_path)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "has no results of an archive" in done.stderr


def test_nothing_selected_leaves_the_file_as_it_was(export, tmp_path):
    (tmp_path / "kept.csv").write_text("kept")
    assert export("--species", "Corvus corax", "--output", tmp_path / "kept.csv").exit_code == 2
    assert (tmp_path / "kept.csv").read_text() == "kept"
