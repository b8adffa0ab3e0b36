"""Texts of archives."""

from __future__ import annotations

import pytest

from edgeapp.collect.sources import KINDS, open_source
from edgeapp.collect.sources.words import (
    coordinates,
    date_of_parts,
    modality_of,
    number_of,
    seconds_of,
    short_hash,
    with_scheme,
)


@pytest.mark.parametrize(
    ("kind", "media_type", "url", "modality"),
    [
        ("Sound", "", "", "audio"),
        ("http://purl.org/dc/dcmitype/StillImage", "", "", "image"),
        ("Still Image", "", "", "image"),
        ("", "audio/mp4", "", "audio"),
        ("", "MP3", "https://a.example/?id=7", "audio"),
        ("", ".jpg", "", "image"),
        ("", "audio/mpeg; charset=binary", "", "audio"),
        ("", "video/mp4", "a.mp3", ""),
        ("MovingImage", "", "a.jpg", ""),
        ("InteractiveResource", "", "a.jpg", "image"),
        ("", "", "https://a.example/B.WAV?x=y.jpg#z", "audio"),
        ("", "application/octet-stream", "a.png", "image"),
        ("", "", "https://[bad/a.png", ""),
        ("audio/mpeg", "", "", "audio"),
        ("image/jpeg", "", "https://a.example/?id=7", "image"),
        ("dcmitype:StillImage", "", "", "image"),
        ("http://purl.org/dc/dcmitype#Sound", "", "", "audio"),
        ("still_image", "", "", "image"),
        ("Recording", "audio/mp3", "", "audio"),
        ("Nahaufnahme", "image/jpeg", "", "image"),
        ("Sound;StillImage", "", "a.mp3", "audio"),
        ("video/mp4", "", "a.jpg", ""),
    ],
)
def test_a_modality_is_told_by_type_then_format_then_ending(kind, media_type, url, modality):
    assert modality_of(kind, media_type, url) == modality


@pytest.mark.parametrize(
    ("date", "time", "found"),
    [
        ("2015-06-23", "07:17", "2015-06-23T07:17"),
        ("2015-06-23", "7:17", "2015-06-23T07:17"),
        ("2015-06-23", "25:00", "2015-06-23"),
        ("2015-06-00", "07:17", "2015-06"),
        ("2015-00-00", "", "2015"),
        ("unknown", "07:17", ""),
    ],
)
def test_dates_are_as_precise_as_they_are_known(date, time, found):
    assert date_of_parts(date, time) == found


def test_numbers_places_and_lengths_are_read_or_not_there():
    assert [number_of(text) for text in ("1.5", " 2,5 ", "x", None, "inf", "nan")][:5] == [1.5, 2.5, None, None, None]
    assert coordinates("91", "0") == coordinates("", "3") == coordinates(None, None) == (None, None)
    assert coordinates("-33.9", 151) == (-33.9, 151.0)
    assert [seconds_of(text) for text in ("4:13", "1:02:03", "9", "?:1", "-1")] == [253.0, 3723.0, 9.0, None, None]


def test_addresses_have_a_scheme_and_hashes_tell_them_apart():
    assert with_scheme("//a.example/b") == "https://a.example/b"
    assert with_scheme("http://a.example/b") == "http://a.example/b"
    assert len({short_hash(text) for text in ("a", "b", "a")}) == 2


def test_every_source_of_the_registry_can_be_made(setting, archives, tmp_path):
    from dataclasses import replace

    from tests.edgeapp.collect.darwin_core_archives import write_archive

    for table in ("taxa", "observers", "observations", "photos"):
        (tmp_path / f"{table}.csv").touch()
    (tmp_path / "image_urls.csv").write_text("species,url\n")
    what = {
        "gbif-archive": str(write_archive(tmp_path / "a.zip", [], [])),
        "gbif": "year=2000",
        "xeno-canto": "gen:parus",
        "inaturalist": "place_id=1",
        "commons": "en",
    }
    for name in KINDS:
        source = open_source(name, what.get(name, str(tmp_path)), replace(setting, species=("Parus major",)))
        assert list(source.queries()) and source.name
