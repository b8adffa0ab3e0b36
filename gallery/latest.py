"""What was worked out of late, kept for the next time."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Values by row, the latest ones, for several threads.

    Parameters
    ----------
    most : int
        Values kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[int, T] = OrderedDict()
        self._lock = Lock()

    def get(self, row: int) -> T | None:
        """The value of a row, if it is kept."""
        with self._lock:
            if row in self._kept:
                self._kept.move_to_end(row)
            return self._kept.get(row)

    def put(self, row: int, value: T) -> None:
        """Keep a value in the place of the one asked for longest ago."""
        with self._lock:
            self._kept[row] = value
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
