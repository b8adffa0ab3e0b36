"""`identify --pictures`: what stands beside a detection, in documents and on a terminal."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from edgeapp.archive.files import identify
from edgeapp.archive.inputs import Found
from edgeapp.outputs.pictures import GAP_PIXELS, HEIGHT_PIXELS, in_a_row
from edgeapp.outputs.table import TableWriter
from edgeapp.outputs.writer import Run
from edgeapp.pack.format import Pack
from edgeapp.recognition.recogniser import Recogniser
from gallery import Gallery
from tests.edgeapp import toy_pack as toy


@pytest.fixture
def tit(record):
    return record("tit.wav", toy.tone(1000, seconds=12))


def test_json_has_the_pictures_of_a_detection_nearest_first(run, tit, photo_gallery):
    arguments = ("identify", tit, "--gallery", photo_gallery, "-f", "json")
    (detection,) = json.loads(run(*arguments, "--pictures").stdout)["detections"]
    near, far, song = detection["pictures"]
    assert [(one["label"], one["modality"]) for one in (near, far, song)] == [
        ("near.jpg", "image"),
        ("far.jpg", "image"),
        ("song.wav", "audio"),
    ]
    assert near["similarity"] > far["similarity"] and song["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert {**near, "id": 0, "similarity": 0} == {
        "id": 0,
        "modality": "image",
        "scientific_name": "Parus major",
        "relative": None,
        "label": "near.jpg",
        "author": "N. Ear",
        "licence": "CC0",
        "source": "https://example.org/1",
        "similarity": 0,
        "thumbnail": True,
        "width": 480,
        "height": 320,
    }
    assert (song["thumbnail"], song["width"], song["source"]) == (False, None, None)
    (without,) = json.loads(run(*arguments).stdout)["detections"]
    assert without["pictures"] == []


def test_ndjson_has_the_relatives_of_a_species_without_photos(run, record, photo_gallery):
    minor = record("minor.wav", toy.tone(2000))
    lines = run("identify", minor, "--gallery", photo_gallery, "-f", "ndjson", "--pictures").stdout.splitlines()
    (detection,) = [event for event in map(json.loads, lines) if event["event"] == "detection"]
    assert detection["taxon"]["scientific_name"] == "Parus minor"
    assert {(one["scientific_name"], one["relative"]) for one in detection["pictures"]} == {("Parus major", "genus")}


def test_a_table_has_the_credits_of_each_species_below(run, tit, record, photo_gallery):
    toad = record("toad.wav", toy.tone(500))
    out = run("identify", tit, toad, "--gallery", photo_gallery, "--pictures").stdout
    assert "\x1b" not in out
    first, _, second = out.partition("toad.wav")
    assert first.splitlines()[-6:-2] == [
        "Great Tit (Parus major)",
        "photo: near.jpg, by N. Ear, CC0, https://example.org/1",
        "photo: far.jpg, by Far �[31m<b>Away</b>, CC BY 4.0, https://example.org/1",
        "recording: song.wav, by R. Ecordist, CC BY-NC 4.0",
    ]
    assert second.splitlines()[-2:] == ["Common Toad (Bufo bufo)", "no pictures in the gallery"]


def test_a_group_has_the_pictures_of_its_members(run, record, photo_gallery, toy_copy):
    document = json.loads((toy_copy / "pack.json").read_text())
    document["decision"]["threshold"] = 0.99999
    (toy_copy / "pack.json").write_text(json.dumps(document))
    both = record("both.wav", toy.tone(1000, 2000))
    result = run("identify", both, "--pack", toy_copy, "--gallery", photo_gallery, "--pictures", "-f", "json")
    (detection,) = json.loads(result.stdout)["detections"]
    assert detection["taxon"] == {"rank": "genus", "scientific_name": "Parus", "common_name": None}
    assert [(one["label"], one["relative"]) for one in detection["pictures"]] == [
        ("near.jpg", "genus"),
        ("far.jpg", "genus"),
    ]


@pytest.mark.parametrize("name", ["csv", "raven", "audacity", "kaleidoscope"])
def test_formats_without_a_place_for_pictures_refuse_them(run, tit, name):
    result = run("identify", tit, "--pictures", "-f", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"--pictures: {name} has no place for them; use --format table, json, ndjson" in result.stderr


def test_a_table_on_a_terminal_names_what_shows_photos(tit, photo_gallery, toy_pack, monkeypatch, capsys):
    monkeypatch.setattr("edgeapp.outputs.pictures.has_library", lambda: False)
    screen = io.StringIO()
    screen.isatty = lambda: True
    made = Recogniser(Pack.load(toy_pack), photo_gallery, threads=1)
    with Gallery.open(photo_gallery) as opened:
        writer = TableWriter(screen, Run(made.origin, 10.0, 5.0, gallery=opened))
        identify([Found(tit), Found(tit)], made, writer, 5.0, 1, print, print)
    assert screen.getvalue().count("N. Ear") == 2
    assert capsys.readouterr().err.count("pip install 'biovita-edge[pictures]'") == 1


def test_photos_of_any_shape_stand_in_one_row():
    shapes = ((480, 320), (160, 480), (480, 1), (1, 480))
    row = in_a_row([Image.new("RGB", shape) for shape in shapes])
    assert row.size == (360 + 80 + 480 + 1 + 3 * GAP_PIXELS, HEIGHT_PIXELS)
