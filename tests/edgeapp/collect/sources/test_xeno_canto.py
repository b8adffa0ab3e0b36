"""Xeno-canto's interface over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgeapp.collect.client import FetchError
from edgeapp.collect.medium import Medium
from edgeapp.collect.sources.xeno_canto import XenoCanto
from edgeapp.errors import UsageError
from tests.edgeapp.collect.archive_server import KEY
from tests.edgeapp.collect.offers import media_of


def record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "gen": "Parus",
        "sp": "major",
        "ssp": "",
        "grp": "birds",
        "en": "Great Tit",
        "rec": "A. Recordist",
        "cnt": "Germany",
        "lat": "52.5",
        "lon": "13.4",
        "type": "song",
        "sex": "male",
        "stage": "",
        "url": f"//xeno-canto.org/{number}",
        "file": f"https://xeno-canto.org/{number}/download",
        "file-name": f"XC{number}.mp3",
        "sono": {"small": None},
        "lic": "//creativecommons.org/licenses/by-nc-sa/4.0/",
        "q": "A",
        "length": "1:05",
        "time": "05:30",
        "date": "2024-05-00",
        "also": ["Turdus merula", ""],
        "temp": None,
        "smp": "44100",
        "annotation-set": [],
        **more,
    }


def test_a_recording_has_what_the_interface_says(archives, setting):
    archives.xeno_canto = [record(7)]
    assert list(media_of(XenoCanto("cnt:germany q:A", setting))) == [
        Medium(
            source="xeno-canto",
            id="7",
            observation="https://xeno-canto.org/7",
            modality="audio",
            url="https://xeno-canto.org/7/download",
            scientific_name="Parus major",
            ranks={"class": "Aves", "genus": "Parus"},
            common_name="Great Tit",
            licence="https://creativecommons.org/licenses/by-nc-sa/4.0/",
            author="A. Recordist",
            page="https://xeno-canto.org/7",
            observer="A. Recordist",
            recorded_at="2024-05",
            latitude=52.5,
            longitude=13.4,
            country="Germany",
            quality="A",
            duration_s=65.0,
            kind="song, male",
            background=("Turdus merula",),
        )
    ]


@pytest.mark.parametrize(
    ("more", "name", "value"),
    [
        ({"ssp": "newtoni"}, "scientific_name", "Parus major newtoni"),
        ({"q": "no score"}, "quality", "no score"),
        ({"q": ""}, "quality", "no score"),
        ({"q": "b"}, "quality", "B"),
        ({"length": "1:00:05"}, "duration_s", 3605.0),
        ({"length": "?"}, "duration_s", None),
        ({"date": "2024-05-01"}, "recorded_at", "2024-05-01T05:30"),
        ({"date": "2024-05-01", "time": "?"}, "recorded_at", "2024-05-01"),
        ({"date": "0000-00-00"}, "recorded_at", ""),
        ({"lat": None, "lon": ""}, "latitude", None),
        ({"grp": ""}, "ranks", {"genus": "Parus"}),
        ({"also": None}, "background", ()),
    ],
)
def test_what_is_not_known_is_left_empty(more, name, value, archives, setting):
    archives.xeno_canto = [record(7, **more)]
    [medium] = media_of(XenoCanto("cnt:germany", setting))
    assert getattr(medium, name) == value


def test_all_pages_are_asked_and_a_cut_goes_on(archives, setting):
    archives.xeno_canto = [record(n) for n in range(25)]
    archives.per_page = 10
    source = XenoCanto("gen:parus", setting)
    pages = list(source.pages("gen:parus"))
    assert [len(list(page.media)) for page in pages] == [10, 10, 5]
    assert [page.then for page in pages] == ["2", "3", ""]
    assert [len(list(page.media)) for page in source.pages("gen:parus", "3")] == [5]


def test_recordings_without_a_file_are_counted(archives, setting, told):
    archives.xeno_canto = [record(1), record(2, file="")]
    assert len(list(media_of(XenoCanto("gen:parus", setting)))) == 1
    assert told.lines == ["xeno-canto: 1 recordings of 'gen:parus' have no file for the public"]


def test_each_species_of_a_list_is_a_query(archives, setting):
    archives.xeno_canto = [record(1), record(2, gen="Turdus", sp="merula"), record(3, q="B")]
    source = XenoCanto("q:A", replace(setting, species=("Parus major", "Turdus merula")))
    assert list(source.queries()) == ["gen:parus sp:major q:A", "gen:turdus sp:merula q:A"]
    assert [medium.id for medium in media_of(source)] == ["1", "2"]


def test_photos_are_not_asked_for(archives, setting):
    assert list(media_of(XenoCanto("gen:parus", replace(setting, modalities=("image",))))) == []
    assert archives.asked == []


def test_the_archives_words_come_without_the_key(archives, setting):
    with pytest.raises(FetchError) as caught:
        list(media_of(XenoCanto("gen:parus", replace(setting, key="wrong-key-of-a-user"))))
    text = str(caught.value)
    assert "401" in text and "Missing or invalid 'key' parameter: ***" in text
    assert "wrong-key" not in text and KEY not in text


@pytest.mark.parametrize(
    ("what", "key", "words"),
    [
        ("gen:parus", "", "asks for a key; find it at .* XENO_CANTO_KEY or name a file with --xeno-canto-key-file"),
        ("parus major", KEY, "has no tags"),
        ("all", KEY, "asks for everything"),
    ],
)
def test_a_query_that_cannot_be_is_refused(what, key, words, setting):
    with pytest.raises(UsageError, match=words):
        XenoCanto(what, replace(setting, key=key))


@pytest.mark.parametrize("answer", [[], {"error": "server_error", "message": "down for repair"}, {"recordings": [7]}])
def test_an_answer_of_another_form_is_an_error(answer, archives, setting):
    archives.refusals.append((200, {}, answer))
    with pytest.raises(Exception, match="has no recordings|down for repair|not what is documented") as caught:
        list(media_of(XenoCanto("gen:parus", setting)))
    assert caught.value.remedy


def test_names_of_a_list_are_asked_for_by_genus_and_epithet(setting):
    names = ("Parus major Linnaeus, 1758", "Parus major newtoni", "Turdus")
    source = XenoCanto("q:A", replace(setting, species=names))
    assert list(source.queries()) == ["gen:parus sp:major q:A", "gen:parus sp:major q:A", "gen:turdus q:A"]


def test_an_error_in_an_answer_comes_without_the_key(archives, setting):
    archives.refusals.append((200, {}, {"error": "client_error", "message": f"no\nmore questions with {KEY}"}))
    with pytest.raises(FetchError, match=r"no more questions with \*\*\*"):
        list(media_of(XenoCanto("gen:parus", setting)))


def test_what_is_announced_and_not_given_is_told(archives, setting, told):
    answer = {"numRecordings": "700", "numPages": 1, "recordings": [record(1), record(2)]}
    archives.refusals.append((200, {}, answer))
    assert len(list(media_of(XenoCanto("gen:parus", setting)))) == 2
    assert told.lines == ["xeno-canto: announced 700 recordings of 'gen:parus', and gave 2"]


def test_without_a_number_of_pages_that_of_recordings_counts(archives, setting, told):
    for page in ([record(1), record(2)], [record(3)]):
        archives.refusals.append((200, {}, {"numRecordings": "3", "numPages": None, "recordings": page}))
    assert [medium.id for medium in media_of(XenoCanto("gen:parus", setting))] == ["1", "2", "3"]
    assert told.lines == []


def test_a_page_that_comes_again_and_again_is_an_error(archives, setting):
    archives.refusals.extend([(200, {}, {"numRecordings": "9", "numPages": 9, "recordings": [record(1)]})] * 9)
    with pytest.raises(FetchError, match="the same recordings come again and again"):
        list(media_of(XenoCanto("gen:parus", setting)))
    assert len(archives.asked) == 2
