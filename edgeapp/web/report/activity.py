"""When species were heard: counts by hour of the day and by day, and the hours that were listened."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Any

from edgeapp.clock.utc import utc_of
from edgeapp.web.report.model import Grid, Table
from edgeapp.web.report.name import SPECIES, Name

HOURS = 24
MOST_ROWS = 60  # taxa in a grid; the others share a row
MOST_COLUMNS = 31  # days in a grid; then weeks, then months
WEEK_DAYS = 7


class Activity:
    """Counts of taxa by hour and by day, in a time zone; on the machine's own clock for None."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._hours: dict[Name, list[int]] = defaultdict(lambda: [0] * HOURS)
        self._days: dict[Name, Counter[date]] = defaultdict(Counter)

    def add(self, name: Name, moment: datetime) -> None:
        """Count a detection."""
        local = moment.astimezone(self._zone)
        self.count_hour(name, local.hour, 1)
        self.count_day(name, local.date(), 1)

    def count_hour(self, name: Name, hour: int, n: int) -> None:
        """Count detections of an hour of the day."""
        self._hours[name][hour] += n

    def count_day(self, name: Name, day: date, n: int) -> None:
        """Count detections of a day."""
        self._days[name][day] += n

    def grids(self, taxa: Sequence[Name]) -> list[Grid]:
        """Species by hour, and by day, week or month; taxa in the order given. None without a detection."""
        days = sorted({day for counts in self._days.values() for day in counts})
        if not days:
            return []
        hours = tuple(f"{hour:02d}" for hour in range(HOURS))
        by_hour = [(name, tuple(self._hours[name])) for name in taxa]
        title, keys = _periods(days[0], days[-1])
        columns = list(dict.fromkeys(keys.values()))
        by_day = []
        for name in taxa:
            counts: Counter[str] = Counter()
            for day, n in self._days[name].items():
                counts[keys[day]] += n
            by_day.append((name, tuple(counts[column] for column in columns)))
        return [
            Grid("Detections by hour of the day", "hour", hours, _shortened(by_hour)),
            Grid(title, title.rpartition(" ")[2], tuple(columns), _shortened(by_day)),
        ]


def _periods(first: date, last: date) -> tuple[str, dict[date, str]]:
    """Title of the grid, and every day to the label of its column."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    if len(days) <= MOST_COLUMNS:
        return "Detections by day", {day: f"{day:%m-%d}" for day in days}
    if len(days) <= MOST_COLUMNS * WEEK_DAYS:
        return "Detections by week", {day: f"{day - timedelta(days=day.weekday()):%m-%d}" for day in days}
    return "Detections by month", {day: f"{day:%Y-%m}" for day in days}


def _shortened(rows: list[tuple[Name, tuple[int, ...]]]) -> tuple[tuple[Name, tuple[int, ...]], ...]:
    if len(rows) <= MOST_ROWS:
        return tuple(rows)
    rest = rows[MOST_ROWS:]
    others = Name(SPECIES, "", f"{len(rest)} other taxa")
    return (*rows[:MOST_ROWS], (others, tuple(map(sum, zip(*(counts for _, counts in rest))))))


def effort(
    deployments: Sequence[Mapping[str, Any]],
    windows: Mapping[int, int],
    since: datetime | None,
    until: datetime | None,
    zone: tzinfo | None,
) -> Table | None:
    """Hours heard on each day by each source; None if there were none.

    Parameters
    ----------
    deployments : sequence of Mapping
        With their streams, as the journal gives them.
    windows : Mapping
        Stream to its number of windows: the length of one that has no end, because it goes on or lost its power.
    since, until : datetime or None
    zone : tzinfo or None
        Of the days; the machine's own clock for None.
    """
    heard: dict[tuple[date, str], float] = defaultdict(float)
    for deployment in deployments:
        for stream in deployment["streams"]:
            start = utc_of(stream["started_utc"])
            if stream["ended_utc"] is not None:
                end = utc_of(stream["ended_utc"])
            else:
                end = start + timedelta(seconds=windows.get(stream["id"], 0) * deployment["hop_s"])
            start, end = max(start, since or start), min(end, until or end)
            for day, seconds in _by_day(start, end, zone):
                heard[day, stream["source"]] += seconds
    if not heard:
        return None
    rows = [(f"{day:%Y-%m-%d}", source, f"{seconds / 3600:.2f}") for (day, source), seconds in sorted(heard.items())]
    left_out = len(rows) - MOST_ROWS
    total = f"{sum(heard.values()) / 3600:.2f} hours in all"
    more = f"{total}; {left_out} earlier rows are not shown" if left_out > 0 else total
    return Table("Effort", ("day", "source", "hours heard"), tuple(rows[-MOST_ROWS:]), more)


def _by_day(start: datetime, end: datetime, zone: tzinfo | None) -> Iterator[tuple[date, float]]:
    """A stretch of time cut at midnight; seconds of each day."""
    while start < end:
        day = start.astimezone(zone).date()
        midnight = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(timezone.utc)
        piece = min(end, midnight)
        yield day, piece.timestamp() - start.timestamp()
        start = piece
