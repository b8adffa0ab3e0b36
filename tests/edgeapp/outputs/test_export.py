"""Records of a journal in every format, against files written by hand and the rules of their readers."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from edgeapp.errors import UsageError
from edgeapp.outputs.ebird import Site
from edgeapp.outputs.export import CSV_COLUMNS, TABLES_OF_RECORDS, Exported, export, export_documents
from tests.edgeapp.outputs import receivers
from tests.edgeapp.outputs.some_records import ALL, BERLIN, CORRECTED, GENUS, NO_CLOCK, REJECTED, TIT
from tests.edgeapp.outputs.test_tables import nasty

GOLDEN = Path(__file__).parent / "golden"
SITE = Site("Garden, 'Berlin'", BERLIN, "BE", "DE", note='Roof "north"')


def exported(format, records=ALL, **settings):
    """The text, and what was said of it."""
    out = io.StringIO()
    said = export(records, format, out, zone=BERLIN, **({"site": SITE} if format == "ebird" else {}), **settings)
    return out.getvalue(), said


@pytest.mark.parametrize("format", TABLES_OF_RECORDS)
def test_exports_are_as_written_by_hand(format):
    assert exported(format)[0] == (GOLDEN / f"export.{format}").read_text(encoding="utf-8")


def test_what_is_left_out_is_counted_and_why():
    rejected, silent = {"rejected by a reviewer": 1}, {"without a clip": 2}
    assert exported("csv")[1] == Exported(6, rejected)
    for format in ("raven", "audacity", "kaleidoscope"):
        assert exported(format)[1] == Exported(4, rejected | silent)
    assert exported("ebird")[1] == Exported(
        3,
        {
            "not confirmed or corrected by a reviewer": 2,
            "not named to the species": 1,
            "from before the clock was set": 1,
        },
    )


def test_clips_follow_each_other_at_their_true_length():
    selections = receivers.raven(exported("raven")[0])
    assert [(float(one["Begin Time (s)"]), float(one["File Offset (s)"])) for one in selections] == [
        (3.0, 3.0),
        (8.0, 8.0),  # in the same clip, which is not counted twice
        (24.0, 3.0),  # after a clip of 21 s
        (42.0, 5.0),  # and one of 16 s
    ]
    labels = receivers.audacity(exported("audacity")[0])
    assert [begin for begin, _, _ in labels] == [3.0, 8.0, 24.0, 42.0]


def test_a_clip_that_comes_again_later_keeps_its_place():
    selections = receivers.raven(exported("raven", [TIT, GENUS, TIT])[0])
    assert [float(one["Begin Time (s)"]) for one in selections] == [3.0, 26.0, 3.0]


def test_times_in_a_table_name_their_zone():
    times = [one["Time"] for one in receivers.raven(exported("raven")[0])]
    assert times[0] == "2026-06-01T00:10:30.250+02:00"
    assert all(time.endswith("+02:00") for time in times)


def test_csv_is_birdnets_with_its_week_and_no_times_of_an_unset_clock():
    rows = list(csv.DictReader(io.StringIO(exported("csv")[0])))
    assert list(rows[0])[:9] == [
        "Start (s)",
        "End (s)",
        "Scientific name",
        "Common name",
        "Confidence",
        "File",
        "lat",
        "lon",
        "week",
    ]
    assert (rows[0]["week"], rows[-1]["week"]) == ("21", ""), "21 in Berlin, where June has begun; 20 in UTC"
    assert (rows[0]["lat"], rows[0]["lon"], rows[-1]["lat"]) == ("52.5", "-13.4", "")


def test_a_name_that_a_person_gave_has_no_confidence():
    (row,) = csv.DictReader(io.StringIO(exported("csv", [CORRECTED])[0]))
    assert (row["Scientific name"], row["Common name"], row["Confidence"]) == ("Periparus ater", "Coal Tit", "")
    assert (row["taxon"], row["review"]) == ("Parus major", "corrected"), "what the program had said is still there"
    assert receivers.audacity(exported("audacity", [CORRECTED])[0])[0][2] == "Periparus ater"
    (selection,) = receivers.raven(exported("raven", [CORRECTED])[0])
    assert (selection["Common Name"], selection["Confidence"]) == ("Coal Tit", "")
    (cells,) = receivers.kaleidoscope(exported("kaleidoscope", [CORRECTED])[0])
    assert cells[5:] == ["Coal Tit", ""]


def test_a_correction_to_a_genus_is_not_called_a_species():
    record = replace(CORRECTED, corrected_name="Periparus", corrected_common_name="")
    assert receivers.audacity(exported("audacity", [record])[0])[0][2] == "Periparus (taxon)"


def test_above_the_species_the_columns_of_a_species_are_empty():
    (row,) = csv.DictReader(io.StringIO(exported("csv", [GENUS])[0]))
    assert (row["Scientific name"], row["Common name"], row["Confidence"]) == ("", "", "0.9100")
    assert (row["rank"], row["taxon"]) == ("genus", "Parus")
    assert receivers.audacity(exported("audacity", [GENUS])[0])[0][2] == "Parus (genus) 0.91"


@pytest.mark.parametrize("n", [0, 1, 3])
def test_documents_are_a_list_or_lines(n):
    documents = [{"id": str(number), "taxon": {"scientific_name": "Turdus ♂"}} for number in range(n)]
    as_list, as_lines = io.StringIO(), io.StringIO()

    assert export_documents(iter(documents), "json", as_list) == n
    assert export_documents(iter(documents), "ndjson", as_lines) == n
    assert json.loads(as_list.getvalue()) == documents
    assert [json.loads(line) for line in as_lines.getvalue().splitlines()] == documents


def test_documents_are_not_gathered_before_they_are_written():
    out, seen = io.StringIO(), []

    def documents() -> Iterator:
        for number in range(3):
            seen.append(len(out.getvalue()))
            yield {"id": number}

    export_documents(documents(), "ndjson", out)
    assert seen[0] < seen[1] < seen[2]


@pytest.mark.parametrize("format", TABLES_OF_RECORDS)
def test_no_records_are_an_empty_table(format):
    text, said = exported(format, [])
    assert said == Exported(0, {})
    if format in ("audacity", "ebird"):
        assert text == ""
    else:
        assert len(receivers.rows(text)) == 1


@pytest.mark.parametrize("format", TABLES_OF_RECORDS)
def test_no_name_breaks_a_row(format):
    for seed in range(100):
        choice = random.Random(seed)
        records = [
            replace(
                TIT,
                time_utc=TIT.time_utc + timedelta(hours=i),
                source=nasty(choice),
                scientific_name="Parus major" if format == "ebird" else nasty(choice),
                common_name=nasty(choice),
                pack=nasty(choice),
                pack_version=nasty(choice),
                clip=choice.choice([None, "/" + nasty(choice)]) if format == "csv" else "/" + nasty(choice),
            )
            for i in range(3)
        ]
        out = io.StringIO()
        site = Site("x" + nasty(choice), BERLIN, nasty(choice), nasty(choice), note=nasty(choice))
        assert export(records, format, out, BERLIN, site).written == 3
        text = out.getvalue()
        if format == "csv":
            assert len(receivers.rows(text)) == 4
            assert {len(row) for row in csv.reader(io.StringIO(text))} == {len(CSV_COLUMNS)}
        else:
            assert len(getattr(receivers, format)(text)) == 3, seed


@pytest.mark.parametrize("format", [format for format in TABLES_OF_RECORDS if format != "ebird"])
def test_records_are_not_gathered_before_they_are_written(format):
    out = io.StringIO()
    seen = []

    def records() -> Iterator:
        for record in (TIT, GENUS, REJECTED, CORRECTED):
            seen.append(len(out.getvalue()))
            yield record

    export(records(), format, out, BERLIN)
    assert seen[0] < seen[1] < seen[3]


def test_a_format_that_does_not_exist_names_those_that_do():
    with pytest.raises(UsageError, match="csv, raven, audacity, kaleidoscope, ebird"):
        export([NO_CLOCK], "excel", io.StringIO())


def test_ebird_needs_a_place():
    with pytest.raises(UsageError, match="place"):
        export([TIT], "ebird", io.StringIO())
