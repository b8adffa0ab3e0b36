"""When a recording of a recorder was begun: from its GUANO metadata, its name, or the time of its file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path

from edgeapp.audio.guano import clock_was_set, read, start_time
from edgeapp.clock.system import Moment

GUANO, NAME, MTIME = "guano", "name", "mtime"

YEARS = range(1990, 2100)  # a name with any other year has no date in it

# 20240607_165929.WAV (AudioMoth), SM4A_20240607_165929.wav (Song Meter), 20240607T165929Z.flac, 2024-06-07_16-59-29.wav
_DATED = re.compile(
    r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})[T_ -](\d{2})[-:_]?(\d{2})[-:_]?(\d{2})(?!\d)"
    r"(?:\.\d+)?(Z|[+-]\d{2}:?\d{2}(?!\d))?"
)
_UNIX_HEX = re.compile(r"^[0-9A-F]{8}$")  # AudioMoth before 2020: seconds since 1970


@dataclass(frozen=True)
class RecordingStart:
    """When a recording was begun.

    Attributes
    ----------
    utc : datetime
        Aware.
    source : str
        ``guano``, ``name`` or ``mtime``: where it was read. The last is as good as the clock that wrote the file, and
        wrong for a file that was edited or copied without its time.
    """

    utc: datetime
    source: str


def recording_start(path: str | os.PathLike[str], duration_s: float, zone: tzinfo = timezone.utc) -> RecordingStart:
    """When a recording was begun, by the best source it has.

    Parameters
    ----------
    path : path
        Must exist.
    duration_s : float
        Of the recording, for the last resort: the time of the file is when the recording ended.
    zone : tzinfo
        In which a recorder's clock stood that wrote no zone; AudioMoth keeps UTC, Song Meters keep local time.

    Raises
    ------
    OSError
        The file is gone.
    """
    path = Path(path)
    mtime = os.stat(path).st_mtime
    found = _guano(path, zone)
    if found is not None:
        return RecordingStart(found, GUANO)
    found = start_in_name(path.stem, zone)
    if found is not None:
        return RecordingStart(found, NAME)
    return RecordingStart(datetime.fromtimestamp(mtime, timezone.utc) - timedelta(seconds=duration_s), MTIME)


def stated_start(path: str | os.PathLike[str]) -> Moment | None:
    """When a recording was begun, where its metadata or its name says so with the zone; None elsewhere.

    A clip of a station whose clock was not set says that too.
    """
    found = read(Path(path))
    start = start_time(found)
    if start is not None and start.tzinfo is not None and start.year in YEARS:
        return Moment(start.astimezone(timezone.utc), 0.0, clock_was_set(found))
    stem = Path(path).stem
    # A time that comes out the same in two zones names its own.
    first, second = start_in_name(stem), start_in_name(stem, timezone(timedelta(hours=1)))
    return Moment(first, 0.0, clock_was_set(found)) if first is not None and first == second else None


def start_in_name(stem: str, zone: tzinfo = timezone.utc) -> datetime | None:
    """The time in the name of a recording, in UTC; None where there is none."""
    if _UNIX_HEX.match(stem) and not stem.isdecimal():
        found = datetime.fromtimestamp(int(stem, 16), timezone.utc)
        return found if found.year in YEARS else None
    for match in _DATED.finditer(stem):
        try:
            local = datetime(*map(int, match.groups()[:6]))  # type: ignore[arg-type]
        except ValueError:  # a number that looks like a date
            continue
        if local.year in YEARS:
            return _in_utc(local, match[7], zone)
    return None


def _in_utc(local: datetime, offset: str | None, zone: tzinfo) -> datetime:
    if offset and offset != "Z":
        hours, minutes = int(offset[1:3]), int(offset[-2:])
        if hours > 14 or minutes % 15:  # no zone of this world: a running number
            return local.replace(tzinfo=zone).astimezone(timezone.utc)
        east = timedelta(hours=hours, minutes=minutes)
        return (local - east if offset[0] == "+" else local + east).replace(tzinfo=timezone.utc)
    return local.replace(tzinfo=timezone.utc if offset else zone).astimezone(timezone.utc)


def _guano(path: Path, zone: tzinfo) -> datetime | None:
    """The GUANO timestamp of a recording, in UTC; without a zone it is the recorder's local time."""
    found = start_time(read(path))
    if found is None or found.year not in YEARS:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(timezone.utc)
