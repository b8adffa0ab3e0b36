"""Time zones by their names."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edgeapp.clock.written import offset_zone
from edgeapp.errors import UsageError

LOCAL = "local"

_OFFSET = re.compile(r"(?:UTC)?(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?", re.IGNORECASE)


class LocalZone(tzinfo):
    """The machine's own zone, with the offset that it has at each time: summer and winter differ."""

    def __str__(self) -> str:
        return LOCAL

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        """Offset of a time on its clocks."""
        return None if when is None else when.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, when: datetime | None) -> timedelta | None:
        """Not known."""
        return None

    def tzname(self, when: datetime | None) -> str | None:
        """Abbreviation of the zone, such as CEST."""
        return None if when is None else when.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, when: datetime) -> datetime:
        """A time of UTC on its clocks."""
        told = when.replace(tzinfo=timezone.utc).astimezone()
        local = told.replace(tzinfo=self)
        return local if self.utcoffset(local) == told.utcoffset() else local.replace(fold=1)


def zone_of(name: str | None) -> tzinfo:
    """A zone such as ``Europe/Berlin``, ``UTC``, ``+02:00`` or ``UTC+2``; the machine's own for ``local`` and None.

    Raises
    ------
    UsageError
        There is no such zone, as far as this machine knows.
    """
    if name is None or name == LOCAL:
        return LocalZone()
    if name.upper() in ("UTC", "Z"):  # known where no zone is installed
        return timezone.utc
    offset = _OFFSET.fullmatch(name)
    if offset is not None and int(offset["hours"]) <= 14 and int(offset["minutes"] or 0) < 60:
        return offset_zone(f"{offset['sign']}{int(offset['hours']):02d}{offset['minutes'] or '00'}")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"there is no time zone {name!r}", "write it as Europe/Berlin or +02:00; Debian has the names in tzdata"
        ) from None
