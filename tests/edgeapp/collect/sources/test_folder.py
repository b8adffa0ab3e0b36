"""Recordings and photos of one's own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgeapp.collect.medium import Medium
from edgeapp.collect.sources.folder import Folder
from edgeapp.collect.sources.kind import Setting
from edgeapp.errors import CollectError
from edgeapp.file_names import name_of
from tests.edgeapp.collect.offers import media_of


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.wav", "b b/c?.JPG", "Parus_major/d.flac", "notes.txt", ".hidden.wav", ".cache/e.wav"):
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "own"


def read(folder: Path, **more: object) -> dict[str, Medium]:
    return {medium.id: medium for medium in media_of(Folder(str(folder), Setting(**more)))}


def test_a_table_and_json_files_say_what_is_there(folder, told):
    (folder / "about.csv").write_text(
        "file,scientific_name,class,license,author,latitude,longitude,date,duration_s,background\n"
        "a.wav,Hyla arborea,Amphibia,CC BY 4.0,A. Frog,52.5,13.4,2024-05-01,3.5,Rana temporaria; Bufo bufo\n"
    )
    (folder / "b b" / "c?.JPG.json").write_text(json.dumps({"species": "Bufo bufo", "creator": "B", "lat": None}))
    found = read(folder, tell=told)
    assert told.lines == []
    assert found["a.wav"] == Medium(
        source="folder",
        id="a.wav",
        observation="a.wav",
        modality="audio",
        url=str((folder / "a.wav").resolve()),
        scientific_name="Hyla arborea",
        ranks={"class": "Amphibia"},
        licence="CC BY 4.0",
        author="A. Frog",
        recorded_at="2024-05-01",
        latitude=52.5,
        longitude=13.4,
        duration_s=3.5,
        background=("Rana temporaria", "Bufo bufo"),
        checksum=f"file:1-{(folder / 'a.wav').stat().st_mtime_ns}",
    )
    photo = found["b b/c?.JPG"]
    assert (photo.modality, photo.scientific_name, photo.author) == ("image", "Bufo bufo", "B")
    assert found["Parus_major/d.flac"].scientific_name == "Parus major"
    assert len(found) == 3


def test_a_changed_folder_is_another_query(folder):
    source = Folder(str(folder), Setting())
    before = list(source.queries())
    assert list(source.queries()) == before
    (folder / "new.wav").write_bytes(b"y")
    assert list(source.queries()) != before


def test_what_cannot_be_read_is_told(folder, tmp_path):
    (folder / "a.json").write_text("[1]")
    with pytest.raises(CollectError, match="a.json: is no JSON object"):
        read(folder)
    (folder / "a.json").write_text("{")
    with pytest.raises(CollectError, match="a.json: cannot be read"):
        read(folder)
    with pytest.raises(CollectError, match="no such folder"):
        read(tmp_path / "nowhere")


def test_files_that_a_table_names_and_that_are_gone_are_an_error(folder):
    (folder / "about.csv").write_text("file,species\na.wav,Hyla arborea\ngone.wav,Bufo bufo\n")
    media = media_of(Folder(str(folder), Setting()))
    assert {next(media).id for _ in range(3)} == {"Parus_major/d.flac", "a.wav", "b b/c?.JPG"}
    with pytest.raises(CollectError, match="1 files that a table names are not there: gone.wav; correct the table"):
        list(media)


def test_a_table_may_come_from_windows(folder, told):
    rows = "file;species;author\r\n.\\a.wav;Hyla arborea;Ä. Frosch\r\nParus_major\\d.flac;Parus minor;\r\n"
    for encoding in ("utf-16", "cp1252", "utf-8-sig"):
        (folder / "about.csv").write_bytes(rows.encode(encoding))
        found = read(folder, tell=told)
        assert (found["a.wav"].scientific_name, found["a.wav"].author) == ("Hyla arborea", "Ä. Frosch")
        assert found["Parus_major/d.flac"].scientific_name == "Parus minor"
    assert told.lines == []


def test_a_table_that_names_no_files_is_told(folder, told):
    (folder / "about.csv").write_text("recording,species\na.wav,Hyla arborea\n")
    read(folder, tell=told)
    assert told.lines == [f"{folder / 'about.csv'}: has no column file, and is not read"]


def test_names_that_are_no_text_are_kept_and_found_again(folder):
    path = os.fsencode(folder) + b"/Parus_major/\xe9.wav"
    with open(path, "wb") as file:
        file.write(b"x")
    [medium] = [one for one in read(folder).values() if one.id.endswith("9.wav")]
    assert medium.id == "Parus_major/\\xe9.wav"
    assert os.fsencode(name_of(medium.url)) == os.path.realpath(path)


def test_json_files_of_any_depth_are_refused(folder):
    (folder / "a.json").write_text("[" * 100_000)
    with pytest.raises(CollectError, match="a.json: cannot be read"):
        read(folder)


def test_what_is_no_file_is_named_and_the_rest_is_collected(folder, told):
    os.mkfifo(folder / "pipe.wav")
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "endless.wav").symlink_to("/dev/zero")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "about.csv").write_text("file,species\na.wav,Hyla arborea\nloop.wav,Bufo bufo\n")
    source = Folder(str(folder), Setting(tell=told))
    [_] = source.queries()
    media = media_of(source)
    assert {next(media).id for _ in range(3)} == {"Parus_major/d.flac", "a.wav", "b b/c?.JPG"}
    with pytest.raises(CollectError) as raised:
        list(media)
    assert raised.value.what == (
        f"{folder}: 4 files or folders cannot be read: endless.wav (is a device), "
        "gone.jpg (is a link to a file that is not there), "
        "loop.wav (cannot be opened (Too many levels of symbolic links)), pipe.wav (is a named pipe)"
    )


def test_linked_folders_are_searched_once(folder):
    (folder / "b b" / "up").symlink_to("..")
    (folder / "other").symlink_to("b b")
    assert sorted(read(folder)) == ["Parus_major/d.flac", "a.wav", "b b/c?.JPG"]


def test_a_folder_that_cannot_be_listed_is_named(folder, monkeypatch):
    scandir = os.scandir

    def refused(path):  # permissions do not stop the root user some machines test as
        if Path(path).name == "b b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(CollectError, match=r"1 files or folders cannot be read: .*/b b \(Permission denied\)"):
        read(folder)


def test_the_case_of_columns_and_keys_does_not_matter(folder, told):
    (folder / "About.CSV").write_text("File;Scientific Name;LICENSE;SHA256\na.wav;Hyla arborea;CC0;AB\n")
    (folder / "Parus_major" / "d.JSON").write_text(
        json.dumps({"License": "CC BY 4.0", "Recorded At": "2024", "CLASS": "Aves"})
    )
    found = read(folder, tell=told)
    assert told.lines == []
    frog, tit = found["a.wav"], found["Parus_major/d.flac"]
    assert (frog.scientific_name, frog.licence, frog.checksum) == ("Hyla arborea", "CC0", "sha256:AB")
    assert (tit.licence, tit.recorded_at, tit.ranks) == ("CC BY 4.0", "2024", {"class": "Aves"})


def test_descriptions_in_another_format_are_told(folder, told):
    (folder / "a.yaml").write_text("licence: CC0\n")
    (folder / "Parus_major" / "d.flac.xml").write_text("<licence>CC0</licence>")
    read(folder, tell=told)
    assert told.lines == [f"{folder}: 2 descriptions (.yaml, .yml, .xml, .toml) are not read; write them as JSON"]
