"""A day by species and hour, and the history of a species, in local time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Any

import numpy as np

from edgeapp.clock.utc import utc_of
from edgeapp.clock.weeks import birdnet_week
from edgeapp.journal import Reader, browsing
from edgeapp.journal.schema_of_browsing import SLOT_LETTERS
from edgeapp.web.asking import midnight
from edgeapp.web.site import Site

HOURS = range(24)
SHADES = 6  # of a heat map, without that of nothing
WEEKS = 48  # of BirdNET's year


@dataclass
class OfDay:
    """One taxon on one day.

    Attributes
    ----------
    scientific_name, common_name, taxon_rank : str
    hours : list of int
        ``[24]`` detections in each hour of the clock.
    n : int
    first_utc, last_utc : str
    confidence : float
        The greatest.
    best : int or None
        Number of its most confident detection with a clip.
    best_clip : int or None
        Number of that clip.
    first : str
        "ever" or "season" where it is the first one, else empty.
    """

    scientific_name: str
    common_name: str
    taxon_rank: str
    hours: list[int] = field(default_factory=lambda: [0] * len(HOURS))
    n: int = 0
    first_utc: str = ""
    last_utc: str = ""
    confidence: float = 0.0
    best: int | None = None
    best_clip: int | None = None
    best_confidence: float = 0.0
    first: str = ""

    def shade(self, hour: int, most: int) -> int:
        """Shade of an hour: 0 for nothing, to `SHADES` for the most of the day."""
        n = self.hours[hour]
        return 0 if n == 0 else 1 + min(SHADES - 1, (SHADES * (n - 1)) // max(1, most))


@dataclass(frozen=True)
class OfOneDay:
    """A day.

    Attributes
    ----------
    taxa : list of OfDay
        The most detected first.
    n : int
    most : int
        Detections of one taxon in one hour, at most.
    hours : list of int
        ``[24]`` of all taxa.
    """

    taxa: list[OfDay]
    n: int
    most: int
    hours: list[int]


def summary_of(site: Site, reader: Reader, day: date) -> OfOneDay:
    """Detections of one day by taxon and hour."""
    begin, end = midnight(day), midnight(day + timedelta(days=1))
    found: dict[str, OfDay] = {}
    hour_of = _Hours()
    for row in browsing.between(reader, begin, end):
        name = row["scientific_name"]
        one = found.get(name)
        if one is None:
            common = site.naming.of(name, row["common_name"] or site.common_name(name))
            one = found[name] = OfDay(name, common, row["taxon_rank"], first_utc=row["time_utc"])
        one.hours[hour_of(row["time_utc"])] += 1
        one.n += 1
        one.last_utc = row["time_utc"]
        one.confidence = max(one.confidence, row["confidence"])
        if row["clip"] is not None and row["confidence"] > one.best_confidence:
            one.best, one.best_clip, one.best_confidence = row["id"], row["clip"], row["confidence"]
    for name, which in browsing.firsts(reader, list(found), begin).items():
        found[name].first = which
    taxa = sorted(found.values(), key=lambda one: (-one.n, one.scientific_name))
    hours = [sum(one.hours[hour] for one in taxa) for hour in HOURS]
    most = max((n for one in taxa for n in one.hours), default=0)
    return OfOneDay(taxa, sum(one.n for one in taxa), most, hours)


class _Hours:
    """Local hour of a stored time; zones are asked once for ten minutes."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        slot = text[:SLOT_LETTERS]
        if slot not in self._known:
            self._known[slot] = utc_of(text).astimezone().hour
        return self._known[slot]


def history_of(reader: Reader, name: str) -> dict[str, Any]:
    """Detections of a taxon by hour of the clock, by day of the last year, by month and by year.

    In a time zone three quarters of an hour apart from UTC, an hour may have what belongs to the one beside it.

    Keys: hours (``[24]``), days (date -> n, the last 366 days with any), months (``[12]``), years (year -> n), n,
    first, last (dates; None without any).
    """
    begins, counts = browsing.history(reader, name)
    local = begins + _offsets(begins)
    days, of_day = np.unique(local.astype("datetime64[D]"), return_inverse=True)
    by_day = np.bincount(of_day, counts, len(days)).astype(int).tolist()
    hour = (local.astype("datetime64[h]") - local.astype("datetime64[D]")).astype(int)
    months, years = [0] * 12, Counter[int]()
    dates: list[date] = days.tolist()
    for day, n in zip(dates, by_day, strict=True):
        months[day.month - 1] += n
        years[day.year] += n
    since = dates[-1] - timedelta(days=365) if dates else None
    return {
        "hours": np.bincount(hour, counts, 24).astype(int).tolist(),
        "months": months,
        "days": {day: n for day, n in zip(dates, by_day, strict=True) if since is not None and day >= since},
        "years": dict(sorted(years.items())),
        "n": sum(by_day),
        "first": dates[0] if dates else None,
        "last": dates[-1] if dates else None,
    }


def _offsets(begins: np.ndarray) -> np.ndarray:
    """How far local time is from UTC at some moments; datetime64 in minutes -> timedelta64 in minutes."""
    days, of_day = np.unique(begins.astype("datetime64[D]"), return_inverse=True)
    offsets = np.array([_offset(day) for day in days.tolist()], "timedelta64[m]")[of_day]
    for at in np.flatnonzero(np.isnat(offsets)):  # of a day on which it changes
        moment: datetime = begins[at].astype("datetime64[s]").tolist()
        offsets[at] = np.timedelta64(moment.replace(tzinfo=timezone.utc).astimezone().utcoffset() or timedelta(), "m")
    return offsets


@lru_cache(maxsize=10_000)
def _offset(day: date) -> np.timedelta64:
    """How far local time is from UTC on a day of UTC; not a time on a day on which that changes."""
    begin = datetime.combine(day, time(), timezone.utc)
    ends = {one.astimezone().utcoffset() or timedelta() for one in (begin, begin + timedelta(days=1))}
    return np.timedelta64(ends.pop(), "m") if len(ends) == 1 else np.timedelta64("NaT", "m")


def expected_in(site: Site, name: str) -> dict[str, Any] | None:
    """What the occurrence model of the pack says of a species here: weeks (``[48]``, 0 to 1), week (of today).

    None without a place, without a model, or for a species that it does not have.
    """
    if site.occurrence is None:
        return None
    weeks = [site.occurrence.value(name, week) for week in range(1, WEEKS + 1)]
    if weeks[0] is None:
        return None
    return {"weeks": weeks, "week": birdnet_week(date.today()), "least": site.occurrence.least}
