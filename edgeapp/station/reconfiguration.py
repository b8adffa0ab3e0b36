"""Taking other settings while listening: thresholds, range, privacy, clips and targets, without a gap in the sound."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from edgeapp.config.settings import Settings
from edgeapp.errors import BiovitaError
from edgeapp.journal import Journal
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.assembly import Parts, assemble
from edgeapp.station.station import PeriodicTask, Station

PATIENCE_S = 60.0  # until the station has time; a window takes far less


class Reconfiguration:
    """What takes settings for a station.

    Parameters
    ----------
    station : Station
    recogniser : Recogniser
        Stays as it is: its pack and gallery are chosen at the start.
    parts : Parts
        What the station was put together from.
    tasks : callable
        Periodic tasks of the station for its parts; called on the station's thread.
    kept_s : float
        Seconds of sound that the microphones keep.
    """

    def __init__(
        self,
        station: Station,
        recogniser: Recogniser,
        parts: Parts,
        tasks: Callable[[Parts], Sequence[PeriodicTask]],
        kept_s: float,
    ) -> None:
        self.parts = parts
        self._station = station
        self._recogniser = recogniser
        self._tasks = tasks
        self._kept_s = kept_s

    def apply(self, settings: Settings) -> list[str]:
        """Take settings. Waits until the station goes on with them.

        Returns
        -------
        list of str
            Keys of settings that wait for the next start all the same.

        Raises
        ------
        BiovitaError
            They cannot be taken; the station goes on as before.
        """
        journal: Journal = self._station.journal
        queued = journal.on_queued
        parts = assemble(settings, self._recogniser, journal, self._station.clock)
        done = threading.Event()
        errors: list[BiovitaError] = []

        def change() -> None:
            try:
                self._station.renew(parts.deployment, parts.classifier, parts.keeping, self._tasks(parts))
            except BiovitaError as error:
                errors.append(error)
            finally:
                done.set()

        self._station.between_windows(change)
        if not done.wait(PATIENCE_S):
            errors.append(BiovitaError("the station is busy", "look at it again in a minute"))
        if errors:
            journal.on_queued = queued  # `assemble` made the new outbox the one that is woken
            raise errors[0]
        before, self.parts = self.parts, parts
        if before.outbox is not None:
            before.outbox.close()
        if parts.outbox is not None:
            parts.outbox.start()
        return ["clips.longest"] if parts.cutting.kept_s > self._kept_s else []
