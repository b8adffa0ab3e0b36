"""Times as the journal writes them: UTC, as text that sorts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from edgeapp.clock.system import Moment


def utc_text(time: datetime | Moment) -> str:
    """A time as the journal writes it, sortable as text: ``2025-05-01T04:12:09.250Z``."""
    utc = time.utc if isinstance(time, Moment) else time
    if utc.tzinfo is None:
        raise ValueError("a time without its zone cannot be written as UTC")
    return utc.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_of(text: str) -> datetime:
    """The time that `utc_text` wrote, aware, in UTC."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)


def shifted(text: str, seconds: float) -> str:
    """A written time, so many seconds later."""
    return utc_text(utc_of(text) + timedelta(seconds=seconds))


def after_boot(utc_of_boot: datetime, boottime_s: float) -> str:
    """The time so many seconds after the start of the machine, as the journal writes it."""
    return utc_text(utc_of_boot + timedelta(seconds=boottime_s))
