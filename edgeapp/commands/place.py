"""Options that say where and when a sound was heard, and what is to be expected there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.archive.expectation import Expectation
from edgeapp.clock.weeks import WEEKS, birdnet_week
from edgeapp.config.panels import PLACE
from edgeapp.detections.filters import Filters
from edgeapp.detections.occurrence import Occurrence
from edgeapp.detections.species_range import SpeciesRange
from edgeapp.errors import UsageError
from edgeapp.recognition.recogniser import Recogniser
from gallery.utc import datetime_of

WHOLE_YEAR = -1

LatitudeOption = Annotated[
    float | None, typer.Option("--latitude", help="Of the place, in degrees north.", rich_help_panel=PLACE)
]
LongitudeOption = Annotated[
    float | None, typer.Option("--longitude", help="Of the place, in degrees east.", rich_help_panel=PLACE)
]
WeekOption = Annotated[
    int | None,
    typer.Option(
        "--week", help=f"BirdNET's week, 1 to {WEEKS}, four in a month; -1 is the whole year.", rich_help_panel=PLACE
    ),
]
DateOption = Annotated[
    str | None, typer.Option("--date", metavar="DATE", help="Day instead of a week: 2026-05-22.", rich_help_panel=PLACE)
]
LeastOption = Annotated[
    float | None,
    typer.Option(
        "--min-occurrence",
        help="Occurrence from which a species is to be expected; the pack's if not given (0.03 for birdnet).",
        rich_help_panel=PLACE,
    ),
]


def place_of(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    """The place that options give; None without both.

    Raises
    ------
    UsageError
        Only one of the coordinates.
    """
    if latitude is not None and longitude is not None:
        return latitude, longitude
    if latitude is None and longitude is None:
        return None
    raise UsageError("a place needs both coordinates", "give --latitude and --longitude")


def week_of(week: int | None, date: str | None) -> int | None:
    """BirdNET's week that options give: 1 to 48, `WHOLE_YEAR`, or None when they say nothing.

    Raises
    ------
    UsageError
        Both options, or one that is no week or no date.
    """
    if week is not None and date is not None:
        raise UsageError("a day and a week are given", "give one of --date and --week")
    if week is not None and week != WHOLE_YEAR and not 1 <= week <= WEEKS:
        raise UsageError(f"there is no week {week}", f"give 1 to {WEEKS}, or -1 for the whole year")
    if date is None:
        return week
    try:
        return birdnet_week(datetime_of(date.strip()).date())
    except (ValueError, OverflowError):
        raise UsageError(f"--date {date!r} is no date", "write it as 2026-05-22") from None


def expectation_of(
    recogniser: Recogniser,
    place: tuple[float, float] | None,
    week: int | None,
    least: float | None,
    table: Path | None,
) -> Expectation | None:
    """What is to be expected of recordings from a place; None where no place is given.

    Parameters
    ----------
    recogniser : Recogniser
    place : (float, float) or None
        Latitude and longitude.
    week : int or None
        As `week_of` gives it; None is that of each recording.
    least : float or None
        Least occurrence; 0 leaves the model out.
    table : path or None
        Range table of the user.

    Raises
    ------
    UsageError
        Options that do nothing without a place or without a model, or a table that cannot be used.
    PackError
        The model cannot be used.
    """
    if place is None:
        for option, value in (("--week or --date", week), ("--min-occurrence", least), ("--range-table", table)):
            if value is not None:
                raise UsageError(f"{option} needs a place", "give --latitude and --longitude")
        return None
    pack, taxa = recogniser.pack, recogniser.taxa
    if pack.range is None and (table is None or least):
        raise UsageError(
            f"pack {pack.name} {pack.version} has no occurrence model to filter by",
            "give a --range-table alone, or use a pack that has one, such as birdnet",
        )
    latitude, longitude = place
    expected = SpeciesRange.read(table, taxa, latitude, longitude) if table is not None else None
    occurrence = None
    if pack.range is not None and least != 0:
        occurrence = Occurrence.of(pack, latitude, longitude, least, taxa)
    filters = Filters(taxa, species_range=expected, occurrence=occurrence)
    whole_year = week == WHOLE_YEAR
    return Expectation(filters, f"{latitude:g}, {longitude:g}", None if whole_year else week, whole_year)
