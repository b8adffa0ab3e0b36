"""The same file and the same encounter are taken once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.duplicates import (
    SAME_CONTENT,
    SAME_ENCOUNTER,
    SAME_FILE,
    Offered,
    leave_out_content,
)
from edgeapp.collect.medium import Medium
from tests.edgeapp.collect.offers import medium, resolve

OBSERVATION = "https://www.inaturalist.org/observations/77"


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path) as opened:
        yield opened


def photo(id: object, source: str, number: int, size: str = "large", **told: object) -> Medium:
    url = f"https://inaturalist-open-data.s3.amazonaws.com/photos/{number}/{size}.jpg"
    return medium(id, source, "image", url=url, **{"observation": OBSERVATION, **told})


def leave_out_offered(catalogue: Catalogue) -> None:
    offered = Offered()
    for row in catalogue.rows("offered"):
        offered.add(row)
    offered.leave_out(catalogue)


def reasons(catalogue: Catalogue) -> dict[str, str]:
    return {f"{row.medium.source} {row.medium.id}": row.reason for row in catalogue.rows()}


def test_a_republished_record_gives_way_to_its_own_archive(catalogue: Catalogue) -> None:
    catalogue.offer([photo(1, "gbif", 1, "original"), photo(2, "gbif", 2), photo(1, "inaturalist", 1)])
    leave_out_offered(catalogue)
    assert reasons(catalogue) == {"gbif 1": SAME_FILE, "gbif 2": SAME_ENCOUNTER, "inaturalist 1": ""}


def test_all_photos_of_an_encounter_stay_in_one_source(catalogue: Catalogue) -> None:
    catalogue.offer([photo(n, "inaturalist", n) for n in range(3)])
    leave_out_offered(catalogue)
    assert set(reasons(catalogue).values()) == {""}


def test_a_recording_does_not_stand_for_a_photo_of_its_encounter(catalogue: Catalogue) -> None:
    catalogue.offer([photo(1, "inaturalist", 1), medium(2, "gbif", observation=OBSERVATION)])
    leave_out_offered(catalogue)
    assert set(reasons(catalogue).values()) == {""}


def test_without_a_first_hand_source_the_one_with_most_stays(catalogue: Catalogue) -> None:
    record = "https://museum.example/id/9"
    catalogue.offer(
        [medium(1, "gbif", observation=record), *(medium(n, "biovita", observation=record) for n in (2, 3))]
    )
    leave_out_offered(catalogue)
    assert reasons(catalogue) == {"gbif 1": SAME_ENCOUNTER, "biovita 2": "", "biovita 3": ""}


def test_one_address_offered_twice_is_one_file(catalogue: Catalogue) -> None:
    catalogue.offer([medium(n, "gbif", url="https://example.org/a.mp3") for n in range(3)])
    leave_out_offered(catalogue)
    assert list(reasons(catalogue).values()) == ["", SAME_FILE, SAME_FILE]


def test_what_is_left_out_already_displaces_nothing(catalogue: Catalogue) -> None:
    catalogue.offer([photo(1, "inaturalist", 1, licence="no"), photo(1, "gbif", 1, licence="CC0")])
    catalogue.license("no", "unknown", "licence unknown")
    leave_out_offered(catalogue)
    assert reasons(catalogue) == {"inaturalist 1": "licence unknown", "gbif 1": ""}


def test_records_of_single_sources_are_not_mixed_up(catalogue: Catalogue) -> None:
    catalogue.offer([medium(1, source, observation="1") for source in ("gbif", "folder", "biovita")])
    leave_out_offered(catalogue)
    assert set(reasons(catalogue).values()) == {""}


def test_nothing_offered_is_no_error(catalogue: Catalogue) -> None:
    leave_out_offered(catalogue)
    assert leave_out_content(catalogue) == 0


def fetched(catalogue: Catalogue, *media: Medium, sha256: str = "ab") -> None:
    catalogue.offer(media)
    resolve(catalogue)
    for row in list(catalogue.rows("offered")):
        catalogue.downloaded(row.key, f"{row.key}.mp3", sha256, 10)


def test_the_same_content_is_taken_once_for_a_species(catalogue: Catalogue) -> None:
    fetched(catalogue, medium(1, "gbif"), medium(2, "xeno-canto", observation="XC222"), medium(3, "folder"))
    assert leave_out_content(catalogue) == 2
    assert reasons(catalogue) == {"gbif 1": SAME_CONTENT, "xeno-canto 2": "", "folder 3": SAME_CONTENT}


def test_content_given_for_two_species_stays_with_a_note(catalogue: Catalogue) -> None:
    fetched(catalogue, medium(1), medium(2, scientific_name="Parus minor"))
    for _ in range(2):
        assert leave_out_content(catalogue) == 0
    assert [row.notes for row in catalogue.rows()] == [("also given for Parus minor",), ("also given for Parus major",)]
