"""Taking other settings while listening: thresholds, range, privacy, clips and targets, without a gap in the sound.

Only what a change concerns is made anew: detections, clips and connections that it does not concern go on.

There is one way, whoever asks: the live page, ``config set``, and SIGHUP, at which the file is read again.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgeapp import read_once
from edgeapp.clock.system import Moment
from edgeapp.config.edit import reloaded
from edgeapp.config.effect import CUT, Anew, Change, change, contents, taken
from edgeapp.config.settings import SETTINGS, Settings
from edgeapp.errors import BiovitaError
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.assembly import Parts, assemble, kept_s
from edgeapp.station.station import PeriodicTask, Station
from edgeapp.station.validation import faults_of_settings

log = logging.getLogger(__name__)

PATIENCE_S = 60.0  # until the station has time; a window takes far less


@dataclass(frozen=True)
class Reading:
    """How settings were read again, for the status file.

    Attributes
    ----------
    count : int
        How often since the start.
    at : Moment or None
        Of the last time.
    told : str
        What came of it, in words.
    error : str
        Why they were not taken; empty when they were.
    waiting : tuple of str
        Keys of settings whose change waits for the next start, of all times.
    """

    count: int = 0
    at: Moment | None = None
    told: str = ""
    error: str = ""
    waiting: tuple[str, ...] = ()


def tell_kept() -> None:
    """Say once of each pipe among the files of the settings that it is not read again."""
    for path in read_once.newly_kept():
        log.info("%s can be read only once: what it held is kept until the station ends", path)


class Reconfiguration:
    """What takes settings for a station, from any thread, one change at a time.

    Parameters
    ----------
    settings : Settings
        With which the station started.
    station : Station
    recogniser : Recogniser
        Stays as it is: its pack and gallery are chosen at the start.
    parts : Parts
        What the station was put together from.
    tasks : callable
        Periodic tasks of the station for its parts; called on the station's thread.
    kept_s : float
        Seconds of sound that the microphones keep.

    Attributes
    ----------
    settings : Settings
        As they are asked for now; what waits for the next start included.
    reading : Reading
    on_change : callable
        Called with the settings that were taken.
    on_read : callable
        Called when settings were read again, taken or not.
    """

    def __init__(
        self,
        settings: Settings,
        station: Station,
        recogniser: Recogniser,
        parts: Parts,
        tasks: Callable[[Parts], Sequence[PeriodicTask]],
        kept_s: float,
    ) -> None:
        self.settings = settings
        self.parts = parts
        self.reading = Reading()
        self.on_change: Callable[[Settings], None] = lambda settings: None
        self.on_read: Callable[[], None] = lambda: None
        self._running = settings
        self._contents = contents(settings)
        self._station = station
        self._recogniser = recogniser
        self._tasks = tasks
        self._kept_s = kept_s
        self._lock = threading.Lock()
        # `put` is reentrant: a signal may come while another one is handled, which the lock of an Event would not bear.
        self._wanted: queue.SimpleQueue[None] = queue.SimpleQueue()

    def apply(self, settings: Settings) -> Change:
        """Take settings. Waits until the station goes on with those that it can take.

        Returns
        -------
        Change
            Against the settings asked for before.

        Raises
        ------
        BiovitaError
            They cannot be taken; the station goes on as before.
        """
        with self._lock:
            made = self._apply(settings)
            self.reading = replace(self.reading, waiting=self._waiting())
            return made

    def reload(self) -> None:
        """Read the settings again and take them. Told in the log and in the status; never raises BiovitaError."""
        with self._lock:
            self._reload()
        self.on_read()

    def ask(self) -> None:
        """Read the settings again soon, in a thread of its own. Safe in a signal handler."""
        self._wanted.put(None)

    def serve(self) -> None:
        """Begin to answer `ask`."""
        threading.Thread(target=self._serve, name="settings", daemon=True).start()

    def _reload(self) -> None:
        count, now = self.reading.count + 1, self._station.clock.now()
        try:
            asked = reloaded(self.settings)
            if faults := faults_of_settings(asked):
                raise faults[0].error(len(faults) - 1)
            told = self._apply(asked).in_words
            self.on_change(asked)
        except BiovitaError as error:
            tell_kept()
            log.error("settings read again and not taken: %s", error)
            self.reading = replace(self.reading, count=count, at=now, told="", error=str(error))
            return
        tell_kept()
        log.info("settings read again: %s", told)
        self.reading = Reading(count, now, told, "", self._waiting())

    def _serve(self) -> None:
        while True:
            self._wanted.get()
            while not self._wanted.empty():  # one reading answers all that have asked
                self._wanted.get()
            try:
                self.reload()
            except Exception as error:  # whatever it is, the next time is answered
                log.error("settings not read again: %s", type(error).__name__)

    def _apply(self, settings: Settings) -> Change:
        running, held = self._as_far_as_now(settings)
        found = contents(running)
        of_files = [key for key in found if self._contents.get(key) not in (None, found[key])]
        keys = tuple(dict.fromkeys((*change(self._running, running).taken, *of_files)))
        asked = change(self.settings, settings)
        if keys:
            self._renew(running, Anew.by(keys))
        self.settings, self._running, self._contents = settings, running, found
        counts = dict.fromkeys((*keys, *(key for key in asked.taken if key not in held)))
        waits = (key for key in (*asked.taken, *asked.waiting) if key in held or key in asked.waiting)
        return Change(tuple(counts), tuple(waits))

    def _as_far_as_now(self, settings: Settings) -> tuple[Settings, tuple[str, ...]]:
        """The settings that the station can run with, and what it takes at other times and not now.

        The ring of sound is as long as it was made: clips that need more of it wait.
        """
        running = taken(self._running, settings)
        if kept_s(running, self._recogniser.pack) <= max(self._kept_s, kept_s(self._running, self._recogniser.pack)):
            return running, ()
        cut = [setting for setting in SETTINGS if setting.key in CUT and setting.type is float]
        before = {setting.name: self._running.value(setting) for setting in cut}
        return replace(running, clips=replace(running.clips, **before)), tuple(setting.key for setting in cut)

    def _waiting(self) -> tuple[str, ...]:
        """Settings that are asked for and not taken."""
        differ = change(self._running, self.settings)
        return (*differ.taken, *differ.waiting)

    def _renew(self, running: Settings, anew: Anew) -> None:
        """Have the station go on with other settings.

        Raises
        ------
        BiovitaError
            It goes on as before.
        """
        station, journal = self._station, self._station.journal
        before, queued = self.parts, journal.on_queued
        parts = assemble(running, self._recogniser, journal, station.clock, before, anew.targets)
        done = threading.Event()
        errors: list[BiovitaError] = []

        def renew() -> None:
            try:
                if anew.decisions:
                    station.renew_deployment(parts.deployment, parts.classifier, parts.keeping)
                station.renew(parts.keeping, self._tasks(parts), anew.clips)
            except BiovitaError as error:
                errors.append(error)
            finally:
                done.set()

        station.between_windows(renew)
        if not done.wait(PATIENCE_S):
            errors.append(BiovitaError("the station is busy", "look at it again in a minute"))
        if errors:
            journal.on_queued = queued  # `assemble` made the new outbox the one that is woken
            raise errors[0]
        journal.share_location = running.station.share_location
        self.parts = parts
        if before.outbox is not None:
            before.outbox.close(successor=parts.outbox)
        if parts.outbox is not None:
            parts.outbox.start()
