"""Of which detections somebody is notified: rules by taxon, confidence, first record, time of day, and a pause."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any

from edgeapp.detections.review import ReviewVerdict
from edgeapp.errors import UsageError
from gallery import files
from gallery.utc import utc_of

log = logging.getLogger(__name__)

EVERY, DAY, SEASON, EVER = "every", "day", "season", "ever"
FIRSTS = (EVERY, DAY, SEASON, EVER)
NONE, SPECIES, SPECTROGRAM = "none", "species", "spectrogram"
PICTURES = (NONE, SPECIES, SPECTROGRAM)  # what a notification shows
SEASON_GAP = timedelta(days=90)  # without a record for so long, the next one is the first of a season
_QUIET = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")

LastBefore = Callable[[str, datetime], datetime | None]


def quiet_hours(text: str) -> tuple[time, time]:
    """Beginning and end of quiet hours, written ``22:00-06:30``.

    Raises
    ------
    UsageError
    """
    found = _QUIET.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} are no quiet hours", "write them as 22:00-06:30, in local time")
    begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if begin == end:
        raise UsageError(f"{text!r} are no quiet hours: they end as they begin", "write them as 22:00-06:30")
    return begin, end


@dataclass(frozen=True)
class Rules:
    """When a detection is worth a notification.

    Attributes
    ----------
    wanted : frozenset of str or None
        Scientific names, groups included; None takes every taxon.
    min_confidence : float
    first : str
        Of `FIRSTS`: every detection, or only the first of a taxon on a local day, after `SEASON_GAP`, or ever.
    quiet : (time, time) or None
        Local time at which nobody is notified; what happens then is not told later.
    cool_down_s : float
        After a notification, none of the same taxon for so long.
    max_age_s : float
        Older detections, as after an outage, are not told.
    """

    wanted: frozenset[str] | None = None
    min_confidence: float = 0.0
    first: str = EVERY
    quiet: tuple[time, time] | None = None
    cool_down_s: float = 0.0
    max_age_s: float = float("inf")

    def refusal(
        self, document: Mapping[str, Any], now: datetime, zone: tzinfo, last_before: LastBefore, told: datetime | None
    ) -> str:
        """Why nobody is notified of a detection; empty when somebody is.

        Parameters
        ----------
        document : Mapping
            The detection document.
        now : datetime
            Aware.
        zone : tzinfo
            Local time.
        last_before : callable
            Scientific name and moment to the last record before it.
        told : datetime or None
            When the last detection began of which somebody was notified, of this taxon.
        """
        name, began = document["taxon"]["scientific_name"], utc_of(str(document["time"]))
        if document.get("updated"):
            return "told before"
        if (document.get("review") or {}).get("verdict") == ReviewVerdict.REJECTED:
            return "rejected by a review"
        if self.wanted is not None and name not in self.wanted:
            return "another taxon"
        if document["confidence"] < self.min_confidence:
            return "below the confidence"
        if self.quiet is not None and _inside(now.astimezone(zone).time(), *self.quiet):
            return "quiet hours"
        if (now - began).total_seconds() > self.max_age_s:
            return "too old"
        if told is not None and abs((began - told).total_seconds()) < self.cool_down_s:
            return "told a while ago"
        return "" if self._is_first(name, began, zone, last_before) else f"not the first of the {self.first}"

    def _is_first(self, name: str, began: datetime, zone: tzinfo, last_before: LastBefore) -> bool:
        last = None if self.first == EVERY else last_before(name, began)
        if last is None or self.first == EVERY:
            return True
        if self.first == DAY:
            return last.astimezone(zone).date() != began.astimezone(zone).date()
        return self.first == SEASON and began - last >= SEASON_GAP


def _inside(now: time, begin: time, end: time) -> bool:
    return begin <= now < end if begin < end else now >= begin or now < end


class Told:
    """When somebody was last notified of each taxon; survives a restart.

    Parameters
    ----------
    path : Path
        A small JSON file. One that cannot be read or written only means that a pause may be forgotten.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times: dict[str, str] = {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            self._times = {str(name): str(utc) for name, utc in found.items()} if isinstance(found, dict) else {}
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("%s: cannot be read (%s)", path, type(error).__name__)

    def last(self, name: str) -> datetime | None:
        """Beginning of the last detection of a taxon that was told."""
        try:
            return utc_of(self._times[name])
        except (KeyError, ValueError):
            return None

    def note(self, name: str, utc: str) -> None:
        """A detection that began then was told."""
        self._times[name] = utc
        try:
            files.write_text(self._path, json.dumps(self._times, ensure_ascii=False), parents=True, durable=False)
            os.chmod(self._path, 0o600)
        except OSError as error:
            log.warning("%s: cannot be written (%s)", self._path, error.strerror or error)
