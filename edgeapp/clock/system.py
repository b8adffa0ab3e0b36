"""Times that state whether the clock was set.

A board without a battery-backed clock starts in the past and gets the time from the network. So every moment is taken
on two clocks at once: the wall clock, in UTC, and the monotonic seconds since boot. A moment taken before the wall
clock was set can be corrected once it is, inside the same boot. `edgeapp.clock.sources` says what confirms it.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Protocol

from edgeapp.clock.sources import (
    BUILT_UTC,
    CHRONY,
    GPSD,
    KERNEL,
    NOBODY_CAN_TELL,
    NONE,
    TIMESYNCD,
    Judgement,
    Sources,
)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
ASKED_S = 10.0  # between two times that those are asked who take time to answer
SETTING = frozenset((KERNEL, TIMESYNCD, CHRONY, GPSD, NOBODY_CAN_TELL))  # after these nobody else is asked
NOT_ASKED = Judgement(NONE, "not asked yet")


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
    """The clocks of this machine.

    The wall clock counts as set from the moment a source confirms it until the machine is switched off: a network
    that is lost does not make it wrong.

    Parameters
    ----------
    sources : Sources
        Who is asked.

    Attributes
    ----------
    not_before : datetime
        A clock that was set cannot be before it, such as the newest rows of the journal.
    """

    def __init__(self, sources: Sources = Sources()) -> None:
        self.not_before = BUILT_UTC
        self._sources = sources
        self._lock = threading.Lock()
        self._judged: Judgement | None = None
        self._asking = False

    @cached_property
    def boot_id(self) -> str:
        """The kernel's id of this boot; where it has none, one of this process's own."""
        try:
            return BOOT_ID.read_text().strip()
        except OSError:
            return f"process-{uuid.uuid4()}"

    @property
    def judged(self) -> Judgement:
        """What confirms the wall clock."""
        before = self._judged
        if before is not None and before.source in SETTING:
            return before
        quick = self._sources.quick()
        if quick is not None:
            self._judged = quick
        elif before is None:
            self._judged = self._sources.asked(self.not_before)
        if not self._asking and (self._judged is None or self._judged.source not in SETTING):
            self._ask_on()
        return self._judged or NOT_ASKED

    def now(self) -> Moment:
        """The moment, on both clocks."""
        utc = datetime.now(timezone.utc)
        return Moment(utc, boottime_s(), utc >= BUILT_UTC and self.judged.is_set)

    def _ask_on(self) -> None:
        """Ask again and again, beside the threads that want to know the time."""
        with self._lock:
            if self._asking:
                return
            self._asking = True
        threading.Thread(target=self._ask, name="clock", daemon=True).start()

    def _ask(self) -> None:
        while self._judged is None or self._judged.source not in SETTING:
            time.sleep(ASKED_S)
            found = self._sources.asked(self.not_before)
            if found.is_set or self._judged is None or not self._judged.is_set:
                self._judged = found


def judgement_of(clock: Clock) -> Judgement | None:
    """What is known of the wall clock; None of a clock that is not the machine's."""
    return clock.judged if isinstance(clock, SystemClock) else None


def boottime_s() -> float:
    """Monotonic seconds since boot, suspend included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
