"""`archive recognise`: another gallery over stored embeddings gives what hearing with it gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeapp.archive.results.dataset import DataSet
from edgeapp.pack.format import Pack
from edgeapp.recognition.gallery_build import build_gallery
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.archive.heard import heard
from tests.edgeapp.commands.archive.test_search import TOLERANCE

TABLES = ("files", "detections", "windows", "embeddings")
INEXACT = ("confidence", "similarity")


@pytest.fixture(scope="module")
def few(toy_pack, tmp_path_factory) -> Path:
    """A gallery without the toad."""
    path = tmp_path_factory.mktemp("gallery") / "few.sqlite"
    build_gallery(path, Pack.load(toy_pack), [one for one in toy.taxa() if one.scientific_name != "Bufo bufo"])
    return path


def called(row: dict) -> str:
    return row.get("scientific_name") or row["taxon_scientific_name"]


def equal(one: object, other: object, name: str = "") -> bool:
    """Whether rows are the same, confidences and similarities but for the rounding of embeddings."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key], key) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        if name in ("species", "detections"):  # their order, and who is last, can hang on the rounding
            one, other = (
                sorted((x for x in those if x["confidence"] > TOLERANCE), key=called) for those in (one, other)
            )
        return len(one) == len(other) and all(equal(*pair, name) for pair in zip(one, other, strict=True))
    return one == pytest.approx(other, abs=TOLERANCE) if name in INEXACT else one == other


@pytest.mark.parametrize("tables", [TABLES, ("files", "detections", "embeddings")], ids=len)
def test_new_results_are_those_of_hearing_again(run, recordings, toy_pack, few, tmp_path, tables):
    old = heard(tmp_path / "old", recordings, toy_pack, tables, gallery=few)
    wanted = heard(tmp_path / "wanted", recordings, toy_pack, tables)
    done = run("archive", "recognise", tmp_path / "old", "--output", tmp_path / "new", "--pack", toy_pack)
    assert done.exit_code == 0, done.stderr
    found = DataSet(tmp_path / "new")
    assert found.record.settings["gallery sha256"] == wanted.record.settings["gallery sha256"]
    for table in tables:
        rows, its = (data.table(table).to_pylist() for data in (found, wanted))
        assert len(rows) == len(its) > 3
        for row, other in zip(rows, its, strict=True):
            assert equal(row, other), (row, other)
    assert "Bufo bufo" in found.table("detections")["taxon_scientific_name"].to_pylist()
    assert "Bufo bufo" not in old.table("detections")["taxon_scientific_name"].to_pylist()


def test_a_place_of_the_archive_still_counts(run, recordings, toy_copy, tmp_path):
    toy.add_range(toy_copy)
    place = {"place": (50.0, 10.0)}
    wanted = heard(tmp_path / "old", recordings, toy_copy, **place)
    done = run("archive", "recognise", tmp_path / "old", "--output", tmp_path / "new", "--pack", toy_copy)
    assert done.exit_code == 0, done.stderr
    for table in ("detections", "files"):
        rows, its = (data.table(table).to_pylist() for data in (DataSet(tmp_path / "new"), wanted))
        assert all(equal(*pair) for pair in zip(rows, its, strict=True))
    assert any("not expected at" in note for row in its for note in row["notes"])


def test_it_goes_on_where_it_was_stopped(run, two_sites, recordings, toy_pack, few, tmp_path, monkeypatch):
    from edgeapp.archive.queries import again

    heard(tmp_path / "old", recordings, toy_pack, gallery=few, a_part=1)
    whole, calls = again.recognise_part, []

    def stopping(data, number, *others):
        calls.append(number)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(data, number, *others)

    monkeypatch.setattr(again, "recognise_part", stopping)
    words = ("archive", "recognise", tmp_path / "old", "--output", tmp_path / "new", "--pack", toy_pack)
    assert run(*words).exit_code == 130
    assert DataSet(tmp_path / "new").count("files") == 2
    assert run(*words).exit_code == 0
    assert calls == [1, 2, 3, 3, 4, 5]
    assert DataSet(tmp_path / "new").count("files") == 5


def test_several_processes_give_the_same(run, two_sites, toy_pack, tmp_path):
    for workers in (1, 2):
        words = ("archive", "recognise", two_sites, "--output", tmp_path / str(workers), "--pack", toy_pack)
        assert run(*words, "--workers", workers).exit_code == 0
    one, two = (DataSet(tmp_path / name).table("detections") for name in "12")
    assert one.equals(two) and len(one) == 5


def test_results_of_other_recordings_are_refused(run, two_sites, recordings, toy_pack, tmp_path):
    heard(tmp_path / "other", recordings[2:], toy_pack)
    done = run("archive", "recognise", two_sites, "--output", tmp_path / "other", "--pack", toy_pack)
    assert done.exit_code == 2 and "other" in done.stderr and done.stderr.count("\n") == 1


def test_results_do_not_replace_themselves(run, two_sites, toy_pack):
    done = run("archive", "recognise", two_sites, "--output", two_sites, "--pack", toy_pack)
    assert done.exit_code == 2 and "name another folder" in done.stderr


def test_what_is_no_recording_has_no_failure(run, record, toy_pack, tmp_path):
    companion = tmp_path / "companion.wav"
    companion.write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000))
    files = [str(companion), record("tit.wav", toy.tone(1000))]
    heard(tmp_path / "old", files, toy_pack)
    words = (tmp_path / "old", "--output", tmp_path / "new", "--pack", toy_pack)
    assert run("archive", "recognise", *words).exit_code == 0
    for name in ("old", "new"):
        rows = DataSet(tmp_path / name).table("files").to_pylist()
        assert [row["error"] for row in rows] == [None, None] and "companion" in rows[0]["notes"][0]
        found = json.loads(run("archive", "summary", tmp_path / name, "--json").stdout)
        assert (found["effort_recordings"], found["failed_recordings"]) == (1, 0)
        assert '"error"' not in run("archive", "export", tmp_path / name, "--format", "ndjson").stdout
