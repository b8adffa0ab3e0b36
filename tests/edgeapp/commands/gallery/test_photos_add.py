"""`biovita-edge gallery photos add`: photos of a mirror of archives for the species of the toy pack's gallery."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeapp.pack.format import Pack
from gallery.store import Gallery
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.collect.archive_server import Archives, archive_server
from tests.edgeapp.collect.conftest import photo

TIT, CUCKOO = "Parus major", "Cuculus canorus"


@pytest.fixture
def archives() -> Iterator[Archives]:
    """A photo of the tit in Commons; of tit and cuckoo four in iNaturalist, one of them reserved."""
    with archive_server() as served:
        served.wikipedia[TIT] = "Tit.jpg"
        served.commons["File:Tit.jpg"] = {
            "url": served.serve("/upload/Tit.jpg", photo(1), media_type="image/jpeg"),
            "descriptionurl": "https://commons.example/wiki/File:Tit.jpg",
            "mime": "image/jpeg",
            "width": 640,
            "height": 480,
            "extmetadata": {"LicenseShortName": {"value": "CC BY-SA 4.0"}, "Artist": {"value": "<b>A. Name</b>"}},
        }
        for first, name in ((100, TIT), (200, CUCKOO)):
            for n, licence in enumerate(("cc-by", "cc-by-nc", None, "cc0"), start=first):
                url = served.serve(f"/photos/{n}/medium.jpg", photo(n), media_type="image/jpeg")
                served.inaturalist.append(
                    {
                        "id": n,
                        "uri": f"https://www.inaturalist.org/observations/{n}",
                        "quality_grade": "research",
                        "taxon": {"name": name, "iconic_taxon_name": "Aves"},
                        "user": {"login": f"user{n}"},
                        "photos": [{"id": n, "url": url, "license_code": licence, "attribution": f"(c) User {n}"}],
                        "sounds": [],
                    }
                )
        yield served


@pytest.fixture
def add(run, archives: Archives, toy_pack: Path, tmp_path: Path):
    """Run the command on `my.sqlite` with the addresses of the mirror."""

    def call(*words: object, pack: Path = toy_pack):
        mirror = [word for name, url in archives.addresses.items() for word in ("--address", f"{name}={url}")]
        given = ["--pack", pack, "--rate", 2000, "--keep-free", 0, *mirror]
        return run("gallery", "photos", "add", tmp_path / "my.sqlite", *words, *given)

    return call


def photos(path: Path, name: str) -> list[tuple[str, str, str]]:
    with Gallery.open(path) as opened:
        found = opened.entries("image", name)
    assert all(one.thumbnail is not None for one in found)
    return sorted((one.licence, one.author, one.source) for one in found)


def test_a_packs_gallery_becomes_one_with_pictures(add, toy_pack, tmp_path):
    done = add("--per-species", 3)
    assert done.exit_code == 0, done.stderr
    tit = photos(tmp_path / "my.sqlite", TIT)
    assert len(tit) == 3
    assert ("CC-BY-SA-4.0", "A. Name", "https://commons.example/wiki/File:Tit.jpg") in tit
    assert [licence for licence, _, _ in photos(tmp_path / "my.sqlite", CUCKOO)] == ["CC-BY", "CC-BY-NC", "CC0-1.0"]
    assert "6 photos added; 2 of 4 species have photos of" in done.stderr
    with Gallery.open(Pack.load(toy_pack).gallery_path()) as packed:
        assert not packed.entries("image", CUCKOO)


def test_the_first_source_goes_before_the_others(add, tmp_path):
    assert add("--per-species", 1).exit_code == 0
    assert [source for _, _, source in photos(tmp_path / "my.sqlite", TIT)] == [
        "https://commons.example/wiki/File:Tit.jpg"
    ]
    assert len(photos(tmp_path / "my.sqlite", CUCKOO)) == 1


def test_the_same_command_adds_nothing_twice_and_asks_nothing_again(add, archives, tmp_path):
    add()
    archives.asked.clear()
    done = add()
    assert done.exit_code == 0, done.stderr
    assert archives.asked == []
    assert "0 photos added" in done.stderr
    assert len(photos(tmp_path / "my.sqlite", TIT)) == 3


def test_more_photos_are_added_to_those_that_are_there(add, tmp_path):
    add("--per-species", 1)
    assert add("--per-species", 2).exit_code == 0
    assert len(photos(tmp_path / "my.sqlite", TIT)) == 2


def test_what_was_fetched_before_an_interruption_is_added(add, archives, tmp_path):
    add("--source", "inaturalist")
    (tmp_path / "my.sqlite").unlink()
    archives.asked.clear()
    again = add("--source", "inaturalist")
    assert again.exit_code == 0, again.stderr
    assert archives.asked == []
    assert len(photos(tmp_path / "my.sqlite", CUCKOO)) == 3


def test_only_listed_species_are_asked_for(add, archives, tmp_path):
    (tmp_path / "list.txt").write_text("Cuculus canorus_Common Cuckoo\nKohlmeise x\n")
    done = add("--species-list", tmp_path / "list.txt", "--source", "inaturalist")
    assert done.exit_code == 0, done.stderr
    assert "1 names are not in the gallery" in done.stderr
    assert not photos(tmp_path / "my.sqlite", TIT)
    assert len(photos(tmp_path / "my.sqlite", CUCKOO)) == 3
    assert not any("Parus" in one for one in map(str, archives.asked))


def test_a_region_has_the_species_that_its_ranges_say(add, tmp_path):
    table = "scientific_name,latitude_min,latitude_max,longitude_min,longitude_max,week_first,week_last\n"
    (tmp_path / "ranges.csv").write_text(f"{table}Parus major,40,60,0,20,,\nCuculus canorus,-40,-30,0,20,,\n")
    done = add("--region", "45,5,50,10", "--range-table", tmp_path / "ranges.csv")
    assert done.exit_code == 0, done.stderr
    assert "for photos of 1 species" in done.stderr
    assert photos(tmp_path / "my.sqlite", TIT) and not photos(tmp_path / "my.sqlite", CUCKOO)


def test_a_region_has_the_species_that_the_packs_model_expects(add, toy_pack, tmp_path):
    pack = shutil.copytree(toy_pack, tmp_path / "ranged")
    toy.add_range(pack)
    done = add("--region", "51.5,7.0", pack=pack)
    assert done.exit_code == 0, done.stderr
    assert "for photos of 2 species" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--region", "north"], 2, "--region 'north': not numbers of degrees"),
        (["--region", "1,2,3"], 2, "--region '1,2,3' is no region"),
        (["--region", "95,0"], 2, "invalid location 95, 0"),
        (["--region", "50,7"], 3, "has no occurrence model"),
        (["--min-occurrence", "0.1"], 2, "go with --region"),
        (["--source", "flickr"], 2, "--source 'flickr' is no archive; use commons, inaturalist, gbif"),
        (["--licence", "GPL"], 2, "no licence is called 'GPL'"),
        (["--species-list", "none.txt"], 2, "none.txt cannot be read"),
        (["--address", "x"], 2, "not a source and its address"),
    ],
)
def test_what_cannot_be_done_is_one_line(add, tmp_path, words, code, told):
    done = add(*words)
    assert (done.exit_code, done.stdout) == (code, ""), done.stderr
    assert told in done.stderr
    assert not (tmp_path / "my.sqlite").exists()


def test_the_packs_own_gallery_stays_as_it_is(run, toy_pack):
    own = Pack.load(toy_pack).gallery_path()
    before = own.read_bytes()
    done = run("gallery", "photos", "add", own, "--pack", toy_pack)
    assert done.exit_code == 3
    assert "belongs to the pack" in done.stderr
    assert own.read_bytes() == before
