"""Galleries are filled with everything that can be used, and tell by name what could not."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import soundfile
from PIL import Image

from edgeapp.pack.format import Pack
from edgeapp.recognition.gallery_build import build_gallery
from edgeapp.recognition.material import Material, manifest, photo_folder
from edgeapp.recognition.recogniser import Recogniser
from gallery.prompts import PROMPT_FORMS
from gallery.store import Gallery
from tests.edgeapp import toy_pack as toy

TABLE = """scientific_name,common_name,kingdom,phylum,class,order,family,genus
Parus major,Great Tit,Animalia,Chordata,Aves,Passeriformes,Paridae,Parus
Cuculus canorus,Common Cuckoo,Animalia,Chordata,Aves,Cuculiformes,Cuculidae,Cuculus
"""

HUGE = (60_000).to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))  # of a PNG's header


def photo(path, colour, size=(600, 300)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def pack(toy_pack):
    return Pack.load(toy_pack)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "species.csv"
    path.write_text(TABLE)
    return path


def entries(path, **wanted):
    with Gallery.open(path) as gallery:
        return gallery.entries(**wanted)


def test_every_taxon_has_its_five_prompts(pack, tmp_path):
    report = build_gallery(tmp_path / "g.sqlite", pack, toy.taxa())
    assert (report.taxa, report.entries) == (4, {"text": 20, "image": 0, "audio": 0})
    found = entries(tmp_path / "g.sqlite", scientific_name="Parus major")
    assert [entry.label.partition(": ")[0] for entry in found] == list(PROMPT_FORMS)
    assert all(entry.modality == "text" for entry in found)
    with Gallery.open(tmp_path / "g.sqlite") as gallery:
        assert gallery.identity.space == pack.space


def test_a_photo_keeps_its_provenance_and_thumbnail_unless_told_not_to(pack, tmp_path):
    file = photo(tmp_path / "tit.png", (255, 0, 0))
    material = [Material(file, "Great Tit", "image", "A. Author", "CC BY 4.0", "https://example.org/1")]
    for thumbnails in (False, True):
        build_gallery(tmp_path / "g.sqlite", pack, toy.taxa(), material, thumbnails=thumbnails)
        (entry,) = entries(tmp_path / "g.sqlite", modality="image")
        assert (entry.scientific_name, entry.label) == ("Parus major", "tit.png")
        assert (entry.author, entry.licence, entry.source) == ("A. Author", "CC BY 4.0", "https://example.org/1")
        assert entry.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert entry.vector[0] == pytest.approx(1.0, abs=1e-3)
        assert (entry.thumbnail is not None) == thumbnails
    assert (entry.thumbnail.width, entry.thumbnail.height) == (480, 240)
    for jpeg, size in ((entry.thumbnail.small, (160, 80)), (entry.thumbnail.large, (480, 240))):
        with Image.open(io.BytesIO(jpeg)) as kept:
            assert (kept.format, kept.size) == ("JPEG", size)


def test_photos_that_may_not_be_shown_are_compared_and_told_in_one_line(run, toy_pack, tmp_path, table):
    licences = ("CC BY-NC 4.0", "", "all rights reserved", "all rights reserved", "© J. Doe")
    lines = ["path,scientific_name,licence"]
    for number, licence in enumerate(licences):
        lines.append(f"{photo(tmp_path / f'{number}.png', (200 + number, 0, 0)).name},Parus major,{licence}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "g.sqlite"
    arguments = ("--pack", toy_pack, "--taxa", table, "--manifest", tmp_path / "manifest.csv")
    result = run("gallery", "build", out, *arguments)
    assert result.exit_code == 0, result.stderr
    told, _ = result.stderr.splitlines()
    assert told == (
        "3 photos are not kept to be shown, as the licence is not known to allow it: "
        "2 of 'all rights reserved', 1 of '© J. Doe'"
    )
    photos = entries(out, modality="image")
    assert [one.thumbnail is not None for one in photos] == [True, True, False, False, False]
    assert all(one.vector is not None for one in photos)
    result = run("gallery", "build", out, *arguments, "--no-thumbnails")
    assert "not kept" not in result.stderr
    assert not any(one.thumbnail for one in entries(out, modality="image"))


def test_photos_for_a_pack_that_compares_none_are_kept_to_be_shown(pack, tmp_path):
    blind = replace(pack, image=None)
    files = [photo(tmp_path / name, (200 + number, 0, 0)) for number, name in enumerate(("mine.png", "theirs.png"))]
    material = [Material(files[0], "Parus major", "image"), Material(files[1], "Parus major", "image", licence="mine")]
    report = build_gallery(tmp_path / "g.sqlite", blind, toy.taxa(), material)
    assert [one.reason for one in report.left_out] == ["neither compared by this pack nor kept to be shown"]
    assert report.notes[-1] == "1 photo is kept to be shown and not compared: toy compares no photos"
    (kept,) = entries(tmp_path / "g.sqlite", modality="image")
    assert (kept.label, kept.vector) == ("mine.png", None) and kept.thumbnail is not None
    assert Recogniser(blind, tmp_path / "g.sqlite", threads=1).vocabulary.modalities == ("text",)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('P. Coin (<a href="//example.org/x" title="x">Patrick Coin</a>)', "P. Coin (Patrick Coin)"),
        ("Mike &amp; Chris<br/>\n<B>Ltd</B>", "Mike & Chris Ltd"),
        ("A. Author <a@example.org>, 3 < 4 > 2", "A. Author <a@example.org>, 3 < 4 > 2"),
    ],
)
def test_credits_of_a_manifest_are_kept_without_markup(tmp_path, given, kept):
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "scientific_name", "author"], ["a.jpg", "Parus major", given]])
    (material,) = manifest(tmp_path / "manifest.csv")
    assert material.author == kept


def test_a_photo_of_any_shape_and_mode_has_thumbnails(pack, tmp_path):
    material = []
    for name, mode, size in (
        ("wide", "RGB", (3000, 1)),
        ("small", "P", (20, 10)),
        ("clear", "RGBA", (500, 700)),
        ("print", "CMYK", (9, 9)),
    ):
        path = tmp_path / f"{name}.tif"
        Image.new(mode, size, 200).save(path)
        material.append(Material(path, "Parus major", "image"))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (600, 300), (255, 0, 0)).save(tmp_path / "turned.jpg", exif=exif)
    material.append(Material(tmp_path / "turned.jpg", "Parus major", "image"))
    blind = replace(pack, image=None)
    assert build_gallery(tmp_path / "g.sqlite", blind, toy.taxa(), material).failed == []
    kept = entries(tmp_path / "g.sqlite", modality="image")
    sizes = {one.label: (one.thumbnail.width, one.thumbnail.height) for one in kept}
    assert sizes == {
        "wide.tif": (480, 1),
        "small.tif": (20, 10),
        "clear.tif": (343, 480),
        "print.tif": (9, 9),
        "turned.jpg": (240, 480),
    }


def test_a_photo_can_be_added_for_a_pack_that_was_not_fitted_for_photos(run, toy_copy, tmp_path, table):
    document = json.loads((toy_copy / "pack.json").read_text())
    for key in ("scale", "bias", "weight"):
        del document["decision"][key]["image"]
    (toy_copy / "pack.json").write_text(json.dumps(document))
    out, tit = tmp_path / "g.sqlite", photo(tmp_path / "tit.png", (255, 0, 0))
    assert run("gallery", "build", out, "--pack", toy_copy, "--taxa", table).exit_code == 0
    result = run("gallery", "add", out, "Great Tit", "--pack", toy_copy, "--photo", tit)
    assert result.exit_code == 0 and "1 photo is kept to be shown and not compared" in result.stderr
    shown = run("gallery", "photos", "show", "Great Tit", "--gallery", out)
    assert shown.stdout == "photo: tit.png, author unknown, licence not given\n"
    assert run("gallery", "info", out, "--json").stdout.count('"photos_without_vectors": 1') == 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda whole: whole[: len(whole) // 2], "is damaged .*; get it again"),
        (lambda whole: b"<html>", "is not a readable photo"),
        (lambda whole: b"", "is not a readable photo"),
        # A header of 60,000 x 60,000 pixels, with its checksum.
        (
            lambda whole: whole[:16] + HUGE + crc32(b"IHDR" + HUGE).to_bytes(4, "big") + whole[33:],
            "more than 178 megapixels",
        ),
    ],
)
def test_a_photo_that_cannot_be_used_is_rejected_by_name(pack, tmp_path, damage, words):
    file = photo(tmp_path / "tit.png", (255, 0, 0))
    file.write_bytes(damage(file.read_bytes()))
    report = build_gallery(tmp_path / "g.sqlite", pack, toy.taxa(), [Material(file, "Parus major", "image")])
    (failed,) = report.failed
    assert re.search(words, failed.reason) and "tit.png" in failed.label


def test_a_recording_is_the_direction_its_heard_windows_share(pack, tmp_path, record):
    path = record("cuckoo.wav", np.concatenate([toy.tone(3000, seconds=20), np.zeros(160_000, np.float32)]))
    silent = record("silent.wav", np.zeros(80_000, np.float32))
    material = [Material(tmp_path / name, "Cuculus canorus", "audio") for name in (path, silent)]
    report = build_gallery(tmp_path / "g.sqlite", pack, toy.taxa(), material, modalities=["audio"])
    (entry,) = entries(tmp_path / "g.sqlite")
    assert entry.modality == "audio" and entry.vector[1] == pytest.approx(1.0, abs=1e-3)
    assert [(one.label, one.reason) for one in report.failed] == [
        (silent, "contains no sound; give one with the species")
    ]


def test_what_cannot_be_heard_does_not_end_the_others(pack, tmp_path, record):
    sound = toy.tone(3000, seconds=20)
    flipped = record(
        "flipped.wav", np.where(np.arange(len(sound)) == 80_000, np.float32(-1.4e37), sound), subtype="FLOAT"
    )
    (tmp_path / "companion.wav").write_bytes(b"\x00\x05\x16\x07" + bytes(4000))
    good = record("good.wav", sound)
    material = [Material(tmp_path / name, "Cuculus canorus", "audio") for name in (flipped, "companion.wav", good)]
    report = build_gallery(tmp_path / "g.sqlite", pack, toy.taxa(), material, modalities=["audio"])
    assert report.entries["audio"] == 1
    (failed,) = report.failed
    assert failed.label == flipped and "the sample at 10.000 s is -1.4e+37" in failed.reason
    assert ["companion file of macOS" in one.reason for one in report.left_out] == [True]


def test_a_folder_of_folders_is_read_by_species_name(pack, tmp_path):
    photo(tmp_path / "photos" / "Parus_major" / "1.png", (255, 0, 0))
    photo(tmp_path / "photos" / "common cuckoo" / "more" / "2.png", (0, 255, 0))
    photo(tmp_path / "photos" / "Phoenix_phoenix" / "3.png", (0, 255, 0))
    (tmp_path / "photos" / "Parus_major" / "notes.txt").write_text("no photo")
    exif = Image.Exif()
    exif[0x013B], exif[0x8298] = "A. Artist", "CC0"
    Image.new("RGB", (20, 20), (0, 0, 255)).save(tmp_path / "photos" / "Parus_major" / "4.png", exif=exif)
    report = build_gallery(
        tmp_path / "g.sqlite", pack, toy.taxa(), photo_folder(tmp_path / "photos", toy.taxa()), modalities=["image"]
    )
    found = {entry.label: entry for entry in entries(tmp_path / "g.sqlite")}
    assert {label: entry.scientific_name for label, entry in found.items()} == {
        "1.png": "Parus major",
        "2.png": "Cuculus canorus",
        "4.png": "Parus major",
    }
    assert (found["4.png"].author, found["4.png"].licence) == ("A. Artist", "CC0")
    (failed,) = report.failed
    assert failed.label.endswith("Phoenix_phoenix")


def test_what_is_no_photo_in_a_folder_is_named(pack, tmp_path):
    folder = tmp_path / "photos" / "Parus_major"
    photo(folder / "1.png", (255, 0, 0))
    (folder / "1.png").rename(folder / "1.heic")
    photo(folder / "2.png", (255, 0, 0))
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.jpg").mkdir()
    (folder / "._2.png").write_bytes(b"of macOS")
    (tmp_path / "photos" / "@eaDir").mkdir()
    (folder / "gone.jpg").symlink_to("nowhere")
    report = build_gallery(
        tmp_path / "g.sqlite", pack, toy.taxa(), photo_folder(tmp_path / "photos", toy.taxa()), modalities=["image"]
    )
    assert [entry.label for entry in entries(tmp_path / "g.sqlite")] == ["2.png"]
    assert {Path(one.label).name: one.reason.partition(";")[0] for one in report.failed} == {
        "1.heic": "photos with .heic cannot be read",
        "folder.jpg": "is a folder",
        "gone.jpg": "is a link to a file that is not there",
        "pipe.png": "is a named pipe",
    }


ROWS = [
    ("good.png", "Parus major", "", "", "", None),
    ("missing.png", "Parus major", "", "", "", "the file is missing"),
    ("text.png", "Parus major", "", "", "", "is not a readable photo"),
    ("half.png", "Parus major", "", "", "", "the photo is damaged"),
    ("good2.png", "Parus majro", "", "", "", "no taxon is called 'Parus majro'"),
    ("good2.png", "Parus major", "", "ab" * 32, "", "sha256 differs"),
    ("good2.png", "Parus major", "smell", "", "", "modality 'smell'"),
    ("good2.png", "Parus major", "", "", "subject=nest/eggs", None),
    ("cuckoo.wav", "Cuculus canorus", "audio", "", "", None),
]


def test_a_bad_row_of_a_manifest_is_named_and_the_others_are_taken(run, toy_pack, tmp_path, table):
    for name in ("good.png", "good2.png", "half.png"):
        photo(tmp_path / name, (255, len(name), 0))
    noisy = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noisy).save(tmp_path / "half.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "half.png").read_bytes()[:5000])
    (tmp_path / "text.png").write_text("no photo")
    soundfile.write(tmp_path / "cuckoo.wav", toy.tone(3000), toy.RATE_HZ)
    lines = ["path,scientific_name,modality,sha256,note,author,licence,source_repo,source_id"]
    lines += [f"{p},{s},{m},{h},{n},A. Author,CC0,someone/photos,{i}" for i, (p, s, m, h, n, _) in enumerate(ROWS)]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "g.sqlite"
    result = run(
        *("gallery", "build", out, "--pack", toy_pack, "--taxa", table),
        *("--manifest", tmp_path / "manifest.csv", "--modalities", "text,image,audio"),
    )
    assert result.exit_code == 1
    said = result.stderr.splitlines()
    reasons = [row[5] for row in ROWS if row[5]]
    assert len(said) == len(reasons) + 1
    for reason, line in zip(reasons, said, strict=False):
        assert reason in line and "manifest.csv line " in line
    assert "2 taxa added, entries added: 10 text, 1 image, 1 audio; 1 left out; 6 failed" in said[-1]
    (image,) = entries(out, modality="image")
    assert (image.label, image.author, image.source) == ("good.png", "A. Author", "someone/photos 0")
    with Gallery.open(out) as gallery:
        assert gallery.info()["rejected"] == 7


def test_a_file_that_is_given_twice_counts_once_and_is_said(run, toy_pack, tmp_path, table, record):
    photo(tmp_path / "photos" / "Parus_major" / "a.png", (255, 0, 0))
    photo(tmp_path / "photos" / "Parus_major" / "b.png", (255, 0, 0))  # the same bytes
    photo(tmp_path / "photos" / "Cuculus_canorus" / "c.png", (255, 0, 0))
    heard = record("tit.wav", toy.tone(1000))
    lines = [
        "path,scientific_name,modality",
        *[f"{heard},Parus major,audio"] * 2,
        "photos/Parus_major/a.png,Great Tit,",
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "g.sqlite"
    result = run(
        *("gallery", "build", out, "--pack", toy_pack, "--taxa", table, "--photos", tmp_path / "photos"),
        *("--manifest", tmp_path / "manifest.csv", "--modalities", "text,image,audio"),
    )
    assert result.exit_code == 0, result.stderr
    *said, total = result.stderr.splitlines()
    assert "entries added: 10 text, 2 image, 1 audio; 3 left out" in total and "failed" not in total
    folder = tmp_path / "photos"
    assert said == [
        f"{folder / 'Parus_major' / 'a.png'}: given for Parus major, "
        f"the same file as {folder / 'Cuculus_canorus' / 'c.png'} of Cuculus canorus",
        f"{folder / 'Parus_major' / 'b.png'}: the same file as {folder / 'Parus_major' / 'a.png'} of Parus major, "
        "so counted once",
        f"{heard} (manifest.csv line 3): the same file as {heard} (manifest.csv line 2) of Parus major, "
        "so counted once",
        f"{folder / 'Parus_major' / 'a.png'} (manifest.csv line 4): the same file as "
        f"{folder / 'Parus_major' / 'a.png'} of Parus major, so counted once",
    ]
    assert sorted(entry.label for entry in entries(out, modality="image")) == ["a.png", "c.png"]
    again = run("gallery", "add", out, "Great Tit", "--pack", toy_pack, "--photo", folder / "Parus_major" / "b.png")
    assert again.exit_code == 0, again.stderr
    assert "b.png: the same file as a.png of Parus major, so counted once" in again.stderr
    with Gallery.open(out) as gallery:
        assert len(gallery.rejections()) == 4


def test_a_note_of_young_is_about_photos_not_recordings(pack, tmp_path, record):
    heard, seen = record("tit.wav", toy.tone(1000)), photo(tmp_path / "tit.png", (255, 0, 0))
    material = [
        Material(tmp_path / path, "Parus major", modality, note="hatchling or nestling")
        for path, modality in ((heard, "audio"), (seen, "image"))
    ]
    report = build_gallery(tmp_path / "g.sqlite", pack, toy.taxa(), material, modalities=["image", "audio"])
    assert report.entries == {"text": 0, "image": 0, "audio": 1}
    assert [one.reason for one in report.left_out] == ["immature: hatchling or nestling"]


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), ("path,name\n", "has no column scientific_name")]
)
def test_a_manifest_that_is_none_is_one_line(run, toy_pack, tmp_path, table, content, words):
    if content:
        (tmp_path / "m.csv").write_text(content)
    manifest_option = ("--manifest", tmp_path / "m.csv")
    result = run("gallery", "build", tmp_path / "g.sqlite", "--pack", toy_pack, "--taxa", table, *manifest_option)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert str(tmp_path / "m.csv") in line and words in line
    assert not (tmp_path / "g.sqlite").exists()


def test_a_species_is_taught_used_and_forgotten(run, toy_pack, tmp_path, table, record):
    path = tmp_path / "g.sqlite"
    assert run("gallery", "build", path, "--pack", toy_pack, "--taxa", table).exit_code == 0
    toad = record("toad.wav", toy.tone(500))

    def detected():
        document = json.loads(run("identify", toad, "-f", "json", "--gallery", path).stdout)
        return [one["taxon"]["scientific_name"] for one in document["detections"]]

    assert detected() == []

    added = run(
        *("gallery", "add", path, "Bufo bufo", "--new", "--common-name", "Common Toad", "--pack", toy_pack),
        *("--taxa", table, "--recording", toad, "--author", "Me", "--licence", "CC0"),
    )
    assert added.exit_code == 0
    assert "1 taxa added, entries added: 5 text, 0 image, 1 audio" in added.stderr
    assert detected() == ["Bufo bufo"]
    (entry,) = entries(path, modality="audio")
    assert (entry.author, entry.licence, entry.label) == ("Me", "CC0", "toad.wav")
    assert "5 text, 1 audio" in run("gallery", "list", path).stdout

    assert run("gallery", "remove", path, "Bufo bufo").exit_code == 0
    assert detected() == []
    assert run("gallery", "remove", path, "Bufo bufo").exit_code == 2


def test_a_new_species_stands_beside_its_relatives(run, toy_pack, tmp_path, table):
    path = tmp_path / "g.sqlite"
    run("gallery", "build", path, "--pack", toy_pack, "--taxa", table)
    typo = run("gallery", "add", path, "Parus majro", "--pack", toy_pack, "--taxa", table)
    assert typo.exit_code == 2 and "Parus major" in typo.stderr and "--new" in typo.stderr
    assert run("gallery", "add", path, "Parus minor", "--new", "--pack", toy_pack, "--taxa", table).exit_code == 0
    with Gallery.open(path) as gallery:
        added = gallery.taxa()[-1]
    assert (added.scientific_name, added.class_, added.family) == ("Parus minor", "Aves", "Paridae")


@pytest.mark.parametrize("name", ["Great Foo", "a b", "Foo", "foo barus", "1 2", ""])
def test_a_new_species_needs_a_scientific_name(run, toy_pack, tmp_path, table, name):
    path = tmp_path / "g.sqlite"
    run("gallery", "build", path, "--pack", toy_pack, "--taxa", table)
    refused = run("gallery", "add", path, name, "--new", "--pack", toy_pack, "--taxa", table)
    assert refused.exit_code == 2 and "is not a scientific name; give genus and epithet" in refused.stderr


def test_a_species_that_is_there_is_not_new_again(run, toy_pack, tmp_path, table):
    path = tmp_path / "g.sqlite"
    run("gallery", "build", path, "--pack", toy_pack, "--taxa", table)
    again = run("gallery", "add", path, "Parus  major", "--new", "--pack", toy_pack, "--taxa", table)
    assert again.exit_code == 0 and "0 taxa added, entries added: 0 text" in again.stderr


def test_an_unknown_name_has_both_remedies_in_one_sentence(run, toy_pack, tmp_path, table):
    path = tmp_path / "g.sqlite"
    run("gallery", "build", path, "--pack", toy_pack, "--taxa", table)
    unknown = run("gallery", "add", path, "Zzzz", "--pack", toy_pack, "--taxa", table)
    assert "; check the spelling; a species in no table needs --new\n" in unknown.stderr


def test_a_photo_that_is_missing_is_named_but_the_name_is_learnt(run, toy_pack, tmp_path, table):
    path = tmp_path / "g.sqlite"
    run("gallery", "build", path, "--pack", toy_pack, "--taxa", table)
    result = run(
        *("gallery", "add", path, "Great Tit", "--pack", toy_pack, "--photo", tmp_path / "none.jpg"),
        *("--photo", photo(tmp_path / "tit.png", (255, 0, 0))),
    )
    assert result.exit_code == 1
    assert f"{tmp_path / 'none.jpg'}: the file is missing" in result.stderr.splitlines()[0]
    assert len(entries(path, modality="image")) == 1


def test_the_gallery_of_a_pack_is_not_changed_in_place(run, toy_copy):
    for words in (["add", "Great Tit"], ["remove", "Parus major"], ["build"]):
        result = run("gallery", words[0], toy_copy / "gallery.sqlite", *words[1:])
        assert result.exit_code == 3
        assert "belongs to the pack" in result.stderr
    Pack.load(toy_copy)


def test_info_and_verify_tell_what_is_there(run, toy_pack, toy_copy, tmp_path):
    assert "toy 1.0" in run("pack", "info", toy_pack).stdout
    assert '"space": "toy"' in run("pack", "info", toy_pack, "--json").stdout
    assert "5 files as they were made" in run("pack", "verify", toy_pack).stdout
    assert '"taxa": 4' in run("gallery", "info", "--pack", toy_pack, "--json").stdout
    assert "Great Tit" in run("gallery", "list", "--pack", toy_pack).stdout
    (toy_copy / "text.onnx").write_bytes(b"other")
    assert run("pack", "verify", toy_copy).exit_code == 3
    missing = run("gallery", "info", tmp_path / "none.sqlite")
    assert missing.exit_code == 3 and str(tmp_path / "none.sqlite") in missing.stderr


def test_modalities_the_pack_was_not_fitted_for_are_refused(run, toy_copy, tmp_path):
    document = json.loads((toy_copy / "pack.json").read_text())
    for key in ("scale", "bias", "weight"):
        del document["decision"][key]["audio"]
    (toy_copy / "pack.json").write_text(json.dumps(document))
    result = run("gallery", "build", tmp_path / "g.sqlite", "--pack", toy_copy, "--modalities", "text,audio")
    assert result.exit_code == 2 and "cannot decide by audio" in result.stderr


def test_a_gallery_that_was_built_is_matched(toy_pack, tmp_path):
    pack = Pack.load(toy_pack)
    build_gallery(tmp_path / "g.sqlite", pack, toy.taxa()[:2])
    assert [t.scientific_name for t in Recogniser(pack, tmp_path / "g.sqlite", threads=1).taxa] == [
        "Parus major",
        "Cuculus canorus",
    ]


def test_built_without_a_name_it_becomes_the_gallery_of_the_pack(run, toy_copy, table):
    result = run("gallery", "build", "--pack", toy_copy, "--taxa", table)
    assert result.exit_code == 0, result.stderr
    pack = Pack.load(toy_copy)  # the sha256 of the new file is in pack.json
    with Gallery.open(pack.gallery_path(), identity=pack.identity) as gallery:
        assert [taxon.scientific_name for taxon in gallery.taxa()] == ["Parus major", "Cuculus canorus"]


def test_the_gallery_that_comes_with_the_program_is_not_made_anew(run, table):
    result = run("gallery", "build", "--taxa", table)
    assert result.exit_code == 2
    assert "--pack" in result.stderr
