"""Periodic tasks of a station: clock, journal, clips, status, watchdog."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from edgeapp.clips.renaming import Renamer
from edgeapp.clips.retention import Sweeper
from edgeapp.clock.sources import NONE, RTC, TRUSTED, Judgement
from edgeapp.clock.system import Moment
from edgeapp.delivery.station_state import ENDED, LISTENING, StationState
from edgeapp.errors import BiovitaError
from edgeapp.journal import JournalError
from edgeapp.service.systemd import Notifier, Watchdog
from edgeapp.station.station import Station
from edgeapp.station.status import StatusFile

log = logging.getLogger(__name__)

CLOCK_S = 10.0
STATUS_S = 5.0
INTEGRITY_S = 86_400.0
REMEMBERED_S = 30 * 86_400.0  # messages that were sent
STEP = timedelta(seconds=2)  # less is what a time service does all the time


class Every:
    """A task with an interval in seconds.

    Parameters
    ----------
    seconds : float
    task : callable
    at_once : bool
        Do it at the first opportunity too.
    """

    def __init__(self, seconds: float, task: Callable[[Station], object], at_once: bool = True) -> None:
        self._seconds = seconds
        self._task = task
        self._at_once = at_once
        self._done_s: float | None = None

    def __call__(self, station: Station) -> None:
        """Do it if it is time."""
        now_s = station.clock.now().boottime_s
        first = self._done_s is None
        if first and not self._at_once:
            self._done_s = now_s
        elif self._done_s is None or now_s - self._done_s >= self._seconds:
            self._done_s = now_s
            self._task(station)


class WatchClock:
    """Notice that the wall clock was set, and correct the rows that were written before it was.

    Parameters
    ----------
    judge : callable
        What confirms the clock; one that was trusted as a real-time clock, and set by another, was wrong until then.
    waits : sequence of str
        What is not done until the clock is set, in words; may be replaced.
    """

    def __init__(self, judge: Callable[[], Judgement] = lambda: Judgement(NONE, ""), waits: Sequence[str] = ()) -> None:
        self.waits = waits
        self._judge = judge
        self._last: Moment | None = None
        self._source = NONE
        self._was_wrong = False  # a real-time clock that was trusted

    def __call__(self, station: Station) -> None:
        """Compare the two clocks with how they stood the last time."""
        now = station.clock.now()
        judged = self._judge()
        step = timedelta(0) if self._last is None else now.utc_of_boot - self._last.utc_of_boot
        if abs(step) >= STEP:
            log.warning("the clock was set %s by %s", "forward" if step > timedelta(0) else "back", abs(step))
        if self._last is None and not now.clock_set:
            why = f" ({judged.why})" if judged.why else ""
            log.warning("the clock is not set%s: times are marked until it is; %s", why, "; ".join(self.waits))
        self._was_wrong |= abs(step) >= STEP and self._source == RTC
        all_of_boot = self._was_wrong and judged.source not in (RTC, TRUSTED, NONE)
        if all_of_boot:
            self._was_wrong = False
        if now.clock_set:
            station.write_queue.write(lambda: self._correct(station, now, all_of_boot))
        self._last, self._source = now, judged.source

    def _correct(self, station: Station, now: Moment, all_of_boot: bool) -> None:
        # Again and again: what was heard before the clock was set may be written long after.
        boot = station.clock.boot_id
        if not all_of_boot and not station.journal.is_uncorrected(boot):
            return
        corrected = station.journal.correct_times(boot, now.utc_of_boot, all_of_boot)
        if corrected:
            log.info("the clock is set: the times of %d detections were corrected", corrected)


def check_journal(station: Station) -> None:
    """Check the journal; damage is logged, and writing continues as far as possible."""
    try:
        station.journal.daily_check()
    except JournalError as error:
        log.error("%s", error)


def forget_messages(station: Station) -> None:
    """Remove messages that were sent or dropped long ago."""
    now = station.clock.now()
    if now.clock_set:
        station.write_queue.write(lambda: station.journal.forget_messages(now.earlier(REMEMBERED_S)))


class RenameClips:
    """Give clips the right time in their names, once their rows have it."""

    def __init__(self, renamer: Renamer) -> None:
        self._renamer = renamer

    def __call__(self, station: Station) -> None:
        """Rename; errors are logged, and retried the next time."""
        try:
            self._renamer.run()
        except BiovitaError as error:
            log.warning("clips not renamed: %s", error)


class ForgetLevels:
    """Delete old sound levels.

    Parameters
    ----------
    days : float
        Age at which they go.
    """

    def __init__(self, days: float) -> None:
        self._seconds = 86_400.0 * days

    def __call__(self, station: Station) -> None:
        """Delete, once the clock is set: before, nothing has an age."""
        now = station.clock.now()
        if now.clock_set:
            station.write_queue.write(lambda: station.journal.forget_levels(now.earlier(self._seconds)))


class SweepClips:
    """Delete clips by retention."""

    def __init__(self, sweeper: Sweeper) -> None:
        self._sweeper = sweeper

    def __call__(self, station: Station) -> None:
        """Sweep; errors are logged, and retried the next time."""
        try:
            self._sweeper.run(station.clock.now())
        except BiovitaError as error:
            log.warning("clips not deleted: %s", error)


class WriteStatus:
    """Write the status file and tell systemd.

    Parameters
    ----------
    file : StatusFile
    describe : callable
        The station as the document of the status file; may be replaced while it runs.
    tell : callable
        Called with what was written; set afterwards.
    """

    def __init__(self, file: StatusFile, describe: Callable[[Station], dict[str, Any]]) -> None:
        self._file = file
        self.describe = describe
        self._notifier = Notifier()
        self.tell: Callable[[StationState], object] = lambda state: None
        self._told: Any = None
        self._told_s = float("-inf")

    def __call__(self, station: Station) -> None:
        """Every `STATUS_S` seconds, and at once when a microphone's state changes."""
        states = [worker.health.state for worker in station.workers]
        now_s = station.clock.now().boottime_s
        if states == self._told and now_s - self._told_s < STATUS_S:
            return
        if self._told is None:
            self._notifier.ready()
        status = {"state": LISTENING, **self.describe(station)}
        self._file.write(status)
        self.tell(StationState.of(status))
        if states != self._told:
            self._notifier.status(
                ", ".join(f"{worker.name}: {worker.health.state.value}" for worker in station.workers)
            )
        self._told, self._told_s = states, now_s

    def soon(self) -> None:
        """Write at the next opportunity. Safe from any thread."""
        self._told_s = float("-inf")

    def ended(self, station: Station, error: BaseException | None = None) -> None:
        """Write the final status, which stays on the disk; with the error that ended the station, if one did."""
        self._notifier.stopping()
        # Of an error that nobody foresaw only the type: its text may hold anything.
        told = str(error) if isinstance(error, BiovitaError) else type(error).__name__ if error is not None else None
        status = {"state": ENDED, "error": told, **self.describe(station)}
        self._file.write(status)
        self.tell(StationState.of(status))


class NotifyWatchdog:
    """Notify systemd's watchdog from the main loop."""

    def __init__(self) -> None:
        self._watchdog = Watchdog(Notifier())

    def __call__(self, station: Station) -> None:
        """Called once per turn of the loop."""
        self._watchdog.alive()
