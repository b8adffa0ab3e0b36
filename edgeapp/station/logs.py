"""Logging of the station: standard error, a rotating file, and rate limits.

Repeats are counted instead of written (`edgeapp.station.repeats`). A log that cannot be written, on a full disk or a
broken pipe, is reported once an hour and stops nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from logging.handlers import RotatingFileHandler
from typing import TextIO

from edgeapp.config.sections import Log
from edgeapp.file_names import printable
from edgeapp.station.repeats import PERIOD_S, Repeats, first_line, message_of, uncounted
from gallery.utc import utc_text

MB = 1_000_000
# Of journald, which keeps the time itself and reads the weight from the start of the line.
PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


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
            self._tell(f"lines lost in the log {self.baseFilename} ({sys.exc_info()[1]})")


class _Terminal(logging.StreamHandler):  # type: ignore[type-arg]  # generic only for type checkers
    """Standard error, which may be closed at any time.

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
        """Errors cannot be reported anywhere."""


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
            reason = f" ({type(error).__name__}: {first_line(str(error))})"
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
    """Configure logging by the settings for the duration of the context.

    Parameters
    ----------
    log : Log
        Section of the settings.
    stderr : TextIO or None
        `sys.stderr` when None.
    now : Callable[[], float]
        Monotonic seconds.
    environment : dict or None
        `os.environ` when None: ``JOURNAL_STREAM`` says that systemd reads standard error.
    """
    environment = dict(os.environ) if environment is None else environment
    people = _Terminal(stderr)
    people.setFormatter(PersonFormatter("JOURNAL_STREAM" in environment))
    handlers: list[logging.Handler] = [people]

    def tell(text: str) -> None:
        people.handle(uncounted(__name__, logging.WARNING, text))

    if log.file is not None:
        file = LogFile(log, tell, now)
        file.setFormatter(UtcFormatter())
        handlers.append(file)
    repeats = Repeats(now)
    root = logging.getLogger()
    before = root.level
    root.setLevel(log.level.upper())
    for handler in handlers:
        handler.addFilter(repeats)
        root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        repeats.finish()
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(before)


def _one_line(record: logging.LogRecord) -> str:
    return printable(" ".join(message_of(record).split()))
