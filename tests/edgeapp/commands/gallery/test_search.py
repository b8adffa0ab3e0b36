"""`biovita-edge gallery search`: by a name, and by what a photo, a recording or a text is like."""

import json

import pytest
from PIL import Image

from tests.edgeapp import toy_pack as toy


@pytest.fixture
def search(run, photo_gallery, toy_pack):
    def call(query, *words):
        return run("gallery", "search", query, photo_gallery, "--pack", toy_pack, *words)

    return call


def names(done):
    assert done.exit_code == 0, done.stderr
    return [json.loads(line)["scientific_name"] for line in done.stdout.splitlines()]


def test_a_photo_finds_the_entries_that_are_most_like_it(search, tmp_path):
    photo = tmp_path / "unknown.png"
    Image.new("RGB", (20, 20), (10, 250, 10)).save(photo)
    assert names(search(photo, "--json", "-n", 3))[0] == "Cuculus canorus"
    found = [json.loads(line) for line in search(photo, "--json", "--modalities", "image").stdout.splitlines()]
    assert {one["modality"] for one in found} == {"image"} and found[0]["scientific_name"] == "Cuculus canorus"


@pytest.mark.parametrize("exact", [(), ("--exact",)])
def test_a_recording_finds_its_species(search, record, exact):
    assert names(search(record("unknown.wav", toy.tone(500)), "--json", "-n", 2, *exact))[0] == "Bufo bufo"


def test_a_text_finds_what_it_describes_and_a_name_its_taxon(search):
    assert names(search("a Toad that sings", "--json", "-n", 1)) == ["Bufo bufo"]
    assert names(search("Common Toad", "--json")) == ["Bufo bufo"]
    assert len(names(search("Common Toad", "--json", "--similar", "-n", 4))) == 4


def test_similarity_and_credits_are_shown(search):
    done = search("Great Tit", "--similar", "--modalities", "image", "-n", 2)
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all("image" in line for line in lines)
    assert any("N. Ear, CC0, https://example.org/1" in line for line in lines), done.stdout


def test_a_misspelt_name_is_told_and_so_is_a_missing_file(search, tmp_path):
    misspelt = search("Comon Toad")
    assert misspelt.exit_code == 2 and "did you mean Common Toad" in misspelt.stderr
    assert "? Other texts need --similar" in misspelt.stderr
    unlike = search("Xyzzyx")
    assert unlike.exit_code == 2 and "check the spelling; other texts need --similar" in unlike.stderr
    missing = search(tmp_path / "none.wav")
    assert missing.exit_code == 2 and "none.wav: does not exist; check the path" in missing.stderr
    unknown = search("Great Tit", "--similar", "--modalities", "smell")
    assert unknown.exit_code == 2 and "unknown modality 'smell'; use text, image, audio" in unknown.stderr


def test_a_file_that_is_neither_photo_nor_recording_is_told(search, tmp_path):
    for name in ("not.jpg", "not.wav"):
        (tmp_path / name).write_text("nothing")
        done = search(tmp_path / name)
        assert done.exit_code != 0 and name in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_text_longer_than_a_path_can_be_is_a_text(search):
    done = search("Great Tit " * 700, "-n", 1)
    assert done.exit_code == 0, done.stderr
    assert "no taxon is called 'xxx" in search("x" * 5000).stderr
