"""Time zones by their names."""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edgeapp.errors import UsageError

LOCAL = "local"


def zone_of(name: str | None) -> tzinfo:
    """A zone such as ``Europe/Berlin`` or ``UTC``; the machine's own for ``local`` and for None.

    Raises
    ------
    UsageError
        There is no such zone, as far as this machine knows.
    """
    if name is None or name == LOCAL:
        return datetime.now().astimezone().tzinfo or timezone.utc
    if name == "UTC":  # known where no zone is installed
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"there is no time zone {name!r}", "write it as Europe/Berlin; Debian has them in tzdata"
        ) from None
