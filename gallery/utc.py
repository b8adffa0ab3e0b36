"""Times as this project writes them: UTC, as text that sorts."""

from __future__ import annotations

from datetime import date, datetime, timezone


def utc_text(time: datetime, timespec: str = "milliseconds") -> str:
    """A time as text, sortable: ``2025-05-01T04:12:09.250Z``.

    Parameters
    ----------
    time : datetime
        Aware.
    timespec : str
        Of `datetime.isoformat`.

    Raises
    ------
    ValueError
        The time has no zone.
    """
    if time.tzinfo is None:
        raise ValueError("a time without a zone cannot be converted to UTC")
    return time.astimezone(timezone.utc).isoformat(timespec=timespec).replace("+00:00", "Z")


def utc_of(text: str) -> datetime:
    """The time that `utc_text` wrote, aware, in UTC; a time of another zone is converted, one without is UTC.

    Raises
    ------
    ValueError
        It is no time.
    """
    time = datetime_of(text)
    return (time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time).astimezone(timezone.utc)


def datetime_of(text: str) -> datetime:
    """`datetime.fromisoformat`, which does not know Z before Python 3.11."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def date_of(text: str) -> date:
    """A day of the calendar, as ``2026-05-22``.

    Raises
    ------
    ValueError
        It is no day.
    """
    return date.fromisoformat(text)


def now_text(timespec: str = "milliseconds") -> str:
    """The present, as `utc_text` writes it."""
    return utc_text(datetime.now(timezone.utc), timespec)
