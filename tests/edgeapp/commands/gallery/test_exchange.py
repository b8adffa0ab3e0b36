"""`biovita-edge gallery merge`, `export` and `import`."""

import shutil

import pytest
import soundfile

from gallery import EncoderIdentity, Entry, Gallery, build
from tests.edgeapp import toy_pack as toy


@pytest.fixture
def plain(toy_pack, tmp_path):
    """A copy of the toy pack's own gallery."""
    path = tmp_path / "plain.sqlite"
    shutil.copy(toy_pack / "gallery.sqlite", path)
    return path


@pytest.fixture
def other_space(tmp_path):
    path = tmp_path / "elsewhere.sqlite"
    with build(path, EncoderIdentity("elsewhere", 4, "e 1")) as gallery:
        gallery.add_taxa(toy.taxa())
    return path


def counts(path):
    with Gallery.open(path) as gallery:
        return gallery.info()["entries"]


def test_galleries_are_merged_and_the_same_file_is_one_entry(run, plain, photo_gallery):
    before = counts(plain)
    done = run("gallery", "merge", plain, photo_gallery)
    assert done.exit_code == 0, done.stderr
    assert counts(plain) == {**before, "image": before["image"] + 3, "audio": before["audio"] + 1}
    assert "0 taxa added, entries added: 0 text, 3 image, 1 audio" in done.stderr
    again = run("gallery", "merge", plain, photo_gallery)
    assert again.exit_code == 0 and "entries added: 0 text, 0 image, 0 audio" in again.stderr


def test_a_gallery_that_is_not_there_is_made_of_the_others(run, plain, photo_gallery, tmp_path):
    new = tmp_path / "new.sqlite"
    done = run("gallery", "merge", new, plain, photo_gallery)
    assert done.exit_code == 0, done.stderr
    assert counts(new)["image"] == counts(plain)["image"] + 3
    assert run("gallery", "check", new).exit_code == 0


def test_an_export_is_imported_by_another_station(run, photo_gallery, tmp_path):
    folder, there = tmp_path / "exported", tmp_path / "there.sqlite"
    done = run("gallery", "export", folder, photo_gallery)
    assert done.exit_code == 0 and "24 entries, 2 photos" in done.stderr, done.stderr
    done = run("gallery", "import", there, folder)
    assert done.exit_code == 0, done.stderr
    assert counts(there) == counts(photo_gallery)
    with Gallery.open(there) as one, Gallery.open(photo_gallery) as other:
        assert [photo.thumbnail for photo in one.entries("image")] == [
            photo.thumbnail for photo in other.entries("image")
        ]


def test_only_licences_that_are_asked_for_are_exported(run, photo_gallery, tmp_path):
    done = run("gallery", "export", tmp_path / "free", photo_gallery, "--licence", "CC0")
    assert done.exit_code == 0, done.stderr
    assert "1 photos" in done.stderr and "of other licences left out" in done.stderr
    assert run("gallery", "export", tmp_path / "x", photo_gallery, "--licence", "CCO").exit_code == 2


def test_sounds_that_were_kept_are_exported(run, tmp_path):
    clips, learned = tmp_path / "clips", tmp_path / "learned.sqlite"
    (clips / "2026" / "05").mkdir(parents=True)
    soundfile.write(clips / "2026" / "05" / "one.wav", toy.tone(1000, seconds=1.0), toy.RATE_HZ)
    with build(learned, EncoderIdentity("toy", 4, "toy 1")) as gallery:
        gallery.add_taxa(toy.taxa())
        source = "id 3, recorded 2026-05-01T04:00:00Z, clip 2026/05/one.wav, reviewed 2026-05-02T00:00:00Z"
        gallery.add_entries([Entry("Parus major", "audio", [1.0, 0, 0, 0], "detection 3", source=source)])
    done = run("gallery", "export", tmp_path / "out", learned, "--sounds", clips)
    assert done.exit_code == 0 and "1 sounds" in done.stderr, done.stderr
    [sound] = (tmp_path / "out" / "sounds").iterdir()
    assert sound.read_bytes() == (clips / "2026" / "05" / "one.wav").read_bytes()


@pytest.mark.parametrize("command", ["merge", "import"])
def test_vectors_of_other_encoders_are_refused(run, plain, other_space, tmp_path, command):
    source = other_space
    if command == "import":
        source = tmp_path / "folder"
        assert run("gallery", "export", source, other_space).exit_code == 0
    before = plain.read_bytes()
    done = run("gallery", command, plain, source)
    assert done.exit_code == 3 and "was made by other encoders" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and plain.read_bytes() == before


@pytest.mark.parametrize("command", ["merge", "import"])
def test_one_of_other_encoders_among_several_changes_nothing(run, photo_gallery, other_space, tmp_path, command):
    new, sources = tmp_path / "new.sqlite", [photo_gallery, other_space]
    if command == "import":
        sources = [tmp_path / f"folder {number}" for number in range(2)]
        for folder, gallery in zip(sources, (photo_gallery, other_space)):
            assert run("gallery", "export", folder, gallery).exit_code == 0
    done = run("gallery", command, new, *sources)
    assert done.exit_code == 3 and f"{sources[1]} was made by other encoders" in done.stderr
    assert not new.exists()


def test_the_gallery_of_a_pack_stays_as_it_is(run, toy_pack, photo_gallery):
    done = run("gallery", "merge", toy_pack / "gallery.sqlite", photo_gallery)
    assert done.exit_code == 3 and "must stay as it is" in done.stderr


def test_a_gallery_is_not_merged_with_itself_or_with_nothing(run, plain, tmp_path):
    assert "is the gallery itself" in run("gallery", "merge", plain, plain).stderr
    done = run("gallery", "merge", tmp_path / "new.sqlite", tmp_path / "none.sqlite")
    assert done.exit_code == 3 and "no gallery at" in done.stderr
    assert "is no exported gallery" in run("gallery", "import", plain, tmp_path).stderr
