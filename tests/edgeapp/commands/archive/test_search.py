"""`archive search`: over embeddings, what hearing again would give."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeapp.archive.results.dataset import EMBEDDINGS, DataSet
from edgeapp.pack.format import Pack
from edgeapp.recognition.gallery_build import build_gallery
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.archive.heard import heard

# An embedding rounded to float16 is off by 2**-11 of its length at most, so a cosine by about as much, and a logit of
# the toy by 30 times that. A confidence changes by a quarter of its logit at most, and documents have four decimals.
TOLERANCE = 30 * 2**-11 / 4 + 1e-4


def of_detections(ndjson: str) -> list[dict]:
    return [line for line in map(json.loads, ndjson.splitlines()) if line["event"] == "detection"]


def assert_same(found: list[dict], wanted: list[dict]) -> None:
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        assert one["confidence"] == pytest.approx(other["confidence"], abs=TOLERANCE)
        for mine, its in zip(one["candidates"], other["candidates"], strict=True):
            assert mine["scientific_name"] == its["scientific_name"]
            assert mine["similarity"] == pytest.approx(its["similarity"], abs=2**-10 + 1e-4)
        inexact = ("confidence", "candidates")
        assert {k: v for k, v in one.items() if k not in inexact} == {
            k: v for k, v in other.items() if k not in inexact
        }


@pytest.fixture
def search(run, two_sites, toy_pack, monkeypatch):
    monkeypatch.setenv("BIOVITA_PACKS", str(toy_pack.parent))

    def call(*words: object):
        return run("archive", "search", two_sites, *words)

    return call


@pytest.fixture(scope="module")
def without_toad(toy_pack, tmp_path_factory) -> Path:
    """A gallery that has all but the toad."""
    path = tmp_path_factory.mktemp("gallery") / "few.sqlite"
    few = [taxon for taxon in toy.taxa() if taxon.scientific_name != "Bufo bufo"]
    build_gallery(path, Pack.load(toy_pack), few)
    return path


def test_a_species_added_later_is_found_without_hearing(run, recordings, toy_pack, without_toad, tmp_path, monkeypatch):
    monkeypatch.setenv("BIOVITA_PACKS", str(toy_pack.parent))
    heard(tmp_path / "results", recordings, toy_pack, ("files", "detections", "embeddings"), gallery=without_toad)
    words = (tmp_path / "results", "Bufo bufo", "--gallery")
    assert "Bufo" not in run("archive", "export", tmp_path / "results").stdout
    missing = run("archive", "search", *words, without_toad)
    assert "no taxon is called 'Bufo bufo'" in missing.stderr
    found = run("archive", "search", *words, toy_pack / "gallery.sqlite", "--format", "ndjson")
    said = run("identify", *recordings, "--hop", 5, "--format", "ndjson")
    toads = [one for one in of_detections(said.stdout) if one["taxon"]["scientific_name"] == "Bufo bufo"]
    assert_same(of_detections(found.stdout), toads)


@pytest.mark.parametrize("name", ["Parus major", "Common Cuckoo", "Parus", "Aves", "Kohlmeise"])
def test_a_taxon_gives_what_hearing_gives(run, search, recordings, name):
    said = of_detections(run("identify", *recordings, "--hop", 5, "--format", "ndjson").stdout)
    wanted = {
        "Parus major": ("Parus major",),
        "Common Cuckoo": ("Cuculus canorus",),
        "Parus": ("Parus major", "Parus minor"),
        "Aves": ("Parus major", "Parus minor", "Cuculus canorus"),
        "Kohlmeise": ("Parus major",),
    }[name]
    found = search(name, "--format", "ndjson")
    assert_same(of_detections(found.stdout), [one for one in said if one["taxon"]["scientific_name"] in wanted])


def test_a_table_has_the_most_confident_first(search):
    table = search("Aves", "--limit", 3, "--zone", "UTC").stdout
    assert "confidence" in table and "similarity" in table and "2026-05-01 04:00:00" in table
    assert table.count(".wav") == 3 and "… 1 more" in table


def test_a_recording_finds_what_is_like_it(search, record):
    clip = record("clip.wav", toy.tone(3000, seconds=12.0))
    [first, *others] = csv.DictReader(io.StringIO(search(clip, "--format", "csv", "--limit", 4).stdout))
    assert first["file"].endswith("20260501_220000Z.wav") and float(first["similarity"]) > 0.99
    assert first["time"].startswith("2026-05-01T22:00:")
    assert all(float(one["similarity"]) <= float(first["similarity"]) for one in others)


def test_a_photo_finds_what_it_shows(search, tmp_path):
    Image.new("RGB", (40, 40), (0, 0, 255)).save(tmp_path / "blue.png")
    [first, *_] = json.loads(search(tmp_path / "blue.png", "--format", "json").stdout)
    assert first["file"].endswith("notime.wav") and first["time"] is None


def test_words_find_what_they_name(search):
    done = search("Cuckoo canorus Cuckoo", "--format", "ndjson", "--limit", 2)
    assert "searched by its words, without confidences" in done.stderr
    [first, second] = map(json.loads, done.stdout.splitlines())
    assert first["file"].endswith("220000Z.wav") and first["similarity"] > 0.99
    assert (first["start_s"], second["start_s"]) in {(0.0, 10.0), (5.0, 15.0), (10.0, 0.0)} or second["file"]


@pytest.mark.parametrize("format", ["raven", "audacity", "kaleidoscope", "table"])
def test_what_is_alike_goes_to_sound_editors(search, record, format):
    clip = record("clip.wav", toy.tone(500, 1000))
    done = search(clip, "--format", format, "--limit", 3)
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) >= 3
    assert format == "table" or "like " in done.stdout


def test_windows_that_overlap_a_nearer_one_are_left_out(search, record):
    clip = record("clip.wav", toy.tone(3000))
    found = list(csv.DictReader(io.StringIO(search(clip, "-f", "csv", "-n", 50).stdout)))
    spans = sorted((one["file"], float(one["start_s"]), float(one["end_s"])) for one in found)
    for (file, _, end_s), (other, start_s, _) in zip(spans, spans[1:], strict=False):
        assert file != other or start_s >= end_s


def test_a_search_can_be_narrowed(search, record):
    assert search("Aves", "--folder", "wood", "-f", "ndjson").stdout.count('"event": "detection"') == 1
    assert search("Aves", "--since", "2026-05-01T12:00Z", "-f", "ndjson").stdout.count('"event": "detection"') == 1
    clip = record("clip.wav", toy.tone(1000))
    late = list(csv.DictReader(io.StringIO(search(clip, "-f", "csv", "--since", "2026-05-01T12:00Z").stdout)))
    assert {Path(one["file"]).name for one in late} == {"20260501_220000Z.wav"}


def test_embeddings_are_those_of_float16(two_sites):
    table = DataSet(two_sites).table(EMBEDDINGS)
    lengths = np.linalg.norm(np.array(table["embedding"].to_pylist(), np.float32), axis=1)
    assert np.allclose(lengths, 1.0, atol=2**-10)


def test_another_space_is_refused(run, two_sites, tmp_path):
    other = toy.make(tmp_path / "other", space="other")
    done = run("archive", "search", two_sites, "Parus major", "--pack", other)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "has another space" in done.stderr


def test_an_archive_without_embeddings_says_what_to_do(run, recordings, toy_pack, tmp_path):
    heard(tmp_path / "results", recordings[:1], toy_pack, ("files", "detections"))
    done = run("archive", "search", tmp_path / "results", "Parus major", "--pack", toy_pack)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "--embeddings" in done.stderr


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("gone.wav", "does not exist"),
        ("Toad", "nothing is found"),
    ],
)
def test_what_finds_nothing_is_said(search, query, says):
    done = search(query, "--folder", "nowhere")
    assert done.exit_code == 2 and says in done.stderr


def test_silence_and_text_are_no_query(search, record, tmp_path):
    quiet = record("quiet.wav", np.zeros(80_000, np.float32))
    assert "no sound" in search(quiet).stderr
    (tmp_path / "photo.jpg").write_text("no photo")
    done = search(tmp_path / "photo.jpg")
    assert done.exit_code == 2 and "photo" in done.stderr
