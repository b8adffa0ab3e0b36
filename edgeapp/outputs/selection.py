"""A selection for sound editors: a stretch of a recording, its taxon and confidence.

Raven and Audacity see several recordings as one long sound, the first, then the second at its end, and so on. Their
times run on over the recordings; a recording without a detection takes its length all the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from edgeapp.file_names import readable, text_of
from edgeapp.outputs.words import one_line
from edgeapp.outputs.writer import Recording, Spool

if TYPE_CHECKING:
    from edgeapp.recognition.results import Identification, Stretch, WindowResult
    from gallery.recognition import Candidate


@dataclass(frozen=True)
class Selection:
    """One detection in one stretch of one sound file.

    Attributes
    ----------
    file : str
        As `edgeapp.file_names.text_of` gives it.
        As it was named by whoever gave it.
    start_s, end_s : float
        Inside the file.
    rate_hz : int
        Of the file.
    taxon_rank, scientific_name : str
    common_name : str
        Of a species; empty when there is none, and above the species.
    confidence : float or None
        None for a name that a person gave.
    time : datetime or None
        When the stretch began, aware; None when only the file would know.
    origin, doubt : str or None
        Where the time was read, and what is doubtful about it; see `RecordingStart` of
        `edgeapp.audio.metadata.recording_time`.
    channel : int or None
        Of the file, from 1, where one was chosen.
    """

    file: str
    start_s: float
    end_s: float
    rate_hz: int
    taxon_rank: str
    scientific_name: str
    common_name: str
    confidence: float | None
    time: datetime | None = None
    origin: str | None = None
    doubt: str | None = None
    channel: int | None = None

    @property
    def path(self) -> str:
        """The whole path, in one line: a program that opens the table elsewhere must find the file."""
        return one_line(readable(os.path.abspath(self.file)))

    @property
    def called(self) -> str:
        """The common name, or the scientific one of a taxon without."""
        return one_line(self.common_name or self.scientific_name)

    @property
    def label(self) -> str:
        """ "Turdus merula 0.87", "Turdus (genus) 0.87"; without a number where a person gave the name.

        A channel that was chosen is named: "Turdus merula 0.87 (channel 2)".
        """
        name = one_line(self.scientific_name)
        if self.taxon_rank != "species":
            name = f"{name} ({self.taxon_rank})"
        named = name if self.confidence is None else f"{name} {self.confidence:.2f}"
        return named if self.channel is None else f"{named} (channel {self.channel})"


# The number of a selection, from 1; what was heard before its file, in seconds; the selection -> its row, ended.
Row = Callable[[int, float, Selection], str]


class SelectionWriter:
    """See `edgeapp.outputs.writer.Writer`. One row for each detection.

    A cut file takes as much of the long sound as could be decoded. A file that failed takes nothing and has no rows:
    it is named on stderr, and does not belong among the files that are opened with the table.

    Parameters
    ----------
    out : text file
    head : str
        What comes before the rows.
    row : callable
        Makes the rows.
    """

    def __init__(self, out: TextIO, head: str, row: Row) -> None:
        self._out = out
        self._row = row
        self._rows = Spool()
        self._recording = Recording("", 0)
        self._before_s = self._length_s = 0.0
        self._numbered = self._in_file = 0
        out.write(head)

    def begin(self, recording: Recording) -> None:
        """Forget the rows of a file that failed half way, and begin where the last one ended, or with its channels."""
        self._rows.clear()
        if not recording.follows:
            self._before_s += self._length_s
            self._length_s = 0.0
        self._recording, self._in_file = recording, 0

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """Nothing: rows are of detections."""

    def detection(self, stretch: Stretch) -> None:
        """Keep a row."""
        self._in_file += 1
        detection, moment = stretch.detection, self._recording.at(stretch.start_s)
        selection = Selection(
            file=text_of(self._recording.file),
            start_s=stretch.start_s,
            end_s=stretch.end_s,
            rate_hz=self._recording.rate_hz,
            taxon_rank=detection.taxon_rank,
            scientific_name=detection.scientific_name,
            common_name=detection.common_name,
            confidence=detection.confidence,
            time=None if moment is None else moment.utc,
            origin=None if moment is None else self._recording.origin,
            doubt=None if moment is None else self._recording.doubt,
            channel=self._recording.channel,
        )
        self._rows.write(self._row(self._numbered + self._in_file, self._before_s, selection))

    def finish(self, identification: Identification) -> None:
        """Write the rows of the file."""
        self._rows.pour(self._out)
        self._out.flush()
        self._numbered += self._in_file
        self._length_s = max(self._length_s, identification.duration_s)

    def fail(self, file: str, reason: str) -> None:
        """Nothing: the reason is on stderr, and the next file's beginning forgets the rows."""
