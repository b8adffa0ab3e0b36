"""CSV for spreadsheets: what the one has to be warned of, the other has to have exactly."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from edgeapp.outputs.export import export
from edgeapp.outputs.spreadsheet import csv_rows, escaped
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.outputs.some_records import TIT

FORMULAS = ["=1+1", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("x")', "＝1", "- ", "-", "--1"]
NUMBERS = ["-1", "-13.4", "+4.5e3", "0", "1e5", "-inf"]
WORDS = ["Parus major", "Kohlmeise", "'=1", "", "a=b", "Größe"]


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_is_a_word_behind_an_apostrophe(cell):
    assert escaped(cell) == "'" + cell


@pytest.mark.parametrize("cell", [*NUMBERS, *WORDS, -13.4, 7, None])
def test_numbers_and_words_stay_what_they_are(cell):
    assert escaped(cell) == cell


@pytest.mark.parametrize("excel", [False, True])
def test_a_table_is_exact_unless_it_is_for_spreadsheets(excel):
    out = io.StringIO(newline="")
    rows = [[*FORMULAS, *NUMBERS, *WORDS]]
    for row in rows:
        csv_rows(out, excel).writerow(row)
    read = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
    assert (read == rows) is not excel
    assert read == [[escaped(cell) if excel else cell for cell in rows[0]]]


def test_an_export_for_spreadsheets_has_its_mark_and_no_formula():
    hostile = replace(TIT, common_name="=cmd|' /C calc'!A1", source="@tit.wav", longitude=-13.4)
    texts = {}
    for excel in (False, True):
        out = io.StringIO()
        export([hostile], "csv", out, excel=excel)
        texts[excel] = out.getvalue()
    assert texts[True].encode().startswith(b"\xef\xbb\xbfStart (s),")
    assert texts[False].startswith("Start (s),")
    exact, armed = (next(csv.DictReader(io.StringIO(texts[excel].removeprefix("\ufeff")))) for excel in (False, True))
    assert exact["Common name"] == "=cmd|' /C calc'!A1" and armed["Common name"] == "'=cmd|' /C calc'!A1"
    assert exact["lon"] == armed["lon"] == "-13.4"


def test_identify_writes_for_spreadsheets_and_goes_on_with_it(run, record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    song = Path(record("+song.wav", toy.tone(1000))).name
    for _ in range(2):
        assert run("identify", "--format", "csv", "--excel", "--append", "-o", "out.csv", song).exit_code == 0
    text = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert text.count("\ufeff") == 1 and text.startswith("\ufeff")
    assert [row["File"] for row in csv.DictReader(io.StringIO(text[1:]))] == ["'+song.wav"] * 2
    assert run("identify", "-f", "csv", "--append", "-o", "out.csv", song).exit_code == 2


@pytest.mark.parametrize("command", [("identify", "song.wav"), ("journal", "export")])
def test_only_csv_is_for_spreadsheets(run, command):
    result = run(*command, "--format", "json", "--excel")
    assert result.exit_code == 2 and "--excel: json is not for spreadsheets" in result.stderr
