"""Files and encounters are the same whatever archive names them."""

from __future__ import annotations

import pytest

from edgeapp.collect.identity import encounter_of, file_of, hashed, is_first_hand
from tests.edgeapp.collect.offers import medium

XENO_CANTO_FILES = [
    "https://xeno-canto.org/254462/download",
    "//www.xeno-canto.org/sounds/uploaded/SDLLQYRLBC/XC254462-Tit%20-%20song.mp3",
    "https://xeno-canto.org/sounds/uploaded/SDLLQYRLBC/XC254462.wav",
    "http://www.xeno-canto.org/254462",
]
INATURALIST_PHOTOS = [
    "https://inaturalist-open-data.s3.amazonaws.com/photos/123/original.jpg",
    "https://inaturalist-open-data.s3.amazonaws.com/photos/123/large.jpeg?1600000000",
    "https://static.inaturalist.org/photos/123/medium.jpg",
]


def test_a_recording_of_xeno_canto_is_one_file_at_every_address() -> None:
    assert {file_of(medium(url=url)) for url in XENO_CANTO_FILES} == {"xeno-canto 254462"}


def test_a_photo_of_inaturalist_is_one_file_in_every_size() -> None:
    assert {file_of(medium(modality="image", url=url)) for url in INATURALIST_PHOTOS} == {"inaturalist photos 123"}
    assert file_of(medium(url="https://static.inaturalist.org/sounds/123.m4a?1")) == "inaturalist sounds 123"


def test_other_addresses_are_compared_as_they_lead() -> None:
    one = file_of(medium(url="http://www.example.org/a%20b.mp3"))
    assert one == file_of(medium(url="https://example.org/a b.mp3"))
    assert one != file_of(medium(url="https://example.org/a b.mp3?version=2"))
    assert one != file_of(medium(url="https://example.org/A b.mp3"))
    assert file_of(medium(url="recordings/a.wav")) != file_of(medium(url="recordings/b.wav"))
    assert file_of(medium(url="http://[broken")) == "audio http://[broken"


@pytest.mark.parametrize(
    ("told", "token"),
    [
        ({"observation": "https://www.inaturalist.org/observations/77"}, "inaturalist 77"),
        ({"observation": "4711", "page": "http://inaturalist.org/observations/77?x=1"}, "inaturalist 77"),
        ({"observation": "https://data.example/xeno-canto/observation/XC254462"}, "xeno-canto 254462"),
        ({"observation": "XC254462"}, "xeno-canto 254462"),
        ({"observation": "x", "page": "https://macaulaylibrary.org/asset/9001"}, "macaulay 9001"),
        ({"observation": "https://www.gbif.org/occurrence/5"}, "gbif 5"),
        ({"observation": "5B6A4C2E-0000-4000-8000-00000000000A"}, "uuid 5b6a4c2e-0000-4000-8000-00000000000a"),
        ({"observation": "https://www.museum.example/id/9/"}, "museum.example/id/9"),
        ({"observation": "9"}, "gbif 9"),
    ],
)
def test_an_encounter_is_known_by_its_own_number(told: dict[str, str], token: str) -> None:
    assert encounter_of(medium(source="gbif", **told)) == token


def test_a_record_without_a_global_identifier_is_its_sources_own() -> None:
    assert encounter_of(medium(1, "folder", observation="9")) != encounter_of(medium(1, "gbif", observation="9"))


def test_the_source_a_record_comes_from_is_known() -> None:
    assert is_first_hand("inaturalist 77", "inaturalist-files")
    assert not is_first_hand("inaturalist 77", "gbif")
    assert not is_first_hand("museum.example/id/9", "gbif")


def test_hashes_tell_texts_apart_and_stay_the_same() -> None:
    assert hashed(0, "a", "b") == hashed(0, "a", "b") != hashed(0, "ab", "")
    assert hashed("\udcff") != hashed("")
