"""Options for location and time."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeapp.archive.expectation import WHOLE_YEAR
from edgeapp.clock.weeks import WEEKS, birdnet_week
from edgeapp.config.panels import PLACE
from edgeapp.errors import UsageError
from gallery.utc import datetime_of


def degrees(text: str) -> float:
    """A coordinate of the command line.

    Raises
    ------
    typer.BadParameter
        It is written in another way, such as with a comma or in minutes.
    """
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number of degrees, such as 52.5 or -13.4") from None


LatitudeOption = Annotated[
    float | None,
    typer.Option(
        "--latitude",
        metavar="DEGREES",
        help="Latitude of the location, north positive.",
        rich_help_panel=PLACE,
        parser=degrees,
    ),
]
LongitudeOption = Annotated[
    float | None,
    typer.Option(
        "--longitude",
        metavar="DEGREES",
        help="Longitude of the location, east positive.",
        rich_help_panel=PLACE,
        parser=degrees,
    ),
]
WeekOption = Annotated[
    int | None,
    typer.Option(
        "--week",
        metavar="WEEK",
        help=f"BirdNET's week, 1 to {WEEKS}, four per month; -1 for the whole year.",
        rich_help_panel=PLACE,
    ),
]
DateOption = Annotated[
    str | None,
    typer.Option("--date", metavar="DATE", help="Date instead of a week: 2026-05-22.", rich_help_panel=PLACE),
]
LeastOption = Annotated[
    float | None,
    typer.Option(
        "--min-occurrence",
        metavar="FRACTION",
        help="Minimum occurrence of a species; the pack's value if not given (0.03 for birdnet).",
        rich_help_panel=PLACE,
    ),
]


def place_of(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    """The location given by the options; None without coordinates.

    Raises
    ------
    UsageError
        Only one of the coordinates.
    """
    if latitude is not None and longitude is not None:
        return latitude, longitude
    if latitude is None and longitude is None:
        return None
    raise UsageError("a location needs both coordinates", "give --latitude and --longitude")


def week_of(week: int | None, date: str | None) -> int | None:
    """BirdNET's week given by the options: 1 to 48, `WHOLE_YEAR`, or None without either.

    Raises
    ------
    UsageError
        Both options, or an invalid one.
    """
    if week is not None and date is not None:
        raise UsageError("--date and --week exclude each other", "give only one of them")
    if week is not None and week != WHOLE_YEAR and not 1 <= week <= WEEKS:
        raise UsageError(f"--week must be 1 to {WEEKS}, not {week}", "give -1 for the whole year")
    if date is None:
        return week
    try:
        return birdnet_week(datetime_of(date.strip()).date())
    except (ValueError, OverflowError):
        raise UsageError(f"--date {date!r} is not a date", "write it as 2026-05-22") from None
