"""What programs for looking at sound are told: a stretch of a recording, what it was named, and how surely.

Raven and Audacity see several recordings as one long sound, the first, then the second at its end, and so on. Their
times run on over the recordings; a recording without a detection takes its length all the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from edgeapp.outputs.words import one_line
from edgeapp.outputs.writer import Spool

if TYPE_CHECKING:
    from edgeapp.recognition.pipeline import Identification, WindowResult, WindowSummary


@dataclass(frozen=True)
class Selection:
    """One decision about one stretch of one sound file.

    Attributes
    ----------
    file : str
        As it was named by whoever gave it.
    start_s, end_s : float
        Inside the file.
    rate_hz : int
        Of the file.
    rank, name : str
        Of the decided taxon; the name is scientific.
    common_name : str
        Of a species; empty when there is none, and above the species.
    confidence : float or None
        Summed probability of the decided taxon; None for a name that a person gave.
    time : datetime or None
        When the stretch began, aware; None when only the file would know.
    """

    file: str
    start_s: float
    end_s: float
    rate_hz: int
    rank: str
    name: str
    common_name: str
    confidence: float | None
    time: datetime | None = None

    @property
    def path(self) -> str:
        """The whole path, in one line: a program that opens the table elsewhere must find the file."""
        return one_line(os.path.abspath(self.file))

    @property
    def called(self) -> str:
        """The common name, or the scientific one of a taxon without."""
        return one_line(self.common_name or self.name)

    @property
    def label(self) -> str:
        """ "Turdus merula 0.87", "Turdus (genus) 0.87"; without a number where a person gave the name."""
        name = one_line(self.name) if self.rank == "species" else f"{one_line(self.name)} ({self.rank})"
        return name if self.confidence is None else f"{name} {self.confidence:.2f}"


# The number of a selection, from 1; what was heard before its file, in seconds; the selection -> its row, ended.
Row = Callable[[int, float, Selection], str]


class SelectionWriter:
    """See `edgeapp.outputs.writer.Writer`. One row for each window with a decision, whatever the number of species.

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
        self._file = ""
        self._rate_hz = 0
        self._before_s = 0.0
        self._numbered = self._in_file = 0
        out.write(head)

    def begin(self, file: str, rate_hz: int) -> None:
        """Forget the rows of a file that failed half way."""
        self._rows.clear()
        self._file, self._rate_hz, self._in_file = file, rate_hz, 0

    def window(self, result: WindowResult, summary: WindowSummary) -> None:
        """Keep the row of a decision."""
        decision = summary.decision
        if decision is None:
            return
        self._in_file += 1
        common = summary.inside[0].common_name if decision.rank == "species" and summary.inside else ""
        selection = Selection(
            file=self._file,
            start_s=summary.start_s,
            end_s=summary.end_s,
            rate_hz=self._rate_hz,
            rank=decision.rank,
            name=decision.name,
            common_name=common,
            confidence=float(decision.mass),
        )
        self._rows.write(self._row(self._numbered + self._in_file, self._before_s, selection))

    def finish(self, identification: Identification) -> None:
        """Write the rows of the file, and begin the next where it ended."""
        self._rows.pour(self._out)
        self._out.flush()
        self._numbered += self._in_file
        self._before_s += identification.duration_s

    def fail(self, file: str, reason: str) -> None:
        """Nothing: the reason is on stderr, and the next file's beginning forgets the rows."""
