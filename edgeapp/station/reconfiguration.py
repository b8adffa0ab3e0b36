"""Taking other settings while listening: thresholds, range, privacy, clips and targets, without a gap in the sound.

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
from edgeapp.config.effect import Change, change, taken
from edgeapp.config.settings import Settings
from edgeapp.errors import BiovitaError
from edgeapp.journal import Journal
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.assembly import Parts, assemble
from edgeapp.station.station import PeriodicTask, Station
from edgeapp.station.validation import faults_of_settings

log = logging.getLogger(__name__)

LONGEST = "clips.longest"
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
        self._start = settings
        self._running = settings
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
            self.reading = replace(self.reading, waiting=change(self._start, settings).waiting)
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
        self.reading = Reading(count, now, told, "", change(self._start, asked).waiting)

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
        running = taken(self._running, settings)
        journal: Journal = self._station.journal
        queued = journal.on_queued
        parts = assemble(running, self._recogniser, journal, self._station.clock)
        done = threading.Event()
        errors: list[BiovitaError] = []

        def renew() -> None:
            try:
                self._station.renew(parts.deployment, parts.classifier, parts.keeping, self._tasks(parts))
            except BiovitaError as error:
                errors.append(error)
            finally:
                done.set()

        self._station.between_windows(renew)
        if not done.wait(PATIENCE_S):
            errors.append(BiovitaError("the station is busy", "look at it again in a minute"))
        if errors:
            journal.on_queued = queued  # `assemble` made the new outbox the one that is woken
            raise errors[0]
        journal.share_location = settings.station.share_location
        before, self.parts = self.parts, parts
        if before.outbox is not None:
            before.outbox.close()
        if parts.outbox is not None:
            parts.outbox.start()
        asked, self.settings, self._running = change(self.settings, settings), settings, running
        if parts.cutting.kept_s > self._kept_s:  # the ring of sound is as long as it was made
            return Change(tuple(key for key in asked.taken if key != LONGEST), (*asked.waiting, LONGEST))
        return asked
