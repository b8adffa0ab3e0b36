"""Links in folders: followed to files and folders, each file once, in no circle; the same for all that read folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeapp.archive.inputs import Found, recordings
from edgeapp.collect.sources.folder import Folder
from edgeapp.collect.sources.kind import Setting
from edgeapp.errors import CollectError
from edgeapp.folders import Search
from edgeapp.recognition.material import Material, photo_folder
from edgeapp.station.watch import _recordings
from gallery.entry import Rejection
from tests.edgeapp import toy_pack as toy


def grow(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.fixture
def root(tmp_path):
    """A folder of recordings or photos, with links of every kind, beside a store and a folder of others."""
    made = tmp_path / "root"
    grow(tmp_path, "store/1.wav", "store/deep/2.wav", "elsewhere/3.wav", "strange/4.wav")
    grow(made, "a/x.wav", "b/y.wav", ".hidden/key")
    link(made / "a" / "file.wav", "../../elsewhere/3.wav")
    link(made / "a" / "store", "../../store")
    link(made / "b" / "again.wav", "../a/x.wav")
    link(made / "b" / "store", "../../store")
    link(made / "b" / "hidden.wav", "../.hidden/key")
    link(made / "b" / "up", "..")
    link(made / "b" / "further_up", "../..")
    link(made / "b" / "self", ".")
    link(made / "b" / "loop", "loop")
    link(made / "b" / "gone.wav", "nowhere.wav")
    return made


EXPECTED = ["3.wav", "1.wav", "2.wav", "x.wav", "y.wav", "key"]


def found_by(paths: list[Path]) -> list[str]:
    return sorted(Path(os.path.realpath(path)).name for path in paths if path.exists())


def test_each_file_is_found_once(root):
    found = list(Search(lambda name: name.endswith(".wav")).below(root))
    assert found_by(found) == sorted(EXPECTED)
    assert [str(path.relative_to(root)) for path in found if not path.exists()] == ["b/gone.wav"]
    assert root / "a" / "file.wav" in found and root / "b" / "again.wav" not in found


@pytest.mark.parametrize("order", [("real.wav", "z.wav"), ("a.wav", "real.wav")])
def test_a_link_beside_its_file_is_no_other_file(tmp_path, order):
    grow(tmp_path, "real.wav")
    link(tmp_path / next(name for name in order if name != "real.wav"), "real.wav")
    assert len(list(Search().below(tmp_path))) == 1


def test_a_link_to_a_file_that_is_not_wanted_is_wanted_for_its_own_name(tmp_path):
    grow(tmp_path, ".x.wav")
    link(tmp_path / "x.wav", ".x.wav")
    assert list(Search().below(tmp_path)) == [tmp_path / "x.wav"]


def test_folders_that_cannot_be_read_are_told(tmp_path, monkeypatch):
    grow(tmp_path, "a/x.wav", "b/y.wav")
    scandir = os.scandir

    def refused(path):  # permissions do not stop the root user some machines test as
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    told: list[OSError] = []
    assert [path.name for path in Search(unread=told.append).below(tmp_path)] == ["y.wav"]
    assert [error.filename for error in told] == [str(tmp_path / "a")]


def test_identify_and_archive_follow_the_same_links(root):
    found = list(recordings([str(root)]))
    assert found_by([Path(one.path) for one in found if isinstance(one, Found)]) == sorted(EXPECTED)
    [refused] = [one for one in found if not isinstance(one, Found)]
    assert "gone.wav: is a link to a file that is not there" in str(refused.error)


def test_a_watched_folder_follows_the_same_links(root):
    found, special = _recordings(root)
    assert found_by(list(found)) == sorted(EXPECTED)
    assert special == {root / "b" / "gone.wav": "link that leads nowhere"}


def test_a_collected_folder_follows_the_same_links(root):
    source, media = Folder(str(root), Setting()), []
    with pytest.raises(CollectError, match=r"1 files or folders cannot be read: b/gone.wav \(is a link to a file"):
        read_into(media, source)
    assert found_by([root / one.id for one in media]) == sorted(EXPECTED)


def read_into(media: list, source: Folder) -> None:
    [query] = source.queries()
    for page in source.pages(query):
        for one in page.media:
            media.append(one)


def test_what_is_said_of_a_link_or_of_its_file_is_said_of_it(tmp_path):
    made = tmp_path / "root"
    grow(tmp_path, "store/1.wav", "store/2.wav")
    grow(made, "3.wav")
    (tmp_path / "store" / "1.wav.json").write_text('{"author": "of the file"}')
    link(made / "1.wav", "../store/1.wav")
    link(made / "2.wav", "../store/2.wav")
    link(made / "0.wav", "3.wav")
    link(made / "2.json", "nowhere")
    (made / "t.csv").write_text("file,author\n2.wav,of the link\n0.wav,by its other name\n")
    media: list = []
    with pytest.raises(CollectError, match=r": 1 files or folders cannot be read: 2.json \(is a link to a file"):
        read_into(media, Folder(str(made), Setting()))
    assert [(one.id, one.author) for one in media] == [
        ("1.wav", "of the file"),
        ("2.wav", "of the link"),
        ("3.wav", "by its other name"),
    ]


def test_photos_of_a_species_are_followed_and_counted_once(tmp_path):
    photos = tmp_path / "photos"
    grow(tmp_path, "archive/1.jpg", "archive/deep/2.jpg", "single/3.jpg")
    grow(photos, "Parus_major/4.jpg", "Parus_major/.thumbs/t.jpg", "Bufo bufo/5.jpg")
    link(photos / "Parus_major" / "linked", "../../archive")
    link(photos / "Parus_major" / "3.jpg", "../../single/3.jpg")
    link(photos / "Parus_major" / "up", "..")
    link(photos / "Parus_major" / "gone.jpg", "nowhere.jpg")
    link(photos / "Great Tit", "Parus_major")
    link(photos / "Bufo bufo" / "both.jpg", "../Parus_major/4.jpg")
    given = list(photo_folder(photos, toy.taxa()))
    of: dict[str, list[str]] = {}
    for one in given:
        if isinstance(one, Material):
            of.setdefault(one.scientific_name, []).append(Path(os.path.realpath(one.path)).name)
    assert {name: sorted(files) for name, files in of.items()} == {
        "Parus major": ["1.jpg", "2.jpg", "3.jpg", "4.jpg"],
        "Bufo bufo": ["4.jpg", "5.jpg"],
    }
    [refused] = [one for one in given if isinstance(one, Rejection)]
    assert refused.label.endswith("gone.jpg") and "is a link to a file that is not there" in refused.reason


def test_clips_within_a_watched_folder_are_not_heard(tmp_path):
    grow(tmp_path, "in/a.wav", "in/clips/2026/06/b.wav", "elsewhere/c.wav")
    link(tmp_path / "in" / "other", "clips")
    found, _ = _recordings(tmp_path / "in", tmp_path / "in" / "clips")
    assert list(found) == [tmp_path / "in" / "a.wav"]
