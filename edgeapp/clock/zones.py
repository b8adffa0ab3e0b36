"""Time zones by their names."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edgeapp.errors import UsageError

LOCAL = "local"


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
    """A zone such as ``Europe/Berlin`` or ``UTC``; the machine's own for ``local`` and for None.

    Raises
    ------
    UsageError
        There is no such zone, as far as this machine knows.
    """
    if name is None or name == LOCAL:
        return LocalZone()
    if name == "UTC":  # known where no zone is installed
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"there is no time zone {name!r}", "write it as Europe/Berlin; Debian has them in tzdata"
        ) from None
