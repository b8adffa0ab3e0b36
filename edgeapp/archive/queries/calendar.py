"""Local days and hours of millions of times, with few calls of the time zone."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

import numpy as np

from edgeapp.detections.document import CLOCK_UNSET

if TYPE_CHECKING:
    import pyarrow as pa

QUARTER_MS = 900_000  # every zone of today differs from UTC by a multiple of it
UNKNOWN = "unknown"
PERIODS = ("month", "day", "hour")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Calendar:
    """The local month, day and hour of times; ``unknown`` for a time that is not known.

    Parameters
    ----------
    periods : sequence of str
        Of `PERIODS`, in the order in which they are wanted.
    zone : tzinfo or None
        The machine's own for None.

    Attributes
    ----------
    labels : list of tuple of str
        What numbers stand for: ``("2026-05", "2026-05-22", "04")``.
    """

    def __init__(self, periods: tuple[str, ...], zone: tzinfo | None) -> None:
        self.periods, self._zone = periods, zone
        self.labels: list[tuple[str, ...]] = []
        self._numbers: dict[tuple[str, ...], int] = {}
        self._quarters: dict[int, int] = {}

    def numbers(self, quarters: np.ndarray) -> np.ndarray:
        """Numbers of the labels of quarters of hours since 1970, [n] int64, negative where unknown."""
        if not self.periods:
            return np.full(len(quarters), self._number(()), np.int64)
        distinct, places = np.unique(quarters, return_inverse=True)
        found = [self._of(quarter) for quarter in distinct.tolist()]
        return np.array(found, np.int64)[places]

    def local(self, ms: int) -> datetime:
        """A time in milliseconds since 1970, in the zone."""
        return (_EPOCH + timedelta(milliseconds=ms)).astimezone(self._zone)

    def _of(self, quarter: int) -> int:
        if quarter not in self._quarters:
            if quarter < 0:
                label = (UNKNOWN,) * len(self.periods)
            else:
                local = self.local(quarter * QUARTER_MS)
                shown = {"month": f"{local:%Y-%m}", "day": f"{local:%Y-%m-%d}", "hour": f"{local:%H}"}
                label = tuple(shown[period] for period in self.periods)
            self._quarters[quarter] = self._number(label)
        return self._quarters[quarter]

    def _number(self, label: tuple[str, ...]) -> int:
        if label not in self._numbers:
            self._numbers[label] = len(self.labels)
            self.labels.append(label)
        return self._numbers[label]


def times_ms(times: pa.Array, clocks: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds since 1970 of times, and which of them are known, by a clock that was set: [n] int64, [n] bool."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = times.is_valid().to_numpy(zero_copy_only=False)
    unset = pc.fill_null(pc.equal(clocks, CLOCK_UNSET), False).to_numpy(zero_copy_only=False)
    ms = pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return ms, known & ~unset


def quarters_of(ms: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Quarters of hours of times in milliseconds since 1970, -1 where they are not known: [n] -> [n] int64."""
    return np.where(known & (ms >= 0), ms // QUARTER_MS, -1)


def spread(begin_ms: np.ndarray, end_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stretches of time cut at the quarters of hours.

    Parameters
    ----------
    begin_ms, end_ms : numpy.ndarray
        [n] int64, since 1970.

    Returns
    -------
    rows, quarters, pieces_ms : numpy.ndarray
        [m]: of which stretch, in which quarter, and how long each piece is.
    """
    first = begin_ms // QUARTER_MS
    count = np.maximum((np.maximum(end_ms, begin_ms + 1) - 1) // QUARTER_MS - first + 1, 1)
    rows = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    quarters = first[rows] + within
    begin = np.maximum(begin_ms[rows], quarters * QUARTER_MS)
    end = np.minimum(end_ms[rows], (quarters + 1) * QUARTER_MS)
    return rows, quarters, np.maximum(end - begin, 0)
