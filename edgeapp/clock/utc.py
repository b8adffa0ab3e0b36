"""Times of a `Moment` as text, and times counted from the start of the machine; the text is that of `gallery.utc`."""

from __future__ import annotations

from datetime import datetime, timedelta

from edgeapp.clock.system import Moment
from gallery import utc
from gallery.utc import utc_of


def utc_text(time: datetime | Moment) -> str:
    """A time as the journal writes it, sortable as text: ``2025-05-01T04:12:09.250Z``."""
    return utc.utc_text(time.utc if isinstance(time, Moment) else time)


def shifted(text: str, seconds: float) -> str:
    """A stored time plus a number of seconds."""
    return utc_text(utc_of(text) + timedelta(seconds=seconds))


def after_boot(utc_of_boot: datetime, boottime_s: float) -> str:
    """The time a number of seconds after boot, as the journal stores it."""
    return utc_text(utc_of_boot + timedelta(seconds=boottime_s))
