"""Dates with a time of day as metadata write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)


def written_time(text: str) -> datetime | None:
    """A time such as ``2019-05-22T07:00:00.5+02:00``: naive without an offset, None where there is no such time."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micros)
        return local if zone is None else local.replace(tzinfo=offset_zone(zone))
    except ValueError:  # a date that no calendar has, from a recorder whose clock was never set
        return None


def offset_zone(text: str) -> timezone:
    """The zone of an offset: ``Z``, ``+0200``, ``-05:30``, ``+02``.

    Raises
    ------
    ValueError
        An offset of a day and more.
    """
    if text in ("Z", "z"):
        return timezone.utc
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return timezone(-offset if text[0] == "-" else offset)
