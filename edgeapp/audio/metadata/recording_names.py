"""Times in the names of recordings.

========================================================  ==========================================================
``20190522_070000.WAV``, ``..._070000T.WAV``              AudioMoth since 2018; its zone is in the comment of the file
``5CE4F4F0.WAV``                                          AudioMoth until 2018: seconds since 1970, hexadecimal, UTC
``SM4A_20190522_070000.wav``, ``..._0+1_20190522_...``    Song Meter; ``20190522$070000`` where GPS set its clock
``20190522T070000+0200_REC.wav``, ``S20190522T070000...`` Frontier Labs
``S1_20190522_070000_+0200.wav``, ``..._070000_Z.wav``    Swift, SwiftOne
``190522-070000.WAV``, ``190522_070000.WAV``              Zoom
``2019-05-22 07_00.wav``, ``2019-05-22 07.00.00.m4a``     Merlin, phones
``2019-05-22-birdnet-07:00:00.wav``                       BirdNET-Pi
========================================================  ==========================================================

A hexadecimal name may consist of decimal digits only, as a running number does. It is a time where it is written as an
AudioMoth writes it, eight digits and ``.WAV`` in capitals, and lies in the years in which one did so: 52... to 61...,
where no running number begins and no date either.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import PurePath

from edgeapp.clock.written import offset_zone

YEARS = range(1990, 2100)  # a name with any other year has no date in it
HEX_YEARS = range(2014, 2022)  # from the first AudioMoths to the last that had not got new firmware
LARGEST_OFFSET_H = 14

# Year to second, the separators of one recorder or another between them, and perhaps an offset from UTC.
_DATED = re.compile(
    r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?:(?P<iso>T)|[_ $-]|-birdnet-)"
    r"(\d{2})[-:_.]?(\d{2})[-:_.]?(\d{2})(?!\d)(?:\.\d+)?"
    r"(?:_?(?P<utc>Z)(?![A-Za-z0-9])|_?(?P<offset>[+-]\d{2}:?\d{2})(?!\d)|(?(iso)(?P<hours>[+-]\d{2}))(?![\d.]))?"
)
_TO_THE_MINUTE = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})[T_ ](\d{2})[-:_.](\d{2})(?![\d])")
_SHORT_YEAR = re.compile(r"^(\d{2})(\d{2})(\d{2})[-_](\d{2})(\d{2})(\d{2})(?!\d)")
_UNIX_HEX = re.compile(r"[0-9A-F]{8}")


def time_in_name(name: str) -> datetime | None:
    """The time in the name of a recording, aware where the name says in which zone; None where there is none.

    Parameters
    ----------
    name : str
        Without its folder, with its suffix.
    """
    counted = counted_time(name)
    if counted is not None:
        return counted
    stem = PurePath(name).stem
    for match in _DATED.finditer(stem):
        time = _time(*map(int, match.group(1, 2, 3, 5, 6, 7)))
        if time is not None:
            return time.replace(tzinfo=_zone(match["utc"] or match["offset"] or match["hours"]))
    for match in _TO_THE_MINUTE.finditer(stem):
        if (time := _time(*map(int, match.groups()))) is not None:
            return time
    short = _SHORT_YEAR.match(stem)
    return None if short is None else _time(2000 + int(short[1]), *map(int, short.groups()[1:]))


def counted_time(name: str) -> datetime | None:
    """The time in a hexadecimal name, in UTC; None for any other name."""
    stem, suffix = PurePath(name).stem, PurePath(name).suffix
    if not _UNIX_HEX.fullmatch(stem) or (stem.isdecimal() and suffix != ".WAV"):
        return None
    found = datetime.fromtimestamp(int(stem, 16), timezone.utc)
    return found if found.year in (HEX_YEARS if stem.isdecimal() else YEARS) else None


def _time(year: int, month: int, day: int, hour: int, minute: int, second: int = 0) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, second) if year in YEARS else None
    except ValueError:  # a number that looks like a date
        return None


def _zone(offset: str | None) -> timezone | None:
    if offset is None:
        return None
    if offset != "Z":
        minutes = int(offset[3:].lstrip(":") or 0)
        if int(offset[1:3]) > LARGEST_OFFSET_H or minutes % 15 or minutes > 45:
            return None  # no zone of this world: a running number
    return offset_zone(offset)
