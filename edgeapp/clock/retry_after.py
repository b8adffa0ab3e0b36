"""The pause that an HTTP server asks for with ``Retry-After`` (RFC 9110, 10.2.3)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import timezone
from email.utils import parsedate_to_datetime


def asked_pause_s(retry_after: str, date: str = "", now_s: Callable[[], float] = time.time) -> float | None:
    """Seconds that a Retry-After header asks for; None where it says nothing that can be read.

    Parameters
    ----------
    retry_after : str
        Seconds, or an HTTP date.
    date : str
        The server's own clock, which its date is measured by.
    now_s : callable
        Seconds since 1970, where the server has no clock.
    """
    try:
        asked_s = float(retry_after)
    except ValueError:
        pass
    else:
        return max(0.0, asked_s) if math.isfinite(asked_s) else None
    until = _seconds(retry_after)
    if until is None:
        return None
    began = _seconds(date)
    return max(0.0, until - (now_s() if began is None else began))


def _seconds(http_date: str) -> float | None:
    try:
        told = parsedate_to_datetime(http_date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (told if told.tzinfo else told.replace(tzinfo=timezone.utc)).timestamp()
