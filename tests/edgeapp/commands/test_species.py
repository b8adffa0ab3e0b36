"""What is expected at a place: listed, and left out of what is identified."""

from __future__ import annotations

import csv
import io
import json

import pytest

from edgeapp.detections.filters import SpeciesList
from tests.edgeapp import toy_pack as toy

BERLIN = ("--latitude", 52.5, "--longitude", 13.4)
KYOTO = ("--latitude", 35.0, "--longitude", 135.8)


@pytest.fixture(scope="module")
def ranged(tmp_path_factory):
    """A toy pack with an occurrence model."""
    return toy.add_range(toy.make(tmp_path_factory.mktemp("packs") / "ranged"))


@pytest.fixture(autouse=True)
def no_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("BIOVITA_CONFIG", raising=False)


@pytest.fixture
def species(run, ranged):
    def call(*words):
        return run("species", "--pack", ranged, *words)

    return call


# species


def test_species_are_listed_the_most_frequent_first(species):
    document = json.loads(species(*BERLIN, "--week", 20, "-f", "json").stdout)
    assert document["species"] == [
        {"scientific_name": "Parus major", "common_name": "Great Tit", "occurrence": 0.9},
        {"scientific_name": "Cuculus canorus", "common_name": "Common Cuckoo", "occurrence": 0.6},
    ]
    del document["species"]
    assert document == {
        "latitude": 52.5,
        "longitude": 13.4,
        "week": 20,
        "min_occurrence": 0.03,
        "pack": {"name": "toy", "version": "1.0"},
    }


def names(done):
    assert done.exit_code == 0, done.stderr
    return [row["scientific_name"] for row in csv.DictReader(io.StringIO(done.stdout))]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--week", 10), ["Parus major"]),
        (("--date", "2026-05-22"), ["Parus major", "Cuculus canorus"]),
        (("--date", "2026-03-09"), ["Parus major"]),
        (("--week", -1), ["Parus major", "Cuculus canorus"]),
        ((), ["Parus major", "Cuculus canorus"]),
        (("--week", 10, "--min-occurrence", 0.95), []),
        (("--week", 10, "--min-occurrence", 0), ["Parus major", "Parus minor", "Cuculus canorus"]),
    ],
)
def test_week_date_and_threshold_choose_the_species(species, words, found):
    assert names(species(*BERLIN, "-f", "csv", *words)) == found


def test_the_heading_says_which_place_and_week(species):
    assert "2 species at 52.5, 13.4 in week 20, occurrence from 0.03" in species(*BERLIN, "--week", 20).stderr
    assert "in the whole year" in species(*BERLIN).stderr


def test_species_are_named_in_the_language(species):
    assert "Kohlmeise" in species(*BERLIN, "--language", "de").stdout


def test_the_list_is_a_species_list(species, tmp_path, recogniser):
    path = tmp_path / "list.txt"
    assert species(*BERLIN, "--week", 20, "-f", "list", "-o", path).exit_code == 0
    assert path.read_text().splitlines() == ["Parus major_Great Tit", "Cuculus canorus_Common Cuckoo"]
    assert SpeciesList.read(path, recogniser.taxa).species == {"Parus major", "Cuculus canorus"}


def test_the_place_of_the_station_is_taken_if_none_is_given(species, tmp_path, monkeypatch):
    config = tmp_path / "config.toml"
    config.write_text("[detections]\nlatitude = 35.0\nlongitude = 135.8\n")
    monkeypatch.setenv("BIOVITA_CONFIG", str(config))
    assert "Parus minor" in species("--week", 10).stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "no location given; give --latitude and --longitude"),
        (("--latitude", 50), "a location needs both coordinates"),
        (("--latitude", 95, "--longitude", 0), "invalid location 95, 0"),
        (("--latitude", "52,5", "--longitude", 0), "'52,5' is not a number of degrees, such as 52.5 or -13.4"),
        (("--latitude", 52, "--longitude", "13°24'E"), "is not a number of degrees, such as 52.5"),
        ((*BERLIN, "--week", 49), "--week must be 1 to 48, not 49; give -1"),
        ((*BERLIN, "--week", 0), "--week must be 1 to 48, not 0"),
        ((*BERLIN, "--week", 3, "--date", "2026-01-01"), "--date and --week exclude each other; give only one"),
        ((*BERLIN, "--date", "May"), "'May' is not a date; write it as 2026-05-22"),
        ((*BERLIN, "--min-occurrence", 2), "give a number from 0 to 1"),
    ],
)
def test_a_wrong_place_or_time_is_one_line(species, words, line):
    done = species(*words)
    assert done.exit_code == 2
    assert line in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_pack_without_a_model_cannot_say(run, toy_pack):
    done = run("species", "--pack", toy_pack, *BERLIN)
    assert done.exit_code == 3
    assert "pack toy 1.0 has no occurrence model" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_pack_is_verified_with_its_model(run, ranged, toy_copy):
    assert run("pack", "verify", ranged).exit_code == 0
    assert "range.onnx, occurrence from 0.03" in run("pack", "info", ranged).stdout
    toy.add_range(toy_copy)
    (toy_copy / "range.txt").write_text("Parus major\n")
    toy.write_again(toy_copy)
    done = run("pack", "verify", toy_copy)
    assert done.exit_code == 3
    assert "gave [49, 4] values, not [49, 1]" in done.stderr


# identify


@pytest.fixture
def cuckoo(record):
    """A recording that does not say when it was made."""
    return record("cuckoo.wav", toy.tone(3000, seconds=12))


@pytest.fixture
def identified(run, ranged):
    def call(file, *words):
        done = run("identify", file, "--pack", ranged, "-f", "json", *words)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    return call


def detected(document):
    return [one["taxon"]["scientific_name"] for one in document["detections"]]


def test_a_species_out_of_season_is_left_out_and_counted(identified, cuckoo):
    document, told = identified(cuckoo, *BERLIN, "--week", 10)
    assert detected(document) == [] and all(not window["detections"] for window in document["windows"])
    assert "Cuculus canorus" not in json.dumps(document["species"] + [w["species"] for w in document["windows"]])
    [_, note] = document["notes"]  # the first is on the rate of the toy recording
    assert note == "1 detection not expected at 52.5, 13.4 in week 10 left out: Cuculus canorus (1)"
    assert note in told


def test_a_species_in_season_is_told_with_the_place(identified, cuckoo):
    document, _ = identified(cuckoo, *BERLIN, "--date", "2026-05-22")
    assert detected(document) == ["Cuculus canorus"] and len(document["notes"]) == 1
    source = document["detections"][0]["source"]
    assert (source["latitude"], source["longitude"]) == (52.5, 13.4)


def test_the_week_is_that_of_the_recording(identified, record):
    for name, found in (("20260522_060000Z.wav", ["Cuculus canorus"]), ("20260310_060000Z.wav", [])):
        document, _ = identified(record(name, toy.tone(3000, seconds=12)), *BERLIN)
        assert detected(document) == found


def test_a_recording_without_a_date_gets_the_whole_year_and_a_note(identified, cuckoo):
    document, told = identified(cuckoo, *BERLIN)
    assert detected(document) == ["Cuculus canorus"]
    note = "unknown date: the occurrence of the whole year is used; give --date or --week"
    assert document["notes"][1:] == [note]
    assert note not in identified(cuckoo, *BERLIN, "--week", -1)[0]["notes"], "asked for"


def test_a_species_without_a_value_is_kept(identified, record):
    document, _ = identified(record("toad.wav", toy.tone(500, seconds=12)), *BERLIN, "--week", 1)
    assert detected(document) == ["Bufo bufo"]


def test_the_range_table_of_the_user_counts_beside_the_model(identified, record, tmp_path):
    table = tmp_path / "range.csv"
    head = "scientific_name,latitude_min,latitude_max,longitude_min,longitude_max,week_first,week_last\n"
    table.write_text(head + "Parus major,,,100,180,,\n")
    tit = record("tit.wav", toy.tone(1000, seconds=12))
    assert detected(identified(tit, *BERLIN, "--week", 20)[0]) == ["Parus major"]
    assert detected(identified(tit, *BERLIN, "--week", 20, "--range-table", table)[0]) == []
    assert detected(identified(tit, *KYOTO, "--week", 20, "--range-table", table)[0]) == ["Parus major"]


def test_names_of_a_range_table_without_effect_are_said(identified, record, tmp_path):
    table = tmp_path / "range.csv"
    head = "scientific_name,latitude_min,latitude_max,longitude_min,longitude_max,week_first,week_last\n"
    table.write_text(head + "Parus majr,,,100,180,,\nParus major,,,,,,\n")
    tit = record("tit.wav", toy.tone(1000, seconds=12))
    _, said = identified(tit, *BERLIN, "--week", 20, "--range-table", table)
    assert f"range table {table}: not in the gallery: Parus majr" in str(said)


def test_an_occurrence_of_zero_turns_the_model_off(identified, cuckoo):
    assert detected(identified(cuckoo, *BERLIN, "--week", 10, "--min-occurrence", 0)[0]) == ["Cuculus canorus"]


@pytest.mark.parametrize(
    "words", [("--week", 3), ("--date", "2026-01-01"), ("--min-occurrence", 0.5), ("--range-table", "range.csv")]
)
def test_what_needs_a_place_says_so(run, ranged, cuckoo, words):
    done = run("identify", cuckoo, "--pack", ranged, *words)
    assert done.exit_code == 2
    assert "needs a location; give --latitude and --longitude" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_place_does_nothing_with_a_pack_without_a_model(run, cuckoo):
    done = run("identify", cuckoo, *BERLIN)
    assert done.exit_code == 2
    assert "pack toy 1.0 has no occurrence model to filter by" in done.stderr
