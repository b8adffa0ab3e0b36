"""GBIF's search over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from edgeapp.collect.client import FetchError
from edgeapp.collect.sources import gbif_search
from edgeapp.collect.sources.gbif_search import GbifSearch
from edgeapp.errors import UsageError
from tests.edgeapp.collect.offers import media_of


def record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "key": number,
        "gbifID": str(number),
        "datasetKey": f"set-{number % 2}",
        "occurrenceID": f"https://records.example/{number}",
        "scientificName": "Parus major Linnaeus, 1758",
        "class": "Aves",
        "genus": "Parus",
        "year": 2000 + number % 3,
        "month": 1 + number % 12,
        "country": "Germany",
        "countryCode": "DE",
        "decimalLatitude": 52.5,
        "decimalLongitude": 13.4,
        "eventDate": "2024-05-01",
        "recordedBy": "A. Observer",
        "media": [
            {"type": "Sound", "format": "audio/mpeg", "identifier": f"http://a.example/{number}.mp3", "license": "CC0"},
            {"type": "StillImage", "identifier": f"http://a.example/{number}.jpg", "creator": "B"},
            {"type": "StillImage"},
        ],
        **more,
    }


@pytest.fixture
def setting(setting):
    return replace(setting, modalities=("audio",))


def test_all_pages_are_asked(archives, setting):
    archives.gbif = [record(n) for n in range(25)]
    archives.per_page = 10
    found = list(media_of(GbifSearch("country=Germany", setting)))
    assert [medium.url for medium in found] == [f"http://a.example/{n}.mp3" for n in range(25)]
    asked = [parse_qs(urlsplit(path).query) for path in archives.asked]
    assert [query["offset"] for query in asked if "offset" in query] == [["0"], ["10"], ["20"]]
    assert all(query["mediaType"] == ["Sound"] and query["country"] == ["Germany"] for query in asked)


def test_a_medium_has_what_the_record_says(archives, setting):
    archives.gbif = [record(7)]
    sound, photo = media_of(GbifSearch("year=2001", replace(setting, modalities=("audio", "image"))))
    assert (sound.id[:2], sound.observation, sound.licence, sound.author) == (
        "7/",
        "https://records.example/7",
        "CC0",
        "A. Observer",
    )
    assert (sound.ranks, sound.latitude, sound.dataset) == ({"class": "Aves", "genus": "Parus"}, 52.5, "set-1")
    assert (photo.modality, photo.author) == ("image", "B")


def test_an_archive_and_a_search_give_a_medium_one_identity(archives, setting, tmp_path):
    from edgeapp.collect.sources.gbif_archive import GbifArchive
    from tests.edgeapp.collect.darwin_core_archives import multimedia, occurrence, write_archive

    archives.gbif = [record(7)]
    path = write_archive(tmp_path / "a.zip", [occurrence(7)], [multimedia(7, "http://a.example/7.mp3")])
    [searched] = media_of(GbifSearch("year=2001", setting))
    [unpacked] = media_of(GbifArchive(str(path), setting))
    assert (searched.source, searched.id) == (unpacked.source, unpacked.id)


def test_a_search_goes_on_where_it_was_cut(archives, setting):
    archives.gbif = [record(n) for n in range(25)]
    archives.per_page = 10
    source = GbifSearch("country=Germany", setting)
    [query] = source.queries()
    pages = source.pages(query)
    first = next(pages)
    pages.close()
    rest = [medium for page in source.pages(query, first.then) for medium in page.media]
    assert len(list(first.media)) + len(rest) == 25


def test_more_than_a_search_can_reach_is_divided(archives, setting, told, monkeypatch):
    monkeypatch.setattr(gbif_search, "REACHED", 10)
    archives.gbif_reached = 10
    archives.per_page = 4
    archives.gbif = [record(n) for n in range(60)] + [record(60, year=None)]
    del archives.gbif[-1]["year"]
    found = {medium.url for medium in media_of(GbifSearch("country=Germany", setting))}
    assert found == {f"http://a.example/{n}.mp3" for n in range(60)}
    assert told.lines == [
        "gbif: 1 records without a year cannot be reached by a search; ask GBIF for a Darwin Core Archive, and collect "
        "with --gbif-archive",
        "gbif: 60 media have no address, and are left out",
    ]


def test_what_no_division_reaches_is_told(archives, setting, told, monkeypatch):
    monkeypatch.setattr(gbif_search, "REACHED", 10)
    archives.gbif_reached = 10
    archives.gbif = [record(0, key=n, gbifID=str(n)) for n in range(25)]
    assert len(list(media_of(GbifSearch("country=Germany", setting)))) == 10
    assert "15 of 25 records cannot be reached" in told.lines[0]


def test_each_species_of_a_list_is_a_search(archives, setting):
    archives.gbif = [record(1), record(2, scientificName="Turdus merula Linnaeus, 1758"), record(3)]
    setting = replace(setting, species=("Parus major", "Turdus merula"))
    source = GbifSearch("all", setting)
    assert len(list(source.queries())) == 2
    assert [medium.url[-5:] for medium in media_of(source)] == ["1.mp3", "3.mp3", "2.mp3"]


@pytest.mark.parametrize(
    ("what", "words"), [("all", "asks for everything"), ("Germany", "no parameters"), ("limit=5&year=2000", "limit is")]
)
def test_a_query_that_cannot_be_is_refused(what, words, setting):
    with pytest.raises(UsageError, match=words):
        GbifSearch(what, setting)


@pytest.mark.parametrize("answer", [[], "text", {"results": [7], "count": 1}, {"count": "many"}])
def test_an_answer_of_another_form_is_an_error(answer, archives, setting):
    archives.refusals.extend([(200, {}, {"count": 1})] if isinstance(answer, dict) and "results" in answer else [])
    archives.refusals.append((200, {}, answer))
    with pytest.raises((FetchError, Exception), match="the answer is not what") as caught:
        list(media_of(GbifSearch("year=2000", setting)))
    assert caught.value.remedy


def test_a_medium_with_several_addresses_is_several(archives, setting):
    media = [{"type": "Sound", "identifier": "http://a.example/1.mp3|http://a.example/a song.mp3"}]
    archives.gbif = [record(1, media=media)]
    found = list(media_of(GbifSearch("year=2001", setting)))
    assert [medium.url for medium in found] == ["http://a.example/1.mp3", "http://a.example/a song.mp3"]
