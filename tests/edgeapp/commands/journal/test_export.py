"""`journal export`: a journal that was really written, read back by the rules of the programs that take its exports."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
import soundfile

from edgeapp.clock.system import Moment
from edgeapp.journal import Clip, Detection, Journal, Review, Stream
from gallery.candidates import Candidate
from tests.edgeapp.outputs import receivers
from tests.edgeapp.station.listening import deployment

MAY = datetime(2026, 5, 1, 4, 0, tzinfo=timezone.utc)


def detection(species: str, start_s: float, rank: str = "species", name: str | None = None, clock_set: bool = True):
    common_name = f"common {species}"
    best = Candidate(species, common_name, 0.9, 0.5)
    moment = Moment(MAY + timedelta(seconds=start_s), 100.0 + start_s, clock_set)
    named = (rank, name or species, "" if name else common_name)
    return Detection(moment, start_s, start_s + 10, *named, 0.9, [best], -30.0)


@pytest.fixture
def journal(tmp_path, recogniser):
    """Two tits with a clip, a genus without, and one from before the clock was set."""
    path = tmp_path / "journal.sqlite"
    with Journal.open(path) as opened:
        at = Moment(MAY, 100.0)
        made = replace(deployment(recogniser), latitude=52.5, longitude=13.4)
        run = opened.begin(made, at)
        stream = opened.open_stream(run, Stream("usb", "", "arecord", 48_000, "boot"), at)
        ids = [
            opened.record(stream, detection("Parus major", 0.0)),
            opened.record(stream, detection("Parus major", 5.0)),
            opened.record(stream, detection("Parus major", 100.0, "genus", "Parus")),
            opened.record(stream, detection("Cuculus canorus", 200.0, clock_set=False)),
        ]
        clip = tmp_path / "tit.wav"
        soundfile.write(clip, [0.0] * 48_000 * 17, 48_000)
        opened.add_clip(Clip(str(clip), "wav", 0.0, 17.0, stream, 1, at), ids[:2])
    return path


@pytest.fixture
def export(run, journal):
    def call(*words: object):
        return run("journal", "export", "--journal", journal, "--zone", "Europe/Berlin", *words)

    return call


def review(journal, *reviews: Review) -> None:
    with Journal.open(journal) as opened:
        for one in reviews:
            opened.add_review(one)


def test_a_table_of_birdnet_has_every_detection_in_the_time_of_the_place(export):
    done = export()
    found = list(csv.DictReader(io.StringIO(done.stdout)))

    assert [row["Scientific name"] for row in found] == ["Parus major"] * 2 + ["", "Cuculus canorus"]
    assert [row["Common name"] for row in found] == ["common Parus major"] * 2 + ["", "common Cuculus canorus"]
    assert [row["taxon"] for row in found] == ["Parus major"] * 2 + ["Parus", "Cuculus canorus"]
    assert found[0]["time"].startswith("2026-05-01T06:00:00") and found[0]["week"] == "17"
    assert (found[0]["File"].endswith("tit.wav"), found[2]["File"], found[3]["week"]) == (True, "usb", "")
    assert "4 written" in done.stderr


@pytest.mark.parametrize("format", ["raven", "audacity", "kaleidoscope"])
def test_a_table_of_sounds_has_the_detections_whose_clip_is_there(export, format):
    done = export("-f", format)

    assert done.exit_code == 0
    assert "2 written" in done.stderr and "left out: 2 without a clip" in done.stderr
    assert "Parus major" in done.stdout or "common Parus major" in done.stdout


def test_a_period_and_a_species_are_exported_alone(export):
    assert "1 written" in export("--species", "cuculus canorus").stderr
    assert "2 written" in export("--since", "2026-05-01T04:01:00+00:00").stderr
    assert "2 written" in export("--until", "2026-05-01T04:01:00+00:00").stderr


def test_ebird_gets_reviewed_birds_alone(export, journal):
    review(
        journal,
        Review(1, "confirmed", "anna"),
        Review(2, "rejected", "anna"),
        Review(3, "corrected", "anna", "Bufo bufo"),
        Review(4, "confirmed", "anna"),
    )
    done = export("-f", "ebird", "--location", "Garden")
    rows = receivers.ebird(done.stdout)

    assert done.exit_code == 0 and len(rows) == 1
    assert done.stdout.startswith(",Parus,major,X,")
    assert '"' not in done.stdout and "05/01/2026,06:00" in done.stdout
    assert "1 no bird" in done.stderr and "1 from before the clock was set" in done.stderr


@pytest.mark.parametrize(("how", "told"), [("coarse", [52.5, 13.4]), ("no", ["", ""])])
def test_no_export_has_more_of_the_location_than_is_shared(export, journal, monkeypatch, how, told):
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE deployments SET latitude = 52.5163, longitude = 13.3777")
    assert "52.5163" in export("-f", "json").stdout
    monkeypatch.setenv("BIOVITA_STATION_SHARE_LOCATION", how)
    review(journal, Review(1, "confirmed", "anna"))
    for words in (("-f", "json"), ("-f", "ndjson"), ("-f", "csv"), ("-f", "ebird", "--location", "Garden")):
        text = export(*words).stdout
        assert "52.516" not in text and "13.37" not in text, words
    assert [float(one) if one else "" for one in next(csv.reader(io.StringIO(text)))[6:8]] == told


def test_ebird_never_gets_a_typing_error(export, journal):
    review(
        journal,
        Review(1, "corrected", "anna", "Parus majro"),
        Review(2, "corrected", "anna", "Great tit"),
        Review(3, "corrected", "anna", "Novus avis", unlisted=True),
    )
    done = export("-f", "ebird", "--location", "Garden")
    assert [line.split(",")[1:3] for line in done.stdout.splitlines()] == [["Novus", "avis"]]
    assert "2 corrected to a name that no list of taxa has" in done.stderr


def test_rejected_detections_are_in_json_and_nowhere_else(export, journal, run):
    review(journal, Review(1, "rejected", "anna"))

    assert "3 written" in export().stderr
    document = json.loads(export("-f", "json").stdout)
    assert [row["review"] and row["review"]["verdict"] for row in document] == ["rejected", None, None, None]
    assert document == [json.loads(line) for line in export("-f", "ndjson").stdout.splitlines()]
    assert document == json.loads(run("journal", "list", "--journal", journal, "-f", "json").stdout)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-f", "ebird"], "give --location"),
        (["--zone", "Europe/Atlantis"], "there is no time zone 'Europe/Atlantis'"),
        (["--since", "yesterday"], "--since"),
        (["-f", "xeno"], "--format"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_exit_2(export, words, told):
    done = export(*words)
    assert done.exit_code == 2 and told in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_file_appears_whole(export, tmp_path):
    done = export("-f", "raven", "-o", tmp_path / "table.txt")
    assert done.exit_code == 0 and done.stdout == ""
    assert len((tmp_path / "table.txt").read_text().splitlines()) == 3
