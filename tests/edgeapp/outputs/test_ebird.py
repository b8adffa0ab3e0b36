"""What goes to eBird has been reviewed, is a species, and is written as eBird's importer reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from edgeapp.errors import OutputError, UsageError
from edgeapp.outputs.ebird import CLOCK_NOT_SET, COLUMNS, NOT_A_SPECIES, NOT_REVIEWED, Site, document, left_out
from tests.edgeapp.outputs import receivers
from tests.edgeapp.outputs.some_records import AGAIN, BERLIN, CORRECTED, GENUS, NO_CLIP, NO_CLOCK, REJECTED, TIT

SITE = Site("Garden", BERLIN)


def test_there_are_nineteen_columns():
    assert len(COLUMNS) == len(set(COLUMNS)) == receivers.EBIRD_COLUMNS


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (TIT, None),
        (CORRECTED, None),
        (AGAIN, NOT_REVIEWED),
        (REJECTED, NOT_REVIEWED),
        (NO_CLOCK, CLOCK_NOT_SET),
        (GENUS, NOT_A_SPECIES),
        (replace(GENUS, review="corrected", corrected_name="Parus"), NOT_A_SPECIES),
        (replace(GENUS, review="corrected", corrected_name="Great Tit"), NOT_A_SPECIES),
        (replace(GENUS, review="corrected", corrected_name="Parus major"), None),
    ],
)
def test_only_reviewed_species_of_a_known_time_go(record, reason):
    assert left_out(record) == reason
    assert len(receivers.ebird(document([record], SITE))) == (reason is None)


def test_a_row_is_in_ebirds_order():
    (row,) = receivers.ebird(document([TIT], Site("Garden", BERLIN, "BE", "DE", note="On the roof.")))
    assert row == [
        "",  # read in the account's language; the scientific name is the same in all
        "Parus",
        "major",
        "X",
        "biovita-edge with confidence 0.88; confirmed by a reviewer",
        "Garden",
        "52.500000",
        "-13.400000",
        "06/01/2026",
        "00:10",
        "BE",
        "DE",
        "Incidental",
        "1",
        "",
        "N",
        "",
        "",
        "On the roof. Recorded and named by biovita-edge (starter 1.2)",
    ]


def test_dates_are_those_of_the_place():
    (row,) = receivers.ebird(document([TIT], Site("Garden", timezone(timedelta(hours=-8)))))
    assert (row[receivers.DATE], row[receivers.START]) == ("05/31/2026", "14:10")


def test_a_species_stands_once_on_the_checklist_of_an_hour():
    rows = receivers.ebird(document([NO_CLIP, TIT, replace(AGAIN, review="confirmed")], SITE))
    assert [(row[receivers.START], row[receivers.COMMENTS]) for row in rows] == [
        ("00:10", "biovita-edge with confidence 0.95; confirmed by a reviewer; best of 3 detections")
    ]


def test_species_of_an_hour_share_its_checklist_and_places_do_not():
    other = replace(TIT, time_utc=TIT.time_utc + timedelta(minutes=30), scientific_name="Sitta europaea")
    elsewhere = replace(TIT, latitude=53.0)
    rows = receivers.ebird(document([other, TIT, elsewhere], SITE))
    assert sorted((row[receivers.GENUS], row[receivers.LATITUDE][:2], row[receivers.START]) for row in rows) == [
        ("Parus", "52", "00:10"),
        ("Parus", "53", "00:10"),
        ("Sitta", "52", "00:10"),
    ]


def test_the_hour_that_comes_twice_is_one_checklist():
    first = replace(TIT, time_utc=datetime(2026, 10, 25, 0, 40, tzinfo=timezone.utc))
    second = replace(TIT, time_utc=datetime(2026, 10, 25, 1, 30, tzinfo=timezone.utc))
    rows = receivers.ebird(document([second, first], SITE))
    assert [row[receivers.START] for row in rows] == ["02:40"]


def test_a_correction_says_what_the_program_had_said():
    (row,) = receivers.ebird(document([CORRECTED], SITE))
    assert row[receivers.GENUS : receivers.NUMBER] == ["Periparus", "ater"]
    said = "Named by a reviewer; biovita-edge said Parus major with confidence 0.88"
    assert row[receivers.COMMENTS] == said


def test_checklists_are_in_the_order_of_time():
    rows = receivers.ebird(document([CORRECTED, TIT], SITE))
    assert [row[receivers.START] for row in rows] == ["00:10", "06:00"]


def test_more_than_ebird_takes_is_refused():
    places = [replace(TIT, latitude=i / 1000) for i in range(10_000)]
    with pytest.raises(OutputError, match=r"eBird takes 1 MB; export fewer days"):
        document(places, SITE)
    assert len(receivers.ebird(document(places[:4_000], SITE))) == 4_000


def test_a_stationary_count_has_its_duration():
    (row,) = receivers.ebird(document([TIT], Site("Garden", BERLIN, protocol="Stationary", duration_min=60)))
    assert row[receivers.PROTOCOL : receivers.COMPLETE] == ["Stationary", "1", "60"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"location": " \t\n"},
        {"location": "Garden", "protocol": "Traveling"},
        {"location": "Garden", "protocol": "Stationary"},
        {"location": "Garden", "duration_min": 5},
    ],
)
def test_a_site_that_ebird_refuses_is_refused_here(wrong):
    with pytest.raises(UsageError):
        Site(**wrong)
