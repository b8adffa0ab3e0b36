"""Readers that know the formats from the programs that receive them, and nothing of the writers."""

from __future__ import annotations

import math
import re
from datetime import datetime

RAVEN_NEEDS = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"]
KALEIDOSCOPE = "INDIR,FOLDER,IN FILE,OFFSET,DURATION,TOP1MATCH,TOP1DIST"
EBIRD_COLUMNS = 19
EBIRD_BYTES = 1_000_000
# eBird Record Format (Extended), columns from 0.
COMMON, GENUS, SPECIES, NUMBER, COMMENTS, LOCATION, LATITUDE, LONGITUDE, DATE, START = range(10)
STATE, COUNTRY, PROTOCOL, OBSERVERS, DURATION, COMPLETE, MILES, ACRES, SUBMISSION = range(10, 19)


def rows(text: str) -> list[str]:
    """Lines as the strictest reader sees them: Unicode has more line ends than a text file."""
    assert text == "" or text.endswith("\n")
    assert "\r" not in text
    found = text.splitlines()
    assert found == text.split("\n")[:-1], "a line end inside a row"
    text.encode("utf-8")
    return found


def number(text: str) -> float:
    assert re.fullmatch(r"-?\d+(\.\d+)?", text), text
    value = float(text)
    assert math.isfinite(value)
    return value


def raven(text: str) -> list[dict[str, str]]:
    """Selections of a Raven table, by column."""
    head, *lines = rows(text)
    columns = head.split("\t")
    assert columns[: len(RAVEN_NEEDS)] == RAVEN_NEEDS
    assert len(set(columns)) == len(columns)
    found = []
    for i, line in enumerate(lines, start=1):
        cells = line.split("\t")
        assert len(cells) == len(columns)
        selection = dict(zip(columns, cells, strict=True))
        assert selection["Selection"] == str(i)
        assert selection["View"] == "Spectrogram 1" and int(selection["Channel"]) >= 1
        begin, end = number(selection["Begin Time (s)"]), number(selection["End Time (s)"])
        assert 0 <= begin < end
        assert 0 == number(selection["Low Freq (Hz)"]) < number(selection["High Freq (Hz)"])
        assert 0 <= number(selection["File Offset (s)"]) <= begin + 1e-6
        assert selection["Begin Path"].startswith("/") and selection["Begin Path"].endswith(selection["Begin File"])
        found.append(selection)
    return found


def audacity(text: str) -> list[tuple[float, float, str]]:
    """Labels: begin, end, text."""
    found = []
    for line in rows(text):
        cells = line.split("\t")
        assert len(cells) == 3, "Audacity has no fourth column"
        assert all(re.fullmatch(r"\d+\.\d{6}", cell) for cell in cells[:2])
        begin, end = float(cells[0]), float(cells[1])
        assert begin <= end and cells[2]
        found.append((begin, end, cells[2]))
    return found


def kaleidoscope(text: str) -> list[list[str]]:
    """Rows of Kaleidoscope's CSV, quotes undone."""
    head, *lines = rows(text)
    assert head == KALEIDOSCOPE
    found = []
    for line in lines:
        cells = [
            quoted.replace('""', '"') if bare is None else bare
            for bare, quoted in (
                (None, match[1]) if match[1] is not None else (match[2], "")
                for match in re.finditer(r'(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))', line)
            )
        ]
        assert len(cells) == 7, line
        assert number(cells[3]) >= 0 and number(cells[4]) > 0 and cells[5]
        assert cells[6] == "" or 0 <= number(cells[6]) <= 1
        found.append(cells)
    return found


def ebird(text: str) -> list[list[str]]:
    """Records as eBird's importer reads them: commas are borders wherever they stand."""
    assert len(text.encode("utf-8")) <= EBIRD_BYTES
    assert not set('"“”\t') & set(text)
    found, seen = [], set()
    for line in rows(text):
        cells = line.split(",")
        assert len(cells) == EBIRD_COLUMNS, line
        assert cells[COMMON] or (cells[GENUS] and cells[SPECIES])
        assert cells[GENUS][0].isupper() and cells[SPECIES].islower()
        assert cells[NUMBER] == "X" or cells[NUMBER].isdigit()
        assert cells[LOCATION]
        datetime.strptime(cells[DATE] + cells[START], "%m/%d/%Y%H:%M")
        assert re.fullmatch(r"\d\d/\d\d/\d{4}", cells[DATE]) and re.fullmatch(r"\d\d:\d\d", cells[START])
        if cells[LATITUDE]:
            assert -90 <= number(cells[LATITUDE]) <= 90 and -180 <= number(cells[LONGITUDE]) <= 180
        assert cells[PROTOCOL] in ("Incidental", "Stationary")
        assert cells[COMPLETE] in ("Y", "N")
        assert (cells[DURATION] != "") == (cells[PROTOCOL] == "Stationary")
        once = tuple(cells[i] for i in (GENUS, SPECIES, LOCATION, LATITUDE, LONGITUDE, DATE, START))
        assert once not in seen, "a species stands on a checklist once"
        seen.add(once)
        found.append(cells)
    return found
