"""Repeated lines of the log: the first few are written, the others counted.

A fault that comes back a thousand times an hour is one line, five times, and then one line that says how often it came
again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

PERIOD_S = 3600.0  # within which lines are counted
SAME_TEXT = 5  # lines with the same words within it
SAME_PLACE = 60  # lines from the same place in the program, whatever their numbers
ALL = 2_000  # lines of any kind
PASSES = "passes_repeats"  # attribute of a record
EACH = {PASSES: True}  # `extra` of a line on what comes but once, such as a recording: written however many there were
KINDS_KEPT = 500  # kinds of lines counted at once; memory must not grow with what goes wrong


@dataclass
class _Kind:
    """How often one kind of line came in its period."""

    began_s: float
    passed: int = 0
    held_back: int = 0
    last: logging.LogRecord | None = None


class Repeats(logging.Filter):
    """Passes the first lines of a kind, and counts the others until their period ends. Shared by all handlers.

    Parameters
    ----------
    now : Callable[[], float]
        Monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._lock = threading.Lock()
        self._kinds: OrderedDict[object, _Kind] = OrderedDict()
        self._all = _Kind(now())

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write a line; summaries that are due are written before it."""
        if not hasattr(record, PASSES):  # the first handler asks, and the others get the same answer
            with self._lock:
                summaries = self._due()
                setattr(record, PASSES, self._counted(record))
            _write(summaries)
        return bool(getattr(record, PASSES))

    def finish(self) -> None:
        """Write a summary of all that was held back."""
        with self._lock:
            summaries = self._due(all_of_them=True)
        _write(summaries)

    def _counted(self, record: logging.LogRecord) -> bool:
        now = self._now()
        # The place before the text: a line that is held back for its place leaves no kind of its own behind.
        limits = (
            (None, ALL),
            ((record.pathname, record.lineno), SAME_PLACE),
            ((record.name, record.levelno, message_of(record)), SAME_TEXT),
        )
        counted = []
        for key, most in limits:
            kind = self._all if key is None else self._kinds.setdefault(key, _Kind(now))
            if kind.passed >= most:
                kind.held_back += 1
                kind.last = record
                return False
            counted.append(kind)
        for kind in counted:
            kind.passed += 1
        return True

    def _due(self, all_of_them: bool = False) -> list[logging.LogRecord]:
        """A summary of each kind whose period is over, or of every kind at the end."""
        now, found = self._now(), []
        if all_of_them or now - self._all.began_s >= PERIOD_S:
            found.append(self._summary(self._all, now))
            self._all = _Kind(now)
        for key, kind in list(self._kinds.items()):  # the oldest first
            if not all_of_them and now - kind.began_s < PERIOD_S and len(self._kinds) <= KINDS_KEPT:
                break
            found.append(self._summary(self._kinds.pop(key), now))
        return [summary for summary in found if summary is not None]

    def _summary(self, kind: _Kind, now: float) -> logging.LogRecord | None:
        if kind.last is None:
            return None
        times = "once more" if kind.held_back == 1 else f"{kind.held_back} times more"
        text = f"{first_line(message_of(kind.last))} … {times} in the last {_span(now - kind.began_s)}"
        if kind is self._all:
            text = f"{kind.held_back} lines suppressed in the last {_span(now - kind.began_s)}: too many"
        return uncounted(kind.last.name, kind.last.levelno, text)


def uncounted(name: str, level: int, text: str) -> logging.LogRecord:
    """A line that is written whatever was written before."""
    record = logging.LogRecord(name, level, __file__, 0, text, (), None)
    setattr(record, PASSES, True)
    return record


def message_of(record: logging.LogRecord) -> str:
    """The text of a line; of one whose arguments do not fit, what was to be filled."""
    try:
        return record.getMessage()
    except Exception:  # whatever is wrong with a line, it must not end the station
        return str(record.msg)


def first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def _write(records: list[logging.LogRecord]) -> None:
    for record in records:
        logging.getLogger(record.name).handle(record)


def _span(seconds: float) -> str:
    if seconds >= PERIOD_S:
        hours = round(seconds / PERIOD_S)
        return "hour" if hours == 1 else f"{hours} hours"
    return f"{max(1, round(seconds / 60))} min"
