"""Tables of Darwin Core Archives that are not written as they are described, and archives that are damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edgeapp.collect.medium import Medium
from edgeapp.collect.sources import darwin_core, decoding
from edgeapp.collect.sources.gbif_archive import GbifArchive
from edgeapp.collect.sources.kind import Setting
from edgeapp.errors import CollectError
from tests.edgeapp.collect.darwin_core_archives import changed, multimedia, occurrence, write_archive
from tests.edgeapp.collect.offers import media_of

CORE_ROWS = [occurrence(1), occurrence(2, "Turdus merula"), occurrence(3)]
MEDIA_ROWS = [
    multimedia(1, "http://sounds.example/a.mp3", creator="Ä. Müller"),
    multimedia(1, "http://photos.example/a.jpg", type="StillImage", format="image/jpeg"),
    multimedia(2, "http://sounds.example/b.mp3"),
]


def read(path: Path) -> list[Medium]:
    return list(media_of(GbifArchive(str(path), Setting())))


def test_a_quote_that_is_not_closed_is_an_error(tmp_path):
    folder = write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS, separator=",", quote='"')
    text = (folder / "multimedia.txt").read_text()
    (folder / "multimedia.txt").write_text(f"{text.rstrip()[:-1]}\n1,Sound,,http://a.example/z.mp3,,,,,\n")
    with pytest.raises(CollectError, match="multimedia.txt cannot be read .line 4: a quote is not closed"):
        read(folder)


@pytest.mark.parametrize("declared", ["UTF-8", "ISO-8859-1"])
@pytest.mark.parametrize("written", ["utf-16", "utf-8-sig", "cp1252"])
def test_a_table_is_read_as_it_is_written(written, declared, tmp_path):
    path = write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS, quote='"')
    for name in ("occurrence.txt", "multimedia.txt"):
        (path / name).write_bytes((path / name).read_text().encode(written))
    assert read(changed(path, ('encoding="UTF-8"', f'encoding="{declared}"')))[0].author == "Ä. Müller"


@pytest.mark.parametrize("encoding", ["hex", "rot13", "undefined", "idna", "base64"])
def test_what_is_no_encoding_of_text_is_refused(encoding, tmp_path):
    path = changed(write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS), ('"UTF-8"', f'"{encoding}"'))
    with pytest.raises(CollectError, match=f"names the unknown encoding {encoding}"):
        read(path)


@pytest.mark.parametrize("declaration", ['<?xml version="1.0" encoding="gbk"?>', '<?xml version="1.0" encoding="x"?>'])
def test_a_description_in_an_unknown_encoding_is_refused(declaration, tmp_path):
    path = changed(write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS), ("<archive", f"{declaration}<archive"))
    with pytest.raises(CollectError, match="its meta.xml cannot be read"):
        read(path)


def test_lines_may_end_as_on_old_machines_whatever_is_declared(tmp_path):
    path = write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS)
    for name in ("occurrence.txt", "multimedia.txt"):
        (path / name).write_bytes((path / name).read_bytes().replace(b"\n", b"\r"))
    assert len(read(path)) == 3


@pytest.mark.parametrize("tab", ["\t", "&#9;", "\\\\t"], ids=["itself", "by number", "escaped twice"])
def test_a_tab_may_be_described_in_any_way(tab, tmp_path):
    path = write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS)
    assert len(read(changed(path, ('"\\t"', f'"{tab}"')))) == 3


def test_an_unpacked_archive_may_lie_in_a_folder_of_its_own(tmp_path):
    write_archive(tmp_path / "download" / "0001", CORE_ROWS, MEDIA_ROWS)
    assert len(read(tmp_path / "download")) == 3


def test_separators_of_windows_in_a_zip_file_are_understood(tmp_path):
    assert len(read(write_archive(tmp_path / "a.zip", CORE_ROWS, MEDIA_ROWS, inner="dwca\\"))) == 3


def test_every_damage_to_a_zip_file_is_one_line(tmp_path):
    whole, random_ = write_archive(tmp_path / "a.zip", CORE_ROWS, MEDIA_ROWS).read_bytes(), random.Random(7)
    refused = 0
    for n in range(150):
        damaged_ = bytearray(whole[: random_.randrange(len(whole))] if n % 2 else whole)
        if not n % 2:
            damaged_[random_.randrange(len(whole))] ^= 1 << random_.randrange(8)
        (tmp_path / "b.zip").write_bytes(damaged_)
        try:
            assert len(read(tmp_path / "b.zip")) == 3
        except CollectError as error:
            refused += "\n" not in str(error)
    assert refused > 120


def test_what_unpacks_to_fill_a_disk_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(darwin_core, "SUSPECT", 1 << 20)
    path = write_archive(tmp_path / "a.zip", CORE_ROWS, [multimedia(1, "x" * (2 << 20))])
    with pytest.raises(CollectError, match="multimedia.txt would be 0.0 GB, of .* bytes; do not use it"):
        read(path)


def test_a_line_without_an_end_is_not_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "LONGEST", 5000)
    path = write_archive(tmp_path / "a.zip", CORE_ROWS, [multimedia(1, "x" * 9000)])
    with pytest.raises(CollectError, match="a line has more than"):
        read(path)
