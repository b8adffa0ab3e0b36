"""Wikimedia Commons over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgeapp.collect.client import FetchError
from edgeapp.collect.medium import Medium
from edgeapp.collect.sources.wikimedia import Commons
from edgeapp.errors import UsageError
from tests.edgeapp.collect.offers import media_of


def info(name: str, **more: Any) -> dict[str, Any]:
    return {
        "url": f"https://upload.example/{name}.jpg",
        "thumburl": f"https://upload.example/thumb/{name}.jpg",
        "descriptionurl": f"https://commons.example/wiki/File:{name}.jpg",
        "mime": "image/jpeg",
        "width": 4000,
        "height": 3000,
        "size": 5_000_000,
        "sha1": "ab" * 20,
        "extmetadata": {
            "LicenseShortName": {"value": "CC BY-SA 4.0"},
            "Artist": {"value": '<a href="//x">A.&nbsp;<b>Photographer</b></a>'},
            "DateTimeOriginal": {"value": "2019-04-01 10:00:00"},
        },
        **more,
    }


@pytest.fixture
def setting(setting):
    return replace(setting, species=("Parus major", "Hyla arborea", "Bufo bufo"))


def test_the_picture_of_an_article_comes_with_its_author_and_licence(archives, setting):
    archives.redirects["Parus major"] = "Great tit"
    archives.wikipedia["Great tit"] = "Parus_major_m.jpg"
    archives.commons["File:Parus major m.jpg"] = info("m")
    assert list(media_of(Commons("en", setting))) == [
        Medium(
            source="commons",
            id="Parus major m.jpg",
            observation="https://commons.example/wiki/File:m.jpg",
            modality="image",
            url="https://upload.example/thumb/m.jpg",
            scientific_name="Parus major",
            media_type="image/jpeg",
            licence="CC BY-SA 4.0",
            author="A. Photographer",
            page="https://commons.example/wiki/File:m.jpg",
            recorded_at="2019-04-01",
        )
    ]
    assert len(archives.questions("/wikipedia")) == 1  # for all species


def test_the_original_is_checked_by_its_hash(archives, setting):
    archives.wikipedia["Bufo bufo"] = "B.jpg"
    archives.commons["File:B.jpg"] = info("b")
    [medium] = media_of(Commons("en", replace(setting, photo_size="original")))
    assert (medium.url, medium.checksum, medium.size) == (
        "https://upload.example/b.jpg",
        f"sha1:{'ab' * 20}",
        5_000_000,
    )


def test_maps_drawings_and_small_pictures_give_way_to_the_category(archives, setting):
    archives.wikipedia.update({"Parus major": "Range map.png", "Hyla arborea": "H.svg", "Bufo bufo": "Small.jpg"})
    archives.commons.update(
        {
            "File:Range map.png": info("map", mime="image/png"),
            "File:H.svg": info("h", mime="image/svg+xml"),
            "File:Small.jpg": info("small", width=120),
            "File:P1.jpg": info("p1", category="Category:Parus major"),
            "File:P2.jpg": info(
                "p2", category="Category:Parus major", width=800, extmetadata={"Assessments": {"value": "quality"}}
            ),
            "File:H map.jpg": info("hm", category="Category:Hyla arborea"),
            "File:H1.jpg": info("h1", category="Category:Hyla arborea", width=900, height=900),
            "File:H2.jpg": info("h2", category="Category:Hyla arborea"),
        }
    )
    assert [(medium.scientific_name, medium.id) for medium in media_of(Commons("en", setting))] == [
        ("Parus major", "P2.jpg"),  # assessed before larger
        ("Hyla arborea", "H2.jpg"),
    ]


def test_many_species_are_asked_for_fifty_at_a_time(archives, setting):
    species = tuple(f"Genus species{n}" for n in range(120))
    for name in species:
        archives.wikipedia[name] = f"{name}.jpg"
        archives.commons[f"File:{name}.jpg"] = info(name)
    assert len(list(media_of(Commons("en", replace(setting, species=species))))) == 120
    assert len(archives.asked) == 6


def test_an_error_of_the_interface_is_told(archives, setting):
    archives.refusals.append((200, {}, {"error": {"code": "readonly", "info": "The database is locked"}}))
    with pytest.raises(Exception, match="The database is locked"):
        list(media_of(Commons("en", setting)))


def test_only_a_language_is_taken(setting):
    with pytest.raises(UsageError, match="is no language"):
        Commons("evil.example/", setting)


@pytest.mark.parametrize("case", ["genus", "several", "section"])
def test_a_picture_of_an_article_on_more_than_the_species_is_not_taken(case, archives, setting):
    title = {"genus": "Hyla", "several": "Toads and frogs", "section": "Hyla (genus)"}[case]
    archives.redirects["Hyla arborea"] = title
    if case == "several":
        archives.redirects["Bufo bufo"] = title
    archives.sections = {title} if case == "section" else set()
    archives.wikipedia[title] = "Hyla meridionalis.jpg"
    archives.commons["File:Hyla meridionalis.jpg"] = info("meridionalis")
    archives.commons["File:Own.jpg"] = info("own", category="Category:Hyla arborea")
    assert [medium.id for medium in media_of(Commons("en", setting))] == ["Own.jpg"]


@pytest.mark.parametrize(("code", "remedy"), [("maxlag", "try again later"), ("badvalue", "check the query")])
def test_what_passes_is_to_be_tried_again(code, remedy, archives, setting):
    archives.refusals.append((200, {}, {"error": {"code": code, "info": "Waiting for a database"}}))
    with pytest.raises(FetchError, match=f"Waiting for a database; {remedy}"):
        list(media_of(Commons("en", setting)))
