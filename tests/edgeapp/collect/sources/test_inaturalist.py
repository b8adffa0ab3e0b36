"""iNaturalist's interface over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgeapp.collect.client import FetchError
from edgeapp.collect.medium import Medium
from edgeapp.collect.sources.inaturalist import INaturalist
from edgeapp.errors import UsageError
from tests.edgeapp.collect.offers import media_of


def observation(number: int, name: str = "Hyla arborea", **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "uuid": f"uuid-{number}",
        "uri": f"https://www.inaturalist.org/observations/{number}",
        "quality_grade": "research",
        "taxon": {
            "name": name,
            "rank": "species",
            "iconic_taxon_name": "Amphibia",
            "preferred_common_name": "Tree Frog",
        },
        "user": {"login": "frogger", "name": "A. Frog"},
        "observed_on": "2024-05-01",
        "time_observed_at": "2024-05-01T22:10:00+02:00",
        "location": "52.5,13.4",
        "sounds": [
            {
                "id": 10 * number,
                "file_url": f"https://static.inaturalist.org/sounds/{number}.m4a?1700000000",
                "file_content_type": "audio/mp4",
                "license_code": "cc-by-nc",
                "attribution": "(c) B. Toad, some rights reserved (CC BY-NC)",
            }
        ],
        "photos": [
            {
                "id": 20 * number,
                "url": f"https://inaturalist-open-data.s3.amazonaws.com/photos/{number}/square.jpg",
                "license_code": None,
                "attribution": "A. Frog, no rights reserved",
            }
        ],
        **more,
    }


def test_sounds_and_photos_have_what_their_observation_says(archives, setting):
    archives.inaturalist = [observation(3)]
    sound, photo, *again = media_of(INaturalist("place_id=7207", setting))
    assert sound == Medium(
        source="inaturalist",
        id="sound-30",
        observation="https://www.inaturalist.org/observations/3",
        modality="audio",
        url="https://static.inaturalist.org/sounds/3.m4a?1700000000",
        scientific_name="Hyla arborea",
        ranks={"class": "Amphibia"},
        common_name="Tree Frog",
        media_type="audio/mp4",
        licence="cc-by-nc",
        author="B. Toad",
        page="https://www.inaturalist.org/observations/3",
        observer="frogger",
        recorded_at="2024-05-01T22:10:00+02:00",
        latitude=52.5,
        longitude=13.4,
        quality="research",
    )
    assert (photo.id, photo.licence, photo.author) == ("photo-60", "all rights reserved", "A. Frog")
    assert photo.url == "https://inaturalist-open-data.s3.amazonaws.com/photos/3/large.jpg"
    assert again == [sound, photo]  # once asked for sounds, once for photos


def test_pages_go_by_the_last_observation(archives, setting):
    archives.inaturalist = [observation(n) for n in range(1, 26)]
    archives.per_page = 10
    source = INaturalist("place_id=1&place_id=2", replace(setting, modalities=("audio",)))
    [query] = source.queries()
    pages = list(source.pages(query))
    assert [len(list(page.media)) for page in pages] == [10, 10, 5]
    assert [page.then for page in pages] == ["10", "20", ""]
    assert [len(list(page.media)) for page in source.pages(query, "20")] == [5]
    assert all("place_id=1&place_id=2&sounds=true" in path for path in archives.asked)


def test_an_empty_answer_ends(archives, setting):
    assert list(media_of(INaturalist("place_id=1", setting))) == []
    assert len(archives.asked) == 2


def test_hidden_media_and_those_without_an_address_are_passed_over(archives, setting):
    archives.inaturalist = [
        observation(1, photos=[], sounds=[{"id": 1, "file_url": None}, {"id": 2, "file_url": "u", "hidden": True}])
    ]
    assert list(media_of(INaturalist("place_id=1", setting))) == []


def test_each_species_of_a_list_is_a_query(archives, setting):
    archives.inaturalist = [observation(1), observation(2, "Rana temporaria"), observation(3, "Bufo bufo")]
    setting = replace(setting, species=("Rana temporaria", "Bufo bufo"), modalities=("image",), photo_size="medium")
    found = list(media_of(INaturalist("all", setting)))
    assert [medium.url.rpartition("photos/")[2] for medium in found] == ["2/medium.jpg", "3/medium.jpg"]


@pytest.mark.parametrize("what", ["all", "", "id_above=7"])
def test_a_query_that_cannot_be_is_refused(what, setting):
    with pytest.raises(UsageError):
        INaturalist(what, setting)


@pytest.mark.parametrize("answer", [[], {"results": None}, {"results": [{}]}, {"results": [{"id": "x"}]}])
def test_an_answer_of_another_form_is_an_error(answer, archives, setting):
    archives.refusals.append((200, {}, answer))
    with pytest.raises(Exception, match="the answer is not what") as caught:
        list(media_of(INaturalist("place_id=1", setting)))
    assert caught.value.remedy


def test_media_without_an_address_are_counted(archives, setting, told):
    archives.inaturalist = [observation(3), observation(4)]
    archives.inaturalist[0]["photos"].append({"id": 9, "url": None})
    archives.inaturalist[1]["sounds"][0]["hidden"] = True
    assert len(list(media_of(INaturalist("place_id=7207", replace(setting, modalities=("image",)))))) == 2
    assert told.lines == ["inaturalist: 1 sounds and photos have no address, and are left out"]


def test_a_mirror_that_repeats_its_answer_is_no_endless_query(archives, setting):
    archives.refusals.extend([(200, {}, {"total_results": 90, "results": [observation(3)]})] * 3)
    with pytest.raises(FetchError, match="the same observations come again"):
        list(media_of(INaturalist("place_id=7207", replace(setting, modalities=("audio",)))))
    assert len(archives.asked) == 2


def test_pages_without_a_total_are_asked_to_the_end(archives, setting):
    archives.refusals.extend([(200, {}, {"results": [observation(n)]}) for n in (3, 4)] + [(200, {}, {"results": []})])
    found = media_of(INaturalist("place_id=7207", replace(setting, modalities=("audio",))))
    assert [medium.id for medium in found] == ["sound-30", "sound-40"]


def test_a_full_page_is_followed_by_another_whatever_is_announced(archives, setting):
    setting = replace(setting, modalities=("audio",), enough=None)
    full = [observation(number) for number in range(1, 201)]
    for page in (full, [observation(201)]):
        archives.refusals.append((200, {}, {"total_results": 0, "results": page}))
    assert len(list(media_of(INaturalist("place_id=7207", setting)))) == 201
