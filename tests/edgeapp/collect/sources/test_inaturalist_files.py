"""iNaturalist's open data."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from edgeapp.collect.medium import Medium
from edgeapp.collect.sources.inaturalist_files import INaturalistFiles
from edgeapp.errors import CollectError
from tests.edgeapp.collect.offers import media_of

TABLES = {
    "taxa": [
        ("taxon_id", "ancestry", "rank_level", "rank", "name", "active"),
        ("1", "48460", "70", "kingdom", "Animalia", "true"),
        ("3", "48460/1/2", "50", "class", "Aves", "true"),
        ("9", "48460/1/2/3", "20", "genus", "Parus", "true"),
        ("11", "48460/1/2/3/9", "10", "species", "Parus major", "true"),
        ("12", "48460/1/2/3/9/11", "5", "subspecies", "Parus major newtoni", "true"),
        ("20", "48460/1/2/4", "10", "species", "Hyla 'arborea\"", "true"),
    ],
    "observers": [("observer_id", "login", "name"), ("5", "birder", 'A. "B" Irder'), ("6", "frogger", "")],
    "observations": [
        (
            *("observation_uuid", "observer_id", "latitude", "longitude", "positional_accuracy", "taxon_id"),
            *("quality_grade", "observed_on", "anomaly_score"),
        ),
        ("u-1", "5", "52.5", "13.4", "5", "11", "research", "2024-05-01", "0.9"),
        ("u-2", "6", "", "", "", "20", "needs_id", "", ""),
        ("u-3", "5", "1", "2", "", "12", "casual", "2024-05-02", ""),
    ],
    "photos": [
        (
            *("photo_uuid", "photo_id", "observation_uuid", "observer_id", "extension", "license", "width", "height"),
            "position",
        ),
        ("p", "102", "u-2", "6", "jpeg", "CC-BY-NC", "10", "10", "0"),
        ("p", "101", "u-1", "5", "jpg", "CC0", "10", "10", "0"),
        ("p", "103", "u-3", "5", "png", "CC-BY", "10", "10", "0"),
        ("p", "104", "u-9", "5", "png", "CC-BY", "10", "10", "0"),
    ],
}


@pytest.fixture
def tables(tmp_path) -> Path:
    folder = tmp_path / "open-data"
    folder.mkdir()
    for name, rows in TABLES.items():
        text = "".join("\t".join(row) + "\n" for row in rows).encode()
        with gzip.open(folder / f"{name}.csv.gz", "wb") if name != "taxa" else open(folder / "taxa.tsv", "wb") as file:
            file.write(text)
    return folder


def test_photos_have_what_the_four_tables_say(tables, setting, archives, told):
    frog, bird, subspecies = media_of(INaturalistFiles(str(tables), setting))
    assert bird == Medium(
        source="inaturalist",
        id="photo-101",
        observation="https://www.inaturalist.org/observations/u-1",
        modality="image",
        url=f"{archives.url}/open-data/photos/101/large.jpg",
        scientific_name="Parus major",
        ranks={"kingdom": "Animalia", "class": "Aves", "genus": "Parus"},
        licence="CC0",
        author='A. "B" Irder',
        page="https://www.inaturalist.org/photos/101",
        observer="birder",
        recorded_at="2024-05-01",
        latitude=52.5,
        longitude=13.4,
        quality="research",
    )
    assert (frog.author, frog.scientific_name, frog.latitude) == ("frogger", "Hyla 'arborea\"", None)
    assert subspecies.scientific_name == "Parus major newtoni"
    assert told.lines == [f"{tables / 'photos.csv.gz'}: 1 photos have no observation, and are left out"]


@pytest.mark.parametrize(
    ("species", "groups", "found"),
    [(("Parus major",), (), ["101", "103"]), ((), ("Aves",), ["101", "103"]), (("Hyla 'arborea\"",), (), ["102"])],
)
def test_only_the_wanted_taxa_are_read(species, groups, found, tables, setting):
    source = INaturalistFiles(str(tables), replace(setting, species=species, groups=groups))
    assert [medium.id.removeprefix("photo-") for medium in media_of(source)] == found


@pytest.mark.parametrize("size", ["original", "medium", "small"])
def test_photos_come_in_the_wanted_size(size, tables, setting):
    found = media_of(INaturalistFiles(str(tables), replace(setting, photo_size=size)))
    assert next(iter(found)).url.endswith(f"/photos/102/{size}.jpeg")


def test_sounds_are_not_in_the_open_data(tables, setting):
    assert list(media_of(INaturalistFiles(str(tables), replace(setting, modalities=("audio",))))) == []


def test_what_is_missing_or_damaged_is_told_with_a_remedy(tables, setting):
    whole = (tables / "photos.csv.gz").read_bytes()
    (tables / "photos.csv.gz").write_bytes(whole[:-20])
    with pytest.raises(CollectError, match="photos.csv.gz: is damaged .*; download it again"):
        list(media_of(INaturalistFiles(str(tables), setting)))
    (tables / "photos.csv.gz").unlink()
    (tables / "photos.csv").write_text("photo_id\tlicense\n")
    with pytest.raises(CollectError, match="photos.csv: no column observation_uuid"):
        list(media_of(INaturalistFiles(str(tables), setting)))
    (tables / "photos.csv").unlink()
    (tables / "all.tar.gz").touch()
    with pytest.raises(CollectError, match=r"no table photos.csv.gz \(unpack the .tar.gz first\)"):
        INaturalistFiles(str(tables), setting)


@pytest.mark.parametrize("missing", ["", "\\N", "NULL"])
def test_a_photo_without_an_extension_is_counted(missing, tables, setting, told):
    text = "\t".join(TABLES["photos"][0]) + f"\np\t105\tu-1\t5\t{missing}\tCC0\t10\t10\t0\n"
    (tables / "photos.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert list(media_of(INaturalistFiles(str(tables), setting))) == []
    assert told.lines == [f"{tables / 'photos.csv.gz'}: 1 photos have no extension, and are left out"]
