"""State of the station and of this machine, as the status file and `doctor` know them."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from edgeapp.config.load import Loaded
from edgeapp.doctor.checkup import CHECKS, examine
from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Finding
from edgeapp.station.assembly import clock_of
from edgeapp.web.site import Site

KEPT_S = 60.0  # an examination takes seconds
LOG_LINES = 100
LOG_BYTES = 64_000
SLOW = ("recognition", "delivery")  # load the pack a second time, wait for a network; the station shows both itself

_lock = threading.Lock()


def status_of(site: Site) -> dict[str, Any] | None:
    """The status of the station in this program, or of another one by its status file; None without any.

    The key ``fresh`` is added: whether it is of this moment.
    """
    if site.station is not None:
        return {**site.station.live.state(), "state": "listening", "fresh": True}
    path = site.settings.status_path
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        age_s = time.time() - path.stat().st_mtime
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict):
        return None
    known: dict[str, Any] = {
        "microphones": [],
        "windows": {},
        "targets": {},
        "journal": {},
        "time_utc": None,
        "detections": 0,
    }
    return {**known, **told, "fresh": age_s < KEPT_S and told.get("state") == "listening"}


def examined(site: Site, anew: bool = False) -> list[Finding]:
    """What `doctor` finds; at most once a minute, if not asked for anew. Microphones are left alone."""
    with _lock:
        when, findings = site.examined
        if anew or time.monotonic() - when > KEPT_S:
            checks = {name: check for name, check in CHECKS.items() if name not in SLOW}
            context = Context(Loaded(site.settings), clock=clock_of(site.settings), microphone=False)
            findings = list(examine(context, checks))
            site.examined = time.monotonic(), findings
        return findings


def known(site: Site) -> list[Finding] | None:
    """What `doctor` found in the last minute; None if nobody asked."""
    when, findings = site.examined
    return findings if time.monotonic() - when <= KEPT_S else None


def log_of(site: Site) -> list[str]:
    """The last lines of the log file; none without one."""
    path = site.settings.log.file
    if path is None:
        return []
    try:
        with Path(path).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_BYTES))
            lines = deque(file.read().decode("utf-8", "replace").splitlines(), maxlen=LOG_LINES)
    except OSError:
        return []
    return list(lines)
