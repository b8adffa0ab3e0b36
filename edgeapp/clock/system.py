"""Times that state whether the clock was set.

A board without a battery-backed clock starts in the past and gets the time from the network. So every moment is taken
on
two clocks at once: the wall clock, in UTC, and the monotonic seconds since boot. A moment taken before the
wall clock was set can be corrected once it is, inside the same boot.
"""

from __future__ import annotations

import ctypes
import time
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Protocol

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
BUILT_UTC = datetime(2026, 1, 1, tzinfo=timezone.utc)  # no clock that is set can be before this program was written

_TIMEX_BYTES = 256  # larger than `struct timex` on every Linux; with modes = 0 it is only read
_STATUS_OFFSET = 5 * ctypes.sizeof(ctypes.c_long)  # modes (padded), offset, freq, maxerror, esterror, then status
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


@dataclass(frozen=True)
class Moment:
    """One moment on both clocks.

    Attributes
    ----------
    utc : datetime
        Wall clock, aware.
    boottime_s : float
        Seconds since boot, sleep included.
    clock_set : bool
        False when the wall clock is known not to have been set when the moment was taken.
    """

    utc: datetime
    boottime_s: float
    clock_set: bool = True

    def earlier(self, seconds: float) -> Moment:
        """The moment `seconds` before this one; after it, if negative."""
        return replace(self, utc=self.utc - timedelta(seconds=seconds), boottime_s=self.boottime_s - seconds)

    def known_at(self, now: Moment) -> Moment:
        """The moment by a clock that was set since, in the same boot; the same where it was not."""
        if self.clock_set or not now.clock_set:
            return self
        return now.earlier(now.boottime_s - self.boottime_s)

    @property
    def utc_of_boot(self) -> datetime:
        """When the machine was started, as far as this moment's wall clock knows."""
        return self.utc - timedelta(seconds=self.boottime_s)


class Clock(Protocol):
    """The current time; tests supply their own.

    Attributes
    ----------
    boot_id : str
        Moments since boot can be compared where this is the same.
    """

    @property
    def boot_id(self) -> str: ...

    def now(self) -> Moment: ...


class SystemClock:
    """The clocks of this machine."""

    @cached_property
    def boot_id(self) -> str:
        """The kernel's id of this boot; where it has none, one of this process's own."""
        try:
            return BOOT_ID.read_text().strip()
        except OSError:
            return f"process-{uuid.uuid4()}"

    def now(self) -> Moment:
        """The moment, on both clocks."""
        utc = datetime.now(timezone.utc)
        return Moment(utc, boottime_s(), utc >= BUILT_UTC and clock_is_set())


def boottime_s() -> float:
    """Monotonic seconds since boot, suspend included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def clock_is_set() -> bool:
    """Whether the wall clock was set from somewhere: by NTP or GPS as the kernel knows it, or as timesyncd says.

    True where nobody can tell, so that machines without a time service do not have every row marked.
    """
    if SYNCHRONISED.exists():
        return True
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        timex = ctypes.create_string_buffer(_TIMEX_BYTES)
        state = libc.adjtimex(timex)
    except (OSError, AttributeError):
        return True
    if state < 0:
        return True
    status = int.from_bytes(timex.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return not (state == _TIME_ERROR and status & _STA_UNSYNC)
