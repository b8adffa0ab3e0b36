"""Darwin Core Archives, as GBIF and publishers write them."""

from __future__ import annotations

import random
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from edgeapp.collect.medium import Medium
from edgeapp.collect.sources.gbif_archive import GbifArchive
from edgeapp.collect.sources.kind import Setting
from edgeapp.errors import CollectError
from tests.edgeapp.collect.darwin_core_archives import AUDUBON, CORE, changed, multimedia, occurrence, write_archive
from tests.edgeapp.collect.offers import media_of

CORE_ROWS = [occurrence(1), occurrence(2, "Turdus merula"), occurrence(3)]
MEDIA_ROWS = [
    multimedia(2, "http://sounds.example/b.mp3"),
    multimedia(1, "http://sounds.example/a.mp3", creator="Ä. Müller"),
    multimedia(1, "//photos.example/a.jpg", type="StillImage", format="image/jpeg"),
]


def read(path: Path, setting: Setting = Setting()) -> list[Medium]:
    return list(media_of(GbifArchive(str(path), setting)))


def test_a_medium_has_what_its_occurrence_and_its_own_row_say(tmp_path):
    first, photo, second = read(write_archive(tmp_path / "a.zip", CORE_ROWS, MEDIA_ROWS))
    assert first == Medium(
        source="gbif",
        id=first.id,
        observation="https://records.example/1",
        modality="audio",
        url="http://sounds.example/a.mp3",
        scientific_name="Parus major Linnaeus, 1758",
        ranks={"kingdom": "Animalia", "phylum": "Chordata", "class": "Aves", "genus": "Parus"},
        media_type="audio/mpeg",
        licence="http://creativecommons.org/licenses/by-nc-sa/4.0/",
        author="Ä. Müller",
        page="https://records.example/1/media",
        observer="Observer 1",
        recorded_at="2024-05-02T06:30:00",
        latitude=52.5,
        longitude=13.4,
        country="DE",
        dataset="00000000-aaaa-bbbb-cccc-000000000001",
    )
    assert first.id.startswith("1/") and first.id != photo.id
    assert (photo.modality, photo.url) == ("image", "https://photos.example/a.jpg")
    assert (second.scientific_name, second.url) == ("Turdus merula", "http://sounds.example/b.mp3")


@pytest.mark.parametrize(
    "form",
    [
        {"separator": ","},
        {"separator": ",", "quote": '"'},
        {"separator": ";", "quote": "'", "encoding": "ISO-8859-1"},
        {"separator": "|", "end": "\r\n"},
        {"separator": "||"},
        {"separator": "\t", "end": "\r"},
        {"encoding": "UTF-16"},
        {"header": False},
        {"counted": False},
        {"rubbish": True},
        {"inner": "download/"},
        {"row_type": "https://rs.gbif.org/terms/1.0/multimedia/"},
    ],
    ids=str,
)
def test_any_form_that_the_guide_allows_is_read(form, tmp_path):
    core = [[cell.replace(",", "") for cell in row] for row in CORE_ROWS] if not form.get("quote") else CORE_ROWS
    found = read(write_archive(tmp_path / "a.zip", core, MEDIA_ROWS, **form))
    assert [medium.url[-5:] for medium in found] == ["a.mp3", "a.jpg", "b.mp3"]
    assert found[0].author == "Ä. Müller"
    assert found[0].scientific_name.startswith("Parus major Linnaeus")


def test_fields_may_have_quotes_and_lines_in_quotes(tmp_path):
    core = [occurrence(1, behavior='{"heard": "a \\"song\\",\nthen calls"}', recordedBy="Müller, Ä.")]
    [medium, _] = read(write_archive(tmp_path / "a.zip", core, MEDIA_ROWS[1:], separator=",", quote='"'))
    assert medium.kind == '{"heard": "a \\"song\\",\nthen calls"}'
    assert medium.observer == "Müller, Ä."


def test_quotes_without_meaning_stay(tmp_path):
    core = [occurrence(1, recordedBy='"Birdy" O\'Hara')]
    assert read(write_archive(tmp_path / "a.zip", core, MEDIA_ROWS[1:]))[0].observer == '"Birdy" O\'Hara'


def test_a_folder_is_an_archive_too(tmp_path):
    assert len(read(write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS))) == 3


def test_defaults_stand_for_missing_columns_and_empty_cells(tmp_path):
    columns = [name for name in CORE if name != "license"]
    rows = [[cell for cell, name in zip(row, CORE, strict=True) if name != "license"] for row in CORE_ROWS]
    media = [multimedia(1, "http://sounds.example/a.mp3", license="")]
    path = write_archive(
        tmp_path / "a.zip", rows, media, core_columns=columns, defaults={"license": "CC0", "family": "Paridae"}
    )
    [medium] = read(path)
    assert (medium.licence, medium.ranks["family"]) == ("CC0", "Paridae")


def test_audubon_core_is_read_as_well(tmp_path):
    columns = ["gbifID", "type", "format", "accessURI", "furtherInformationURL"]
    rows = [
        ["1", "http://purl.org/dc/dcmitype/Sound", "audio/wav", "http://sounds.example/a.wav", "http://page.example"]
    ]
    path = write_archive(tmp_path / "a.zip", CORE_ROWS, rows, media_columns=columns, row_type=AUDUBON)
    [medium] = read(path)
    assert (medium.modality, medium.url, medium.page) == ("audio", "http://sounds.example/a.wav", "http://page.example")


@pytest.mark.parametrize("identifier", ["urn:uuid:a-record", "http://catalogue.example/record/1"])
def test_of_audubon_core_the_file_is_taken_and_not_its_record(identifier, tmp_path):
    columns = ["gbifID", "type", "identifier", "accessURI"]
    rows = [["1", "Sound", identifier, "http://sounds.example/a.wav"]]
    path = write_archive(tmp_path / "a.zip", CORE_ROWS, rows, media_columns=columns, row_type=AUDUBON)
    assert [medium.url for medium in read(path)] == ["http://sounds.example/a.wav"]


def test_a_medium_with_several_addresses_is_several(tmp_path):
    row = multimedia(1, "http://sounds.example/a.mp3|http://sounds.example/my song.mp3; http://sounds.example/a.mp3")
    found = read(write_archive(tmp_path / "a.zip", CORE_ROWS, [row]))
    assert [medium.url for medium in found] == ["http://sounds.example/a.mp3", "http://sounds.example/my song.mp3"]
    assert len({medium.id for medium in found}) == 2


@pytest.mark.parametrize(
    ("media_type", "url", "found"),
    [
        ("Sound", "http://sounds.example/get?id=1", "audio"),
        ("StillImage", "http://photos.example/get?id=1", "image"),
        ("Sound;StillImage", "http://sounds.example/get?id=1", None),
        ("Sound;StillImage", "http://sounds.example/a.OGG?now", "audio"),
        ("StillImage;Sound", "http://photos.example/a.jpeg", "image"),
        ("", "http://photos.example/get", None),
        ("MovingImage", "http://films.example/get", None),
    ],
)
def test_a_medium_without_a_type_is_told_by_its_ending_or_occurrence(media_type, url, found, tmp_path, told):
    core, media = [occurrence(1, mediaType=media_type)], [multimedia(1, url, type="", format="")]
    path = write_archive(tmp_path / "a.zip", core, media)
    assert [medium.modality for medium in read(path, Setting(tell=told))] == ([found] if found else [])
    assert told.lines == ([] if found else [f"{path}: 1 media that are neither sound nor photos are left out"])


def test_only_what_is_wanted_is_offered(tmp_path):
    path = write_archive(tmp_path / "a.zip", CORE_ROWS, MEDIA_ROWS)
    assert [medium.modality for medium in read(path, Setting(modalities=("image",)))] == ["image"]


def test_media_in_a_column_of_the_core_are_read(tmp_path):
    columns = [*CORE, "associatedMedia"]
    rows = [[*occurrence(1), "http://a.example/1.mp3 | http://a.example/2.jpg | see notes"], [*occurrence(2), ""]]
    path = write_archive(tmp_path / "a.zip", rows, None, core_columns=columns)
    assert [medium.modality for medium in read(path)] == ["audio", "image"]


def test_what_is_left_out_is_counted(tmp_path, told):
    media = [multimedia(1, ""), multimedia(9, "http://a.example/9.mp3"), multimedia(1, "http://a.example/1.mp3")]
    path = write_archive(tmp_path / "a.zip", CORE_ROWS, media)
    assert len(read(path, Setting(tell=told))) == 1
    assert told.lines == [
        f"{path}: 1 media without an address are left out",
        f"{path}: 1 media without an occurrence are left out",
    ]


def test_archives_of_publishers_are_known_by_their_own_numbers(tmp_path):
    columns = ["occurrenceID", "scientificName", "genus", "specificEpithet"]
    media = [["A-1", "Sound", "http://a.example/1.wav"], ["A-2", "Sound", "http://a.example/2.wav"]]
    path = write_archive(
        tmp_path / "a.zip",
        [["A-1", "Hyla arborea", "", ""], ["A-2", "", "Rana", "temporaria"]],
        media,
        core_columns=columns,
        media_columns=["occurrenceID", "type", "identifier"],
    )
    first, second = read(path)
    assert (first.source, first.id[:4], first.observation) == ("darwin-core", "A-1/", "A-1")
    assert second.scientific_name == "Rana temporaria"


def damaged(path: Path) -> Path:
    raw = write_archive(path, CORE_ROWS, MEDIA_ROWS).read_bytes()
    path.write_bytes(raw[:60] + b"\xff" * 40 + raw[100:])
    return path


def without_meta(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0001.csv", "gbifID\tspecies\n")
        archive.writestr("__MACOSX/._0001.csv", "x")
    return path


def with_meta(path: Path, meta: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.xml", meta)
    return path


HEAD = '<archive xmlns="http://rs.tdwg.org/dwc/text/"><core rowType="x" '


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path, "[Nn]o such file"),
        (lambda path: path.write_bytes(b"<html>") and path, "is no ZIP file, or was not fetched to its end"),
        (damaged, "is damaged|cannot be unpacked"),
        (without_meta, r"has no meta.xml \(a simple download of GBIF has no media\); download the records as a Darwin"),
        (lambda path: write_archive(path, CORE_ROWS, None), "no table of multimedia"),
        (lambda path: with_meta(path, "<archive"), "its meta.xml cannot be read"),
        (lambda path: with_meta(path, "<archive/>"), "describes 0 cores"),
        (lambda path: with_meta(path, f"{HEAD}><files/></core></archive>"), "cannot be read"),
        (
            lambda path: with_meta(path, f"{HEAD} encoding='x'><files><location>a</location></files></core></archive>"),
            "unknown encoding x",
        ),
        (
            lambda path: with_meta(path, f"{HEAD} ignoreHeaderLines='one'><location>a</location></core></archive>"),
            "'one' where a number must be",
        ),
    ],
)
def test_what_is_no_archive_is_refused_in_one_line(make, words, tmp_path):
    path = tmp_path / "a.zip"
    make(path)
    with pytest.raises(CollectError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and caught.value.remedy


def test_a_table_outside_of_the_archive_is_not_read(tmp_path):
    folder = write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS)
    meta = (folder / "meta.xml").read_text()
    (tmp_path / "occurrence.txt").write_text("secret")
    (folder / "meta.xml").write_text(meta.replace(">occurrence.txt<", ">../occurrence.txt<"))
    with pytest.raises(CollectError, match="outside"):
        read(folder)


def test_a_table_that_is_missing_is_named(tmp_path):
    folder = write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS)
    (folder / "multimedia.txt").unlink()
    with pytest.raises(CollectError, match="multimedia.txt is missing"):
        read(folder)


def test_memory_does_not_grow_with_the_archive(tmp_path):
    def peak(n: int) -> int:
        numbers = list(range(n))
        random.Random(1).shuffle(numbers)  # core and extension are in different orders
        path = write_archive(
            tmp_path / f"{n}.zip",
            (occurrence(number) for number in range(n)),
            (multimedia(number, f"http://a.example/{number}.mp3") for number in numbers),
        )
        tracemalloc.start()
        try:
            assert sum(1 for _ in media_of(GbifArchive(str(path), Setting()))) == n
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(1500), peak(3000)
    assert large < 1.3 * small


def test_tables_that_do_not_name_their_identifiers_are_refused(tmp_path):
    path = changed(write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS), ('<coreid index="0"/>', ""))
    with pytest.raises(CollectError, match="in which columns a medium and its occurrence find each other"):
        read(path)


def test_media_of_which_none_has_an_occurrence_are_an_error(tmp_path):
    path = changed(write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS), ('<coreid index="0"', '<coreid index="3"'))
    with pytest.raises(CollectError, match="none of its 3 media has an occurrence in it; check the columns"):
        read(path)


def test_an_identifier_that_comes_twice_keeps_its_first_occurrence(tmp_path, told):
    core = [occurrence(1), occurrence(1, scientificName="Corvus corax"), occurrence(2)]
    media = [multimedia(1, "http://a.example/a.mp3"), multimedia(2, "http://a.example/b.mp3")]
    found = read(write_archive(tmp_path / "a", core, media), Setting(tell=told))
    assert [medium.scientific_name for medium in found] == [occurrence(1)[CORE.index("scientificName")]] * 2
    assert [line.partition(": ")[2] for line in told.lines] == [
        "1 media of an occurrence with the identifier of an earlier one are left out"
    ]


def test_a_core_without_names_is_refused(tmp_path):
    names = [(f'/{name}"', f'/x{name}"') for name in ("scientificName", "genus")]
    path = changed(write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS), *names, ("terms/Occurrence", "terms/Event"))
    with pytest.raises(CollectError, match=r"its core \(Event\) has no scientific names; take an archive of occurr"):
        read(path)


def test_all_tables_of_media_are_read_and_an_address_once(tmp_path):
    folder = write_archive(tmp_path / "a", CORE_ROWS, MEDIA_ROWS)
    (folder / "ac.txt").write_text("1\thttp://a.example/z.mp3\n1\thttp://a.example/z.mp3\n")
    more = (
        '<extension fieldsTerminatedBy="\\t" fieldsEnclosedBy="" rowType="http://rs.gbif.org/terms/1.0/Image"><location>'
        'ac.txt</location><coreid index="0"/><field index="1" term="http://rs.tdwg.org/ac/terms/accessURI"/></extension>'
    )
    found = read(changed(folder, ("</archive>", f"{more}</archive>")))
    assert len(found) == 4
    [photo] = [medium for medium in found if medium.url.endswith("z.mp3")]
    assert photo.modality == "image"  # the table says what its rows are


@pytest.mark.parametrize("between", [" | ", "|", "; ", ", ", " ", ";"])
def test_addresses_in_one_cell_have_any_separator(between, tmp_path):
    columns = [*CORE, "associatedMedia"]
    rows = [[*occurrence(1), between.join(("http://a.example/1.mp3", "http://a.example/2.jpg?v=1,2"))]]
    found = read(write_archive(tmp_path / "a.zip", rows, None, core_columns=columns))
    assert [medium.url for medium in found] == ["http://a.example/1.mp3", "http://a.example/2.jpg?v=1,2"]
