"""Which species are expected at a place and in a week, from a table that the user supplies.

The table is CSV in UTF-8 with the columns of `COLUMNS`; further columns are left alone. Each row is one range of one
species; several rows of a species are alternatives. An empty cell is no limit. Longitudes may run over 180 degrees
(170 to -170) and weeks over New Year (45 to 8). Weeks are BirdNET's: 48 in a year, four in every month.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeapp import read_once
from edgeapp.clock.weeks import WEEKS
from edgeapp.errors import UsageError
from edgeapp.pack.names import names_of
from gallery.errors import TaxonError
from gallery.taxon import Taxon

COLUMNS = (
    "scientific_name",
    "latitude_min",
    "latitude_max",
    "longitude_min",
    "longitude_max",
    "week_first",
    "week_last",
)
KEEP, REJECT = "keep", "reject"
SHOWN = 5  # unknown names that a note lists


@dataclass(frozen=True)
class Range:
    """Where and when a species is expected.

    Attributes
    ----------
    latitude, longitude : (float, float)
        Degrees, from south to north and from west to east, ends included; a west above the east runs over 180.
    weeks : (int, int)
        First and last week, both included; a first above the last runs over New Year.
    """

    latitude: tuple[float, float]
    longitude: tuple[float, float]
    weeks: tuple[int, int]

    def holds(self, latitude: float, longitude: float) -> bool:
        """Whether the place is inside."""
        return self.latitude[0] <= latitude <= self.latitude[1] and _between(longitude, self.longitude)

    def meets(self, latitude: tuple[float, float], longitude: tuple[float, float]) -> bool:
        """Whether a place of a box is inside; its ends are as those of a range."""
        return (
            self.latitude[0] <= latitude[1]
            and latitude[0] <= self.latitude[1]
            and (_between(longitude[0], self.longitude) or _between(self.longitude[0], longitude))
        )

    def lasts(self, week: int) -> bool:
        """Whether the week is inside."""
        return _between(week, self.weeks)


@dataclass(frozen=True)
class SpeciesRange:
    """The table, for one place.

    Attributes
    ----------
    path : str
        Where the table was read.
    latitude, longitude : float
        Of the microphone, degrees.
    missing : str
        What becomes of species without a row: "keep" or "reject".
    ranges : Mapping[str, tuple[Range, ...]]
        Scientific name to the ranges that hold the place; empty for a species that is never to be expected here.
    without_row : tuple[str, ...]
        Species of the gallery that the table does not name.
    unknown : tuple[str, ...]
        Names of the table that match no taxon of the gallery; they have no effect.
    """

    path: str
    latitude: float
    longitude: float
    missing: str
    ranges: Mapping[str, tuple[Range, ...]]
    without_row: tuple[str, ...]
    unknown: tuple[str, ...]

    @classmethod
    def read(
        cls,
        path: str | Path,
        taxa: Sequence[Taxon],
        latitude: float | None,
        longitude: float | None,
        missing: str = KEEP,
    ) -> SpeciesRange:
        """Read the table.

        Parameters
        ----------
        path : str or Path
        taxa : sequence of Taxon
            Species of the gallery. A row may call its species by a synonym or a common name of any language.
        latitude, longitude : float or None
            Of the microphone, degrees.
        missing : str
            "keep" or "reject" species of the gallery without a row.

        Raises
        ------
        UsageError
            There is no place, or the table cannot be read or has a defect, which is named with its line.
        """
        if latitude is None or longitude is None:
            raise UsageError(f"the range table {path} needs a location", "give --latitude and --longitude")
        check_place(latitude, longitude)
        if missing not in (KEEP, REJECT):
            raise UsageError(f"unknown policy for species without a range: '{missing}'", f"use {KEEP} or {REJECT}")
        names, unknown = names_of(taxa), []
        ranges: dict[str, tuple[Range, ...]] = {}
        for name, found in _read(Path(path)):
            try:
                species = names.find(name).scientific_name
            except TaxonError:
                unknown.append(name)
                continue
            here = (found,) if found.holds(latitude, longitude) else ()
            ranges[species] = ranges.get(species, ()) + here
        without = tuple(taxon.scientific_name for taxon in taxa if taxon.scientific_name not in ranges)
        unknown = list(dict.fromkeys(unknown))
        return cls(str(path), latitude, longitude, missing, ranges, without, tuple(unknown))

    def expects(self, species: str, week: int | None) -> bool:
        """Whether a species is expected.

        Parameters
        ----------
        species : str
            Accepted scientific name.
        week : int or None
            1 to 48; None when the clock is not set, and then only the place counts.
        """
        ranges = self.ranges.get(species)
        if ranges is None:
            return self.missing == KEEP
        return any(week is None or one.lasts(week) for one in ranges)

    @property
    def notes(self) -> list[str]:
        """A note on the names of the table that have no effect, if there are any."""
        return unknown_names(f"range table {self.path}", self.unknown)

    def described(self) -> dict[str, Any]:
        """The filter for the record of a deployment."""
        return {
            "path": self.path,
            "missing": self.missing,
            "species_with_row": len(self.ranges),
            "species_without_row": len(self.without_row),
            "unknown_names": len(self.unknown),
        }


def met(path: Path, taxa: Sequence[Taxon], latitude: tuple[float, float], longitude: tuple[float, float]) -> set[str]:
    """Accepted names of the taxa whose ranges in a table meet a box of degrees, at any time of the year.

    Raises
    ------
    UsageError
        The table cannot be read or has a defect.
    """
    names, found = names_of(taxa), set()
    for name, one in _read(path):
        if one.meets(latitude, longitude):
            with suppress(TaxonError):
                found.add(names.find(name).scientific_name)
    return found


def unknown_names(where: str, names: Sequence[str]) -> list[str]:
    """A note on names of a table or list that no taxon of the gallery has, if there are any."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"{where}: not in the gallery: {', '.join(names[:SHOWN])}{more}"] if names else []


def check_place(latitude: float, longitude: float) -> None:
    """Raise UsageError when there is no such place."""
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise UsageError(
            f"invalid location {latitude:g}, {longitude:g}", "give degrees, -90 to 90 north and -180 to 180 east"
        )


def _between(value: float, ends: tuple[float, float]) -> bool:
    first, last = ends
    return first <= value <= last if first <= last else value >= first or value <= last


def _read(path: Path) -> list[tuple[str, Range]]:
    try:
        lines = io.StringIO(read_once.text(path), newline="")
    except UnicodeDecodeError as error:
        raise UsageError(f"range table {path} is not UTF-8 text", "save it as CSV in UTF-8") from error
    except OSError as error:
        raise UsageError(f"range table {path} cannot be read ({error.strerror})", "check the path") from error
    return _parse(csv.reader(lines, strict=True), f"range table {path}")


def _parse(lines: Any, where: str) -> list[tuple[str, Range]]:
    rows: list[tuple[str, Range]] = []
    try:
        header = [name.strip() for name in next(lines, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise UsageError(
                f"{where} has no column {', '.join(missing)}", f"line 1 must name {', '.join(COLUMNS)}, with commas"
            )
        twice = [name for name in COLUMNS if header.count(name) > 1]
        if twice:
            raise UsageError(f"{where} has the column {twice[0]} twice", "remove one of them")
        for fields in lines:
            if not any(value.strip() for value in fields):
                continue
            at = f"{where}, line {lines.line_num}"
            if len(fields) != len(header):
                raise UsageError(
                    f"{at} has {len(fields)} fields instead of {len(header)}", "leave cells without a limit empty"
                )
            rows.append(_row(dict(zip(header, (" ".join(value.split()) for value in fields), strict=True)), at))
    except csv.Error as error:
        raise UsageError(f"{where}, line {lines.line_num} is not CSV ({error})", "close the quotes") from error
    if not rows:
        raise UsageError(f"{where} has no species", "add one line for each range of a species")
    return rows


def _row(cells: Mapping[str, str], at: str) -> tuple[str, Range]:
    name = cells["scientific_name"]
    if not name:
        raise UsageError(f"{at}, column scientific_name is empty", "name the species the range is of")
    south, north = _cell(cells, "latitude_min", -90, 90, at), _cell(cells, "latitude_max", 90, 90, at)
    west, east = _cell(cells, "longitude_min", -180, 180, at), _cell(cells, "longitude_max", 180, 180, at)
    first, last = _cell(cells, "week_first", 1, WEEKS, at), _cell(cells, "week_last", WEEKS, WEEKS, at)
    if south > north:
        raise UsageError(f"{at}: latitude_min {south:g} is above latitude_max {north:g}", "swap the two")
    for column, week in (("week_first", first), ("week_last", last)):
        if week != int(week):
            raise UsageError(f"{at}, column {column}: {week:g} is not a week", f"give 1 to {WEEKS}, four for a month")
    return name, Range((south, north), (west, east), (int(first), int(last)))


def _cell(cells: Mapping[str, str], column: str, empty: float, most: float, at: str) -> float:
    least = 1 if most == WEEKS else -most
    text = cells[column]
    try:
        value = float(text) if text else float(empty)
    except ValueError:
        raise UsageError(f"{at}, column {column}: '{text}' is not a number", "write 59.3, or leave it empty") from None
    if not least <= value <= most:
        raise UsageError(f"{at}, column {column}: {text} is not in {least:g} to {most:g}", "correct it")
    return value
