"""What a request asks for: its parameters, checked, and its answer when one is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

from starlette.requests import Request

from edgeapp.errors import BiovitaError
from edgeapp.journal.browsing import Filter, Place, ReviewState
from edgeapp.web.site import Site
from gallery.utc import date_of, datetime_of

PAGE = 50
MOST = 500  # detections of one answer


class Wrong(BiovitaError):
    """A request that cannot be answered as it is."""

    def __init__(self, what: str, remedy: str = "", status: int = 400) -> None:
        super().__init__(what, remedy)
        self.status = status


def filter_of(site: Site, asked: Mapping[str, str]) -> Filter:
    """The detections that a request asks for.

    Parameters
    ----------
    site : Site
    asked : Mapping
        taxon (any name, any rank), since, until (local where they have no zone; a date alone includes its day),
        min_confidence, source, review, clip; empty ones ask for nothing.

    Raises
    ------
    Wrong
    """
    taxon = asked.get("taxon", "").strip()
    return Filter(
        taxa=site.heard_members(taxon) if taxon else None,
        since=time_of(asked, "since"),
        until=time_of(asked, "until"),
        min_confidence=number_of(asked, "min_confidence", 0.0, 0.0, 1.0),
        source=asked.get("source", ""),
        review=review_state(asked.get("review", "")),
        clip=asked.get("clip", "") not in ("", "0", "false"),
    )


def time_of(asked: Mapping[str, str], name: str) -> datetime | None:
    """A moment; None where it is not asked for."""
    text = asked.get(name, "").strip()
    if not text:
        return None
    try:
        if len(text) == len("2026-05-22"):
            day = date_of(text)
            return midnight(day + timedelta(days=1)) if name == "until" else midnight(day)
        return datetime_of(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise Wrong(f"{name} {text[:40]!r} is not a time", "write it as 2026-05-22 or 2026-05-22T04:30") from error


def day_of(text: str) -> date:
    """A day of the calendar."""
    try:
        found = date_of(text)
        midnight(found)
        midnight(found + timedelta(days=1))
    except (ValueError, OverflowError) as error:
        raise Wrong(f"{text[:40]!r} is not a day", "write it as 2026-05-22") from error
    return found


def midnight(day: date) -> datetime:
    """When a day begins, in the time zone of this machine."""
    return datetime.combine(day, time()).astimezone()


def number_of(asked: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    """A number within bounds."""
    text = asked.get(name, "").strip()
    if not text:
        return default
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not least <= found <= most:
        raise Wrong(f"{name} {text[:40]!r} is not a number from {least:g} to {most:g}")
    return found


def limit_of(asked: Mapping[str, str]) -> int:
    """How many detections a page has."""
    return int(number_of(asked, "limit", PAGE, 1, MOST))


def review_state(text: str) -> ReviewState:
    """A state of review; any where it is not asked for."""
    try:
        return ReviewState(text or ReviewState.ANY)
    except ValueError:
        raise Wrong(
            f"review {text[:40]!r} is unknown", f"use {', '.join(state.value for state in ReviewState)}"
        ) from None


def place_of(asked: Mapping[str, str], name: str = "before") -> Place | None:
    """Where the page before ended: ``TIME_NUMBER``, as `place_text` writes it."""
    text = asked.get(name, "")
    if not text:
        return None
    when, _, number = text.rpartition("_")
    if not when or not _is_number(number):
        raise Wrong(f"{name} {text[:40]!r} is no place in the list", "take it from `next` of the page before")
    return when, int(number)


def place_text(place: Place) -> str:
    """A place in the list as text."""
    return f"{place[0]}_{place[1]}"


def number_in_path(request: Request, name: str) -> int:
    """The number that a path has at a place."""
    text = request.path_params[name]
    if not _is_number(text):
        raise Wrong(f"there is no {name} {text[:40]!r}", status=404)
    return int(text)


def numbers_of(values: list[str] | list[int]) -> list[int]:
    """Numbers of detections."""
    found = []
    for value in values:
        text = str(value)
        if not _is_number(text):
            raise Wrong(f"{text[:40]!r} is not the number of a detection")
        found.append(int(text))
    if not 0 < len(found) <= MOST:
        raise Wrong(f"1 to {MOST} detections can be changed at once, not {len(found)}")
    return found


def _is_number(text: str) -> bool:
    """Whether it is a row's number, which has 64 bits."""
    return text.isascii() and text.isdecimal() and len(text) <= 18
