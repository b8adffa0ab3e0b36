"""Names in another language at every door, with the names that come with the program."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.console import Console

from edgeapp.config.defaults import language_of
from edgeapp.detections.filters import SpeciesList
from edgeapp.journal import Journal, Reader
from edgeapp.pack.names import naming_in
from edgeapp.station.screens import Lines, LiveTable, Named, NdJson
from edgeapp.station.source_worker import SourceWorker, Windowing
from gallery.naming import Naming
from gallery.store import Gallery
from gallery.taxon import Taxon
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.journal.samples import A_PARUS, GREAT_TIT, begin
from tests.edgeapp.station.listening import CARD_HZ, Listening, Passing, piped


@pytest.fixture
def tit(record):
    return record("tit.wav", toy.tone(1000, seconds=12))


@pytest.fixture(autouse=True)
def no_settings(tmp_path, monkeypatch):
    """No settings but the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("BIOVITA_CONFIG", raising=False)
    monkeypatch.delenv("BIOVITA_STATION_LANGUAGE", raising=False)


# identify


@pytest.mark.parametrize("format", ["table", "json", "ndjson", "csv", "raven"])
def test_every_format_has_the_names_of_the_language(run, tit, format):
    german = run("identify", tit, "-f", format, "--language", "de").stdout
    assert "Kohlmeise" in german and "Great Tit" not in german
    assert "Great Tit" in run("identify", tit, "-f", format).stdout


def test_windows_detections_and_summary_of_json_are_named_alike(run, tit):
    document = json.loads(run("identify", tit, "-f", "json", "--language", "fr").stdout)
    [detection] = document["detections"]
    named = [
        detection["taxon"],
        detection["candidates"][0],
        document["species"][0],
        *(window["detections"][0]["taxon"] for window in document["windows"]),
        *(window["species"][0] for window in document["windows"]),
    ]
    assert {one["common_name"] for one in named} == {"Mésange charbonnière"}
    assert {one["scientific_name"] for one in named} == {"Parus major"}


def test_an_unknown_language_is_one_line_and_lists_those_there_are(run, tit):
    done = run("identify", tit, "--language", "xx")
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    assert "'xx'" in line and " de, " in line and " en, " in line


def test_only_takes_a_name_of_any_language(run, tit):
    document = json.loads(run("identify", tit, "-f", "json", "--only", "mesange CHARBONNIERE").stdout)
    assert [one["scientific_name"] for one in document["species"]] == ["Parus major"]


# the language of the settings


def test_the_language_is_that_of_the_settings_unless_given(tmp_path, monkeypatch):
    config = tmp_path / "config.toml"
    config.write_text('[station]\nlanguage = "sv"\nhop = "a fault that is no concern here"\n')
    monkeypatch.setenv("BIOVITA_CONFIG", str(tmp_path / "absent.toml"))
    assert language_of(None) == "en"
    monkeypatch.setenv("BIOVITA_CONFIG", str(config))
    assert (language_of(None), language_of("de")) == ("sv", "de")
    monkeypatch.setenv("BIOVITA_STATION_LANGUAGE", "it")
    assert language_of(None) == "it"


def test_identify_speaks_the_language_of_the_environment(run, tit, monkeypatch):
    monkeypatch.setenv("BIOVITA_STATION_LANGUAGE", "nl")
    assert "Koolmees" in run("identify", tit, "-f", "csv").stdout


# listen


@pytest.fixture
def heard(recogniser, tmp_path):
    """A minute of song on a screen; gives what the screen wrote, and the path of the journal."""

    def call(make, language="de"):
        out = io.StringIO()
        naming = naming_in(language, recogniser.taxa)
        with Journal.open(tmp_path / "journal.sqlite") as journal:
            journal.naming = naming
            listening = Listening(recogniser, journal)
            listening.screen = Named(make(out), naming)
            station = listening.station()
            song = Passing(toy.tone(1000, seconds=30.0, rate_hz=CARD_HZ), listening.clock)
            cutting = Windowing(lambda source: recogniser.cut(source, 5.0), 10.0)
            station.run([SourceWorker("microphone", piped(song, listening.clock), cutting, station.events)])
            listening.screen.close()
        return out.getvalue(), tmp_path / "journal.sqlite"

    return call


@pytest.mark.parametrize(
    "make", [Lines, NdJson, lambda out: LiveTable(Console(file=out, width=120, force_terminal=True), "garden")]
)
def test_screens_show_the_language_and_the_journal_keeps_english(heard, make):
    shown, path = heard(make)
    assert "Kohlmeise" in shown and "Great Tit" not in shown
    with Reader(path) as reader:
        [row] = reader.detections()
        assert (row["scientific_name"], row["common_name"]) == ("Parus major", "Great Tit")


# the journal


@pytest.fixture
def journal(tmp_path):
    """A great tit and a genus."""
    path = tmp_path / "heard.sqlite"
    with Journal.open(path) as opened:
        stream = begin(opened)
        for detection in (GREAT_TIT, A_PARUS):
            opened.record(stream, detection)
    return path


@pytest.mark.parametrize("format", ["table", "json", "ndjson", "csv"])
def test_the_list_of_a_journal_is_named_in_the_language(run, journal, format, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    done = run("journal", "list", "--journal", journal, "-f", format, "--language", "de")
    assert done.exit_code == 0, done.stderr
    assert "Kohlmeise" in done.stdout and "Great Tit" not in done.stdout


def test_an_export_is_named_in_the_language_and_groups_have_no_name(run, journal):
    done = run("journal", "export", "--journal", journal, "--language", "da", "--zone", "UTC")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["Common name"] for row in rows] == ["Musvit", ""]


@pytest.mark.parametrize("name", ["Kohlmeise", "mesange charbonniere", "PARUS MAJOR", "Great Tit"])
def test_detections_are_found_by_a_name_of_any_language(run, journal, name):
    done = run("journal", "list", "--journal", journal, "-f", "ndjson", "--species", name)
    assert [json.loads(line)["taxon"]["scientific_name"] for line in done.stdout.splitlines()] == ["Parus major"]


def test_a_name_of_several_species_is_told_not_guessed(run, journal):
    done = run("journal", "list", "--journal", journal, "--species", "каролинка")
    assert done.exit_code == 2
    assert "is a name of" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_name_that_nobody_knows_is_looked_for_with_a_suggestion(run, journal):
    done = run("journal", "list", "--journal", journal, "--species", "Kohlmeize")
    assert done.exit_code == 0 and done.stdout == ""
    assert "did you mean Kohlmeise (Parus major)?; searched as written" in done.stderr


def test_a_group_is_looked_for_without_a_word(run, journal):
    done = run("journal", "list", "--journal", journal, "-f", "csv", "--species", "Parus")
    assert "Parus" in done.stdout and done.stderr == ""


def reviewed(journal):
    with Reader(journal) as reader:
        return [row["review_name"] for row in reader.detections()]


def test_a_correction_by_any_name_keeps_the_scientific_one(run, journal):
    done = run("journal", "review", 1, "corrected", "--name", "Rotkehlchen", "--journal", journal)
    assert done.exit_code == 0, done.stderr
    assert reviewed(journal)[0] == "Erithacus rubecula"
    done = run("journal", "export", "--journal", journal, "--language", "nl", "--zone", "UTC")
    assert "Roodborst" in done.stdout


def test_a_correction_that_nobody_knows_is_taken_only_as_new(run, journal):
    words = ("journal", "review", 1, "corrected", "--name", "Rotkelchen", "--journal", journal)
    refused = run(*words)
    assert refused.exit_code == 2
    assert "did you mean Rotkehlchen (Erithacus rubecula)?" in str(refused.exception or "") + refused.stderr
    assert reviewed(journal)[0] is None
    assert run(*words, "--new").exit_code == 0
    assert reviewed(journal)[0] == "Rotkelchen"


def test_a_correction_to_a_group_needs_no_suggestion(run, journal):
    done = run("journal", "review", 1, "corrected", "--name", "Paridae", "--journal", journal)
    assert done.stderr == "detection 1: corrected, Paridae\n"


# galleries


@pytest.fixture
def gallery(toy_pack, tmp_path):
    """A copy of the toy gallery with a species that only its owner has a name for."""
    path = tmp_path / "own.sqlite"
    path.write_bytes((toy_pack / "gallery.sqlite").read_bytes())
    own = Taxon("Parus novus", "Animalia", "Chordata", "Aves", "", "Paridae", "Parus", {"eu": "Kaskabeltz berria"})
    with Gallery.open(path, readonly=False) as opened:
        opened.add_taxa([own])
    return path


def test_a_gallery_is_listed_in_the_language(run, gallery):
    done = run("gallery", "list", gallery, "--json", "--language", "es")
    names = {row["scientific_name"]: row["common_name"] for row in map(json.loads, done.stdout.splitlines())}
    assert names["Parus major"] == "Carbonero Común"
    assert names["Parus novus"] == ""


def test_a_gallery_can_bring_a_language_of_its_own(run, gallery):
    done = run("gallery", "list", gallery, "--json", "--language", "eu")
    names = {row["scientific_name"]: row["common_name"] for row in map(json.loads, done.stdout.splitlines())}
    assert names["Parus novus"] == "Kaskabeltz berria"
    assert names["Parus major"] == "Great Tit"


@pytest.mark.parametrize(
    ("name", "found"),
    [("kohlmeise", ["Parus major"]), ("Parus", ["Parus major", "Parus minor", "Parus novus"])],
)
def test_a_gallery_is_searched_by_any_name(run, gallery, name, found):
    done = run("gallery", "search", name, gallery, "--json")
    assert [json.loads(line)["scientific_name"] for line in done.stdout.splitlines()] == found


def test_a_search_without_a_result_suggests_what_looks_like_it(run, gallery):
    done = run("gallery", "search", "kohlmeize", gallery)
    assert done.exit_code == 2
    assert "did you mean Kohlmeise (Parus major)?" in done.stderr


def test_a_species_is_added_by_its_name_in_any_language(run, toy_pack, gallery):
    done = run("gallery", "add", gallery, "Buntspecht", "--pack", toy_pack)
    assert done.exit_code == 0, done.stderr
    with Gallery.open(gallery) as opened:
        [added] = [taxon for taxon in opened.taxa() if taxon.scientific_name == "Dendrocopos major"]
    assert added.family == "Picidae"


def test_a_species_list_takes_names_of_any_language(recogniser, tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("Kohlmeise\nkuckuck # in any case\nsädesärla\n", encoding="utf-8")
    listed = SpeciesList.read(path, recogniser.taxa)
    assert listed.species == {"Parus major", "Cuculus canorus"}
    assert [one.name for one in listed.unknown] == ["sädesärla"]


def test_english_costs_no_reading_of_names(tmp_path):
    assert naming_in(None) == Naming()
