"""When a recording was begun: from its metadata, its name, or the time of its file.

What states its zone goes before what does not; among these the source that is closer to the recorder's clock goes
first: GUANO, the comment of an AudioMoth, ``wamd``, ``bext``, ``iXML``, the name, and then tags, which programs copy.
An AudioMoth's hexadecimal name goes before the comment of the same day: it counts in UTC, whatever the comment means.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from pathlib import Path

from edgeapp.audio.metadata.guano import clock_was_set, read, start_time
from edgeapp.audio.metadata.recorder_metadata import AUDIOMOTH, BEXT, IXML, TAG, WAMD, recorder_times
from edgeapp.audio.metadata.recording_names import YEARS, counted_time, time_in_name
from edgeapp.clock.system import Moment
from edgeapp.errors import AudioError

GUANO, NAME, MTIME = "guano", "name", "mtime"
ORIGINS = (GUANO, AUDIOMOTH, WAMD, BEXT, IXML, NAME, TAG, MTIME)
REPEATED, SKIPPED, CONTRADICTED = DOUBTS = ("repeated hour", "skipped hour", "contradicted")
AGREE = timedelta(minutes=1)  # sources that name the moment of a button, a file and a sample


@dataclass(frozen=True)
class RecordingStart:
    """When a recording was begun.

    Attributes
    ----------
    time : datetime
        In UTC; naive, as the recorder's clock stood, where nothing says in which zone.
    source : str
        One of `ORIGINS`: where it was read. The time of a file (``mtime``) is as good as the clock that wrote the file,
        and wrong for a file that was edited or copied without its time.
    doubt : str or None
        One of `DOUBTS`: the clock of the zone showed that time twice, so that it may have been an hour later, or never,
        so that the recorder did not keep the time of this zone; or another source in the file gives another time.
    clock_set : bool
        False where a station of ours says that its clock was not set.
    """

    time: datetime
    source: str
    doubt: str | None = None
    clock_set: bool = True

    @property
    def utc(self) -> datetime | None:
        """The time, aware; None where the zone is not known."""
        return self.time if self.time.tzinfo is not None else None

    @property
    def moment(self) -> Moment | None:
        """The time as writers take it; None where the zone is not known."""
        return None if self.utc is None else Moment(self.utc, 0.0, self.clock_set)

    @property
    def day(self) -> date | None:
        """The date in UTC, or on the recorder's clock; None where that was not set."""
        return self.time.date() if self.clock_set else None


def recording_start(path: str | os.PathLike[str], duration_s: float, zone: tzinfo = timezone.utc) -> RecordingStart:
    """When a recording was begun, by the best source it has, or by the time of its file.

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
    AudioError
        It cannot be read.
    """
    mtime = os.stat(path).st_mtime
    found = stated_start(path, zone)
    if found is not None:
        return found
    return RecordingStart(datetime.fromtimestamp(mtime, timezone.utc) - timedelta(seconds=duration_s), MTIME)


def stated_start(path: str | os.PathLike[str], zone: tzinfo | None = None) -> RecordingStart | None:
    """When a recording was begun, where its metadata or its name says so; None elsewhere.

    Parameters
    ----------
    path : path
    zone : tzinfo, optional
        In which a recorder's clock stood that wrote no zone. Without it such a time stays naive.

    Raises
    ------
    AudioError
        The file cannot be read.
    """
    path = Path(path)
    metadata = read(path)
    set_ = clock_was_set(metadata)
    guano = start_time(metadata)
    stated = [(GUANO, guano)] if guano is not None else []
    stated += _others(path)
    stated = [(source, time) for source, time in stated if time.year in YEARS]
    if not stated:
        return None
    zoned = [one for one in stated if one[1].tzinfo is not None and one[0] != TAG]
    source, time = (zoned or stated)[0]
    doubt = CONTRADICTED if any(abs(other - time) > AGREE for _, other in zoned) else None
    if time.tzinfo is None and zone is not None:
        time, doubt = _placed(time, zone)
    return RecordingStart(time.astimezone(timezone.utc) if time.tzinfo else time, source, doubt, set_)


def _others(path: Path) -> Iterator[tuple[str, datetime]]:
    """Times outside of GUANO, the best first."""
    try:
        metadata = list(recorder_times(path))
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})", "check the path and its permissions") from None
    counted, named = counted_time(path.name), time_in_name(path.name)
    comment = dict(metadata).get(AUDIOMOTH)
    if counted is not None and (comment is None or abs(counted - comment) < timedelta(days=1)):
        yield NAME, counted
    yield from (one for one in metadata if one[0] != TAG)
    if named is not None:
        yield NAME, named
    yield from (one for one in metadata if one[0] == TAG)


def _placed(local: datetime, zone: tzinfo) -> tuple[datetime, str | None]:
    """A time on the clocks of a zone, and what is doubtful about it: the first of two, the clock before it jumped."""
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first, None
    there = first.astimezone(timezone.utc).astimezone(zone).replace(tzinfo=None, fold=0)
    return first, REPEATED if there == local else SKIPPED
