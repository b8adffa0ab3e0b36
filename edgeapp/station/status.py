"""The status file: the state of the station, for `doctor` and scripts."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeapp.clock.sources import NONE
from edgeapp.clock.system import Clock, Moment, judgement_of
from edgeapp.config.load import settings_file
from edgeapp.delivery.outbox import Outbox
from edgeapp.delivery.target_queue import TargetState
from edgeapp.detections.document import taxon_fields
from edgeapp.file_names import readable, text_of
from edgeapp.journal import Deployment, utc_text
from edgeapp.station.observation import Observation
from edgeapp.station.reconfiguration import Reading, Reconfiguration
from edgeapp.station.station import Station
from gallery import files
from gallery.naming import Naming

log = logging.getLogger(__name__)

FORMAT = 2  # raised when a field changes its meaning or goes; new fields may come at any time


class StatusFile:
    """A JSON document that is replaced as a whole, so that a reader never sees half of it.

    Parameters
    ----------
    path : path
        Its folder is made. Where it is a link, such as into memory, the file that it leads to is the one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._failed = False

    def write(self, status: Mapping[str, Any]) -> None:
        """Replace the document. A failure is logged once and does not stop the station."""
        text = json.dumps(status, ensure_ascii=False, indent=1) + "\n"
        try:
            # Every few seconds: flushing each would wear out a memory card, and the next start writes another.
            files.write_text(os.path.realpath(self.path), text, parents=True, durable=False)
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("%s: the status cannot be written (%s)", self.path, error.strerror or error)
            self._failed = True


def describing(
    name: str, deployment: Deployment, outbox: Outbox | None, waits: Sequence[str] = ()
) -> Callable[[Station], dict[str, Any]]:
    """Makes the document of a station.

    Parameters
    ----------
    name : str
        Of the station.
    deployment : Deployment
    outbox : Outbox or None
    waits : sequence of str
        What is not done until the clock is set, in words.
    """

    def describe(station: Station) -> dict[str, Any]:
        now, trouble = station.clock.now(), station.write_queue.trouble
        return {
            "format": FORMAT,
            "station": name,
            "pid": os.getpid(),
            "time_utc": utc_text(now.utc),
            "clock_set": now.clock_set,
            "clock": _clock(station.clock, now, waits),
            "pack": deployment.pack,
            "pack_version": deployment.pack_version,
            "microphones": [worker.described(now) for worker in station.workers],
            "windows": {verdict.value: n for verdict, n in sorted(station.counts.items())},
            "detections": station.detections,
            "lost_samples": station.lost_samples,
            "last_detection": _last(station.newest, station.journal.naming),
            "journal": {
                "path": text_of(station.journal.path),
                "waiting": len(station.write_queue),
                "trouble": None if trouble is None else readable(str(trouble)),
            },
            "targets": {
                name: _target(state) for name, state in (outbox.states() if outbox is not None else {}).items()
            },
            "memory_mb": _memory_mb(),
        }

    return describe


def _clock(clock: Clock, now: Moment, waits: Sequence[str]) -> dict[str, Any]:
    judged = judgement_of(clock)
    return {
        "set": now.clock_set,
        "source": (judged.source if judged is not None else NONE) or None,
        "why": judged.why if judged is not None else "",
        "waiting": [] if now.clock_set else list(waits),
    }


def settings_fields(file: Path | None, change: Reconfiguration | None = None) -> dict[str, Any]:
    """Where the settings were read, and what came of the last time that a running station read them again."""
    reading = Reading() if change is None else change.reading
    return {
        "file": str(settings_file(file)),
        "read_again": reading.count,
        "read_again_utc": None if reading.at is None else utc_text(reading.at.utc),
        "taken": reading.told or None,
        "error": reading.error or None,
        "waiting": list(reading.waiting),
    }


def _memory_mb() -> int | None:
    """Resident memory of this process; None where the system does not tell."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(r"^VmRSS:\s*(\d+) kB", text, re.MULTILINE)
    return round(int(found[1]) / 1024) if found is not None else None


def _last(seen: Observation | None, naming: Naming) -> dict[str, Any] | None:
    if seen is None or not seen.detected:
        return None
    newest = naming.detection(seen.detected[0])
    taxon = taxon_fields(newest)
    return {
        "time_utc": utc_text(seen.moment.utc),
        "taxon": taxon["taxon"],
        "confidence": taxon["confidence"],
        "source": seen.source,
    }


def _target(state: TargetState) -> dict[str, Any]:
    return {
        "state": state.state,
        "since_utc": utc_text(state.since.utc),
        "last_error": state.last_error or None,
        "waiting": state.waiting,
        "sent": state.sent,
        "dropped": state.dropped,
    }
