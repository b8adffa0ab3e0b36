"""What a report shows, apart from how it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

import numpy as np

from edgeapp.audio.spectra.spectrogram import STEPS_KHZ, STEPS_S, Axis
from edgeapp.web.report.attachments import Attachment
from edgeapp.web.report.name import Name

COLOURS = 8  # of boxes, in the style sheet; taxa take them in turn


@dataclass(frozen=True, eq=False)
class Heard:
    """A detection.

    Attributes
    ----------
    name : Name
    confidence : float
    recording : str
        Key of the recording or clip that it is heard in.
    start_s, end_s : float
        On the clock of that.
    best_s : float
        Where its most confident window begins; ``start_s`` where that is not known.
    file : str
        The recording or clip; empty where there is none to read.
    number : int or None
        In a journal.
    source : str
        Of a journal: the microphone or recording.
    time : datetime or None
        When it began, aware.
    doubtful : bool
        Whether the clock was not set, so that the time cannot be trusted.
    likeliest : str
        Of a group: its likeliest species, as it is shown.
    candidates : tuple of str
        Scientific names of its likeliest species.
    review : str
        Verdict of the last review; empty without one.
    vector : np.ndarray or None
        ``[dim]``, of its most confident window.
    channel : int, from 1; 0 for all together
    """

    name: Name
    confidence: float
    recording: str
    start_s: float
    end_s: float
    best_s: float
    file: str = ""
    number: int | None = None
    source: str = ""
    time: datetime | None = None
    doubtful: bool = False
    likeliest: str = ""
    candidates: tuple[str, ...] = ()
    review: str = ""
    vector: np.ndarray | None = None
    channel: int = 0


@dataclass(frozen=True)
class Sound:
    """Sound that can be played.

    Attributes
    ----------
    id : str
        In the page.
    recording : str
        Key of what it is a part of.
    start_s, end_s : float
        On the clock of that.
    attachment : Attachment
    gain_db : float
    """

    id: str
    recording: str
    start_s: float
    end_s: float
    attachment: Attachment
    gain_db: float


@dataclass(frozen=True)
class Box:
    """A detection in a picture.

    Attributes
    ----------
    heard : Heard
    left, width : float
        Shares of the picture, in percent.
    lane : int
        Boxes that overlap have different ones; 0 is the top.
    colour : int
        Below `COLOURS`.
    playable : bool
        Whether its sound is in the report.
    """

    heard: Heard
    left: float
    width: float
    lane: int
    colour: int
    playable: bool = False


@dataclass(frozen=True)
class Figure:
    """A spectrogram with its detections.

    Attributes
    ----------
    recording : str
    title : str
        What is shown, for those who cannot see it.
    start_s, end_s : float
    high_khz : float
    picture : Attachment
    boxes : tuple of Box
    sound : Sound or None
        Whose player stands below it.
    elsewhere : Sound or None
        Whose player stands elsewhere in the report.
    caption : str
    """

    recording: str
    title: str
    start_s: float
    end_s: float
    high_khz: float
    picture: Attachment
    boxes: tuple[Box, ...] = ()
    sound: Sound | None = None
    elsewhere: Sound | None = None
    caption: str = ""

    @property
    def lanes(self) -> int:
        """How many lanes its boxes take."""
        return 1 + max((box.lane for box in self.boxes), default=-1)

    @property
    def seconds(self) -> Axis:
        return Axis(self.start_s, self.end_s, STEPS_S)

    @property
    def khz(self) -> Axis:
        return Axis(0.0, self.high_khz, STEPS_KHZ)


@dataclass(frozen=True)
class Outcome:
    """Consecutive windows that ended in the same way without a detection.

    Attributes
    ----------
    start_s, end_s : float
    windows : int
    reason : str
    likeliest : Name or None
        The species that came nearest, and how near.
    confidence : float
    level_dbfs : float
        Of the loudest.
    """

    start_s: float
    end_s: float
    windows: int
    reason: str
    likeliest: Name | None
    confidence: float
    level_dbfs: float


@dataclass(frozen=True)
class Outcomes:
    """How the windows of a recording ended.

    Attributes
    ----------
    counts : Mapping
        In words, to the number of windows.
    runs : sequence of Outcome
        Those without a detection.
    left_out : int
        Runs that are not listed.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    runs: Sequence[Outcome] = ()
    left_out: int = 0


@dataclass(frozen=True)
class RecordingPart:
    """A recording.

    Attributes
    ----------
    key, file : str
    duration_s : float
    rate_hz : int
    recorded : datetime or None
    origin : str
    notes : tuple of str
    detections : int
    figures : tuple of Figure
    legend : tuple of (Name, colour)
    boxes_left_out : int
        Detections that are in no figure.
    outcomes : Outcomes
    sounds : tuple of Sound
    """

    key: str
    file: str
    duration_s: float
    rate_hz: int
    recorded: datetime | None
    origin: str
    notes: tuple[str, ...]
    detections: int
    figures: tuple[Figure, ...] = ()
    legend: tuple[tuple[Name, int], ...] = ()
    boxes_left_out: int = 0
    outcomes: Outcomes = field(default_factory=Outcomes)
    sounds: tuple[Sound, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A picture of a taxon with its credits.

    Attributes
    ----------
    attachment : Attachment or None
        None where only the credits may be shown.
    scientific_name, relative, label, author, licence, source : str
        See `gallery.pictures.Picture`.
    """

    attachment: Attachment | None
    scientific_name: str
    relative: str
    label: str
    author: str
    licence: str
    source: str


@dataclass(frozen=True)
class TaxonPart:
    """A taxon that was detected.

    Attributes
    ----------
    name : Name
    count : int
    confidence : float
        Of its most confident detection.
    seconds : float
        Of all its detections.
    first, last : Heard
    recordings : int
    colour : int
    figures : tuple of Figure
        Its best stretches.
    pictures : tuple of Shown
    """

    name: Name
    count: int
    confidence: float
    seconds: float
    first: Heard
    last: Heard
    recordings: int
    colour: int
    figures: tuple[Figure, ...] = ()
    pictures: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class Grid:
    """Counts of taxa over hours or days.

    Attributes
    ----------
    title, corner : str
    columns : tuple of str
    rows : tuple of (Name, counts)
    """

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Name, tuple[int, ...]], ...]

    @property
    def highest(self) -> int:
        return max((count for _, counts in self.rows for count in counts), default=0)


@dataclass(frozen=True)
class Table:
    """A table of words.

    Attributes
    ----------
    title : str
    head : tuple of str
    rows : tuple of tuples of str
    more : str
        What is not in it, in words.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: str = ""


@dataclass(frozen=True)
class Report:
    """All of it.

    Attributes
    ----------
    title, subtitle : str
    facts : sequence of (str, str)
        What it is about, in a few words each.
    taxa : sequence of TaxonPart
    recordings : sequence of RecordingPart
    failed : sequence of (file, reason)
    grids, tables : sequence
        Of a journal or an archive.
    counts_recordings : bool
        Whether the summary says in how many recordings a taxon is; it does where the report has several.
    settings, licences : sequence of (str, str)
    made : datetime
    version : str
        Of this program.
    sound : str
        What of the sound is in it, in words.
    """

    title: str
    subtitle: str
    facts: Sequence[tuple[str, str]]
    taxa: Sequence[TaxonPart]
    settings: Sequence[tuple[str, str]]
    licences: Sequence[tuple[str, str]]
    made: datetime
    version: str
    sound: str
    recordings: Sequence[RecordingPart] = ()
    failed: Sequence[tuple[str, str]] = ()
    grids: Sequence[Grid] = ()
    tables: Sequence[Table] = ()
    counts_recordings: bool = False


def local(moment: datetime, zone: tzinfo | None, doubtful: bool = False) -> str:
    """A time in a zone, the machine's own for None; with a question mark where the clock was not set."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}{' ?' if doubtful else ''}"
