"""Which species are expected here and now."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from edgeapp.clock.weeks import birdnet_week
from edgeapp.detections.species_range import COLUMNS, WEEKS, SpeciesRange
from edgeapp.errors import UsageError
from tests.edgeapp import toy_pack as toy

TAXA = toy.taxa()


@pytest.fixture
def table(tmp_path):
    """Write a table of some lines and give its path."""

    def write(*lines, header=",".join(COLUMNS)):
        path = tmp_path / "range.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("month", "day", "week"),
    [(1, 1, 1), (1, 7, 1), (1, 8, 2), (1, 14, 2), (1, 15, 3), (1, 21, 3), (1, 22, 4), (1, 31, 4), (2, 1, 5)]
    + [(2, 29, 8), (6, 30, 24), (12, 24, 48), (12, 31, 48)],
)
def test_weeks_are_four_a_month(month, day, week):
    assert birdnet_week(datetime(2024, month, day)) == week


def test_every_week_comes_once_in_a_year():
    weeks = [birdnet_week(datetime(2024, 1, 1) + timedelta(days=day)) for day in range(366)]
    assert weeks == sorted(weeks)
    assert set(weeks) == set(range(1, WEEKS + 1))


def test_the_place_and_the_week_count(table):
    path = table("Parus major,50,60,10,20,10,20")
    here = SpeciesRange.read(path, TAXA, 55, 15)
    assert [here.expects("Parus major", week) for week in (9, 10, 20, 21)] == [False, True, True, False]
    assert here.expects("Parus major", None)
    for latitude, longitude, inside in ((50, 10, True), (60, 20, True), (49.9, 15, False), (55, 20.1, False)):
        assert SpeciesRange.read(path, TAXA, latitude, longitude).expects("Parus major", 15) is inside


def test_ranges_wrap_over_new_year_and_the_date_line(table):
    path = table("Parus major,,,170,-170,45,8")
    for longitude, inside in ((175, True), (-175, True), (180, True), (-180, True), (0, False), (169, False)):
        ranges = SpeciesRange.read(path, TAXA, 0, longitude)
        assert [ranges.expects("Parus major", week) for week in (44, 45, 48, 1, 8, 9)] == (
            [False, True, True, True, True, False] if inside else [False] * 6
        )


def test_an_empty_cell_is_no_limit(table):
    path = table("Parus major,,,,,,", "Parus minor,40,,,0,40,")
    ranges = SpeciesRange.read(path, TAXA, 89, -180)
    assert ranges.expects("Parus major", 1) and ranges.expects("Parus minor", 48)
    assert not ranges.expects("Parus minor", 39)
    assert not SpeciesRange.read(path, TAXA, 39, -180).expects("Parus minor", 48)
    assert not SpeciesRange.read(path, TAXA, 89, 1).expects("Parus minor", 48)


def test_rows_of_a_species_are_alternatives_each_with_its_own_weeks(table):
    path = table("Parus major,0,10,,,1,10", "Parus major,50,60,,,20,30")
    north = SpeciesRange.read(path, TAXA, 55, 0)
    assert [north.expects("Parus major", week) for week in (5, 25)] == [False, True]
    assert not SpeciesRange.read(path, TAXA, 30, 0).expects("Parus major", None)
    passage = SpeciesRange.read(table("Parus major,,,,,12,16", "Parus major,,,,,36,40"), TAXA, 55, 0)
    assert [passage.expects("Parus major", week) for week in (12, 25, 40)] == [True, False, True]


def test_species_without_a_row_are_kept_unless_asked_otherwise(table):
    path = table("Parus major,,,,,,", "Dodo dodo,,,,,,")
    kept = SpeciesRange.read(path, TAXA, 0, 0)
    assert kept.without_row == ("Cuculus canorus", "Parus minor", "Bufo bufo")
    assert kept.unknown == ("Dodo dodo",)
    assert kept.expects("Bufo bufo", 1)
    rejected = SpeciesRange.read(path, TAXA, 0, 0, missing="reject")
    assert not rejected.expects("Bufo bufo", 1)
    assert rejected.expects("Parus major", 1)
    assert kept.described() == {
        "path": str(path),
        "missing": "keep",
        "species_with_row": 1,
        "species_without_row": 3,
        "unknown_names": 1,
    }


def test_further_columns_and_blank_lines_do_no_harm(table):
    path = table("a note,PARUS  major,50,60,,,,", "", ",,,,,,,", header="note," + ",".join(COLUMNS))
    assert not SpeciesRange.read(path, TAXA, 40, 0).expects("Parus major", 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Parus major,north,,,,,", "line 3, column latitude_min: 'north' is not a number"),
        ("Parus major,nan,,,,,", "line 3, column latitude_min: nan is not in -90 to 90"),
        ("Parus major,,91,,,,", "line 3, column latitude_max: 91 is not in -90 to 90"),
        ("Parus major,,,-181,,,", "line 3, column longitude_min: -181 is not in -180 to 180"),
        ("Parus major,60,50,,,,", "line 3: latitude_min 60 is above latitude_max 50"),
        ("Parus major,,,,,0,", "line 3, column week_first: 0 is not in 1 to 48"),
        ("Parus major,,,,,,49", "line 3, column week_last: 49 is not in 1 to 48"),
        ("Parus major,,,,,1.5,", "line 3, column week_first: 1.5 is not a week"),
        (",,,,,1,", "line 3, column scientific_name is empty"),
        ("Parus major,,", "line 3 has 3 fields instead of 7"),
    ],
)
def test_a_defect_is_named_with_its_line(table, line, said):
    with pytest.raises(UsageError, match="range table .*range.csv, ") as error:
        SpeciesRange.read(table("Parus minor,,,,,,", line), TAXA, 0, 0)
    assert said in str(error.value)
    assert error.value.remedy


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"scientific_name,latitude_min\nParus major,1\n", "has no column latitude_max, longitude_min"),
        (",".join([*COLUMNS, "week_last"]).encode(), "has the column week_last twice"),
        (",".join(COLUMNS).encode(), "has no species"),
        (b"", "has no column scientific_name"),
        (",".join(COLUMNS).encode() + b"\nParus m\xe4jor,,,,,,\n", "is not UTF-8 text"),
        (",".join(COLUMNS).encode() + b'\n"Parus major,,,,,,\n', "line 2 is not CSV"),
        (None, "cannot be read"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, content, said):
    path = tmp_path / "range.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        SpeciesRange.read(path, TAXA, 0, 0)


@pytest.mark.parametrize(("latitude", "longitude"), [(None, 5), (5, None), (91, 0), (0, 181), (float("nan"), 0)])
def test_there_must_be_a_place(table, latitude, longitude):
    with pytest.raises(UsageError, match="invalid location|needs a location"):
        SpeciesRange.read(table("Parus major,,,,,,"), TAXA, latitude, longitude)


def test_a_word_for_missing_species_that_means_nothing_is_refused(table):
    with pytest.raises(UsageError, match="'perhaps'; use keep or reject"):
        SpeciesRange.read(table("Parus major,,,,,,"), TAXA, 0, 0, missing="perhaps")
