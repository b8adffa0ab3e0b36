"""What the station tells of itself: standard error for people, a file that rotates, and never a flood.

A fault that comes back a thousand times an hour is one line, five times, and then one line that says how often it came
again. A log that cannot be written, on a full disk or a broken pipe, is told once in an hour and stops nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from logging.handlers import RotatingFileHandler
from typing import TextIO

from edgeapp.config.settings import Log
from gallery.utc import utc_text

PERIOD_S = 3600.0  # within which lines are counted
SAME_TEXT = 5  # lines with the same words within it
SAME_PLACE = 60  # lines from the same place in the program, whatever their numbers
ALL = 2_000  # lines at all: a flood of many voices is one too
KINDS_KEPT = 500  # kinds of lines counted at once; memory must not grow with what goes wrong

MB = 1_000_000
# Of journald, which keeps the time itself and reads the weight from the start of the line.
PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


@dataclass
class _Kind:
    """How often one kind of line came in its period."""

    began_s: float
    passed: int = 0
    folded: int = 0
    last: logging.LogRecord | None = None


class Folding:
    """Lets the first lines of a kind through, and counts the others until their period ends.

    Parameters
    ----------
    now : Callable[[], float]
        Seconds on a clock that is never set.
    period_s : float
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, period_s: float = PERIOD_S) -> None:
        self._now = now
        self._period_s = period_s
        self._kinds: OrderedDict[object, _Kind] = OrderedDict()
        self._all = _Kind(now())

    def passed(self, record: logging.LogRecord) -> Iterator[logging.LogRecord]:
        """What is to be written now: summaries that are due, then the record itself if it is not folded."""
        yield from self.due()
        now = self._now()
        counted = []
        # The place first: a line that is folded for its place leaves no kind of its own behind.
        for key, most in (
            (None, ALL),
            ((record.pathname, record.lineno), SAME_PLACE),
            ((record.name, record.levelno, record.getMessage()), SAME_TEXT),
        ):
            kind = self._all if key is None else self._kinds.setdefault(key, _Kind(now))
            if kind.passed >= most:
                kind.folded += 1
                kind.last = record
                return
            counted.append(kind)
        for kind in counted:
            kind.passed += 1
        yield record

    def due(self, all_of_them: bool = False) -> Iterator[logging.LogRecord]:
        """A summary of each kind whose period is over, or of every kind at the end."""
        now = self._now()
        if all_of_them or now - self._all.began_s >= self._period_s:
            yield from self._summary(self._all, now)
            self._all = _Kind(now)
        while self._kinds:
            key, oldest = next(iter(self._kinds.items()))
            if not all_of_them and now - oldest.began_s < self._period_s and len(self._kinds) <= KINDS_KEPT:
                return
            del self._kinds[key]
            yield from self._summary(oldest, now)

    def _summary(self, kind: _Kind, now: float) -> Iterator[logging.LogRecord]:
        last = kind.last
        if last is None:
            return
        times = "once more" if kind.folded == 1 else f"{kind.folded} times more"
        text = f"{_first_line(last.getMessage())} … {times} in the last {_span(now - kind.began_s)}"
        if kind is self._all:
            text = f"{kind.folded} lines were not written in the last {_span(now - kind.began_s)}: too many"
        yield logging.LogRecord(last.name, last.levelno, last.pathname, last.lineno, text, (), None)


class FoldingHandler(logging.Handler):
    """Passes records on to other handlers, folded."""

    def __init__(self, targets: list[logging.Handler], folding: Folding) -> None:
        super().__init__()
        self._targets, self._folding = targets, folding

    def emit(self, record: logging.LogRecord) -> None:
        """Write what is to be written now; nothing that goes wrong here reaches the station."""
        try:
            self._write(self._folding.passed(record))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Tell what is still folded, and close the others."""
        self._write(self._folding.due(all_of_them=True))
        for target in self._targets:
            target.close()
        super().close()

    def _write(self, records: Iterator[logging.LogRecord]) -> None:
        for record in records:
            for target in self._targets:
                target.handle(record)


class LogFile(RotatingFileHandler):
    """A file of bounded size that may become unwritable, as on a full disk, and writable again.

    Parameters
    ----------
    log : Log
        Its `file` is set.
    tell : Callable[[str], None]
        Told once in `PERIOD_S` that the file cannot be written.
    """

    def __init__(self, log: Log, tell: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        assert log.file is not None
        # Opened with the first line, so that a folder that cannot be written does not keep the station from starting.
        super().__init__(log.file, maxBytes=round(log.max_mb * MB), backupCount=log.keep, encoding="utf-8", delay=True)
        self._tell, self._now = tell, now
        self._told_s: float | None = None

    def _open(self):  # type: ignore[no-untyped-def]  # as in the class above
        os.makedirs(os.path.dirname(self.baseFilename), exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        """Tell once in a while; the next line opens the file anew."""
        stream, self.stream = self.stream, None  # type: ignore[assignment]  # as `close` of the class does
        if stream is not None:
            with suppress(OSError):  # what it still held does not fit either; the fault itself is told below
                stream.close()
        if self._told_s is None or self._now() - self._told_s >= PERIOD_S:
            self._told_s = self._now()
            self._tell(f"the log {self.baseFilename} cannot be written ({sys.exc_info()[1]})")

    def close(self) -> None:
        """Close, also when what is left cannot be written."""
        try:
            super().close()
        except OSError:
            self._tell(f"the log {self.baseFilename} lost its last lines ({sys.exc_info()[1]})")


class _Terminal(logging.StreamHandler):  # type: ignore[type-arg]  # generic only for type checkers
    """Standard error, which may be closed at any time and is then nobody's loss.

    Looked up with every line: a live table puts its own in the place of `sys.stderr`, so that lines appear above it.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._given = stream
        super().__init__(stream)

    @property
    def stream(self) -> TextIO:
        """Where lines go now."""
        return self._given if self._given is not None else sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """The base class sets what it was given; it is kept already."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nobody is left to be told."""


class UtcFormatter(logging.Formatter):
    """``2026-05-01T04:12:09.250Z WARNING edgeapp.station: microphone …``; a traceback follows, if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback."""
        line = f"{_time(record)} {record.levelname} {record.name}: {_one_line(record)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _time(record: logging.LogRecord, timespec: str = "milliseconds") -> str:
    return utc_text(datetime.fromtimestamp(record.created, timezone.utc), timespec)


class PersonFormatter(UtcFormatter):
    """The same in one line, without a traceback; under systemd without the time, which its journal knows."""

    def __init__(self, to_journald: bool) -> None:
        super().__init__()
        self._to_journald = to_journald

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        reason = ""
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            reason = f" ({type(error).__name__}: {_first_line(str(error))})"
        if self._to_journald:
            return f"<{PRIORITY.get(record.levelno, 6)}>{_one_line(record)}{reason}"
        return f"{_time(record, 'seconds')} {record.levelname.lower()}: {_one_line(record)}{reason}"


@contextmanager
def station_log(
    log: Log,
    stderr: TextIO | None = None,
    now: Callable[[], float] = time.monotonic,
    environment: dict[str, str] | None = None,
) -> Iterator[None]:
    """Write what all parts of the program log, as the settings say, for as long as the context lasts.

    Parameters
    ----------
    log : Log
        Section of the settings.
    stderr : TextIO or None
        `sys.stderr` when None.
    now : Callable[[], float]
        Seconds on a clock that is never set.
    environment : dict or None
        `os.environ` when None: ``JOURNAL_STREAM`` says that systemd reads standard error.
    """
    environment = dict(os.environ) if environment is None else environment
    people = _Terminal(stderr)
    people.setFormatter(PersonFormatter("JOURNAL_STREAM" in environment))
    targets: list[logging.Handler] = [people]

    def tell(text: str) -> None:
        people.handle(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (), None))

    if log.file is not None:
        file = LogFile(log, tell, now)
        file.setFormatter(UtcFormatter())
        targets.append(file)
    handler = FoldingHandler(targets, Folding(now))
    root = logging.getLogger()
    before = root.level
    root.setLevel(log.level.upper())
    root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()


def _one_line(record: logging.LogRecord) -> str:
    return " ".join(record.getMessage().split())


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def _span(seconds: float) -> str:
    if seconds >= PERIOD_S:
        hours = round(seconds / PERIOD_S)
        return "hour" if hours == 1 else f"{hours} hours"
    return f"{max(1, round(seconds / 60))} min"
