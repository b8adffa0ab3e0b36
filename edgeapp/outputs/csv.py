"""CSV as BirdNET writes it: a row per window and species, so that scripts made for its tables read ours."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TextIO

from edgeapp.outputs.json import DECIMALS, TIME_DECIMALS, clean
from edgeapp.outputs.writer import Spool

if TYPE_CHECKING:
    from edgeapp.recognition.pipeline import Identification, WindowResult, WindowSummary

HEADER = ("Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File")


class CsvWriter:
    """See `edgeapp.outputs.writer.Writer`.

    Only windows with a decision have rows: their species inside the decided taxon, best first, with their
    probabilities. A file that failed has none.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rows = Spool()
        self._csv = csv.writer(self._rows, lineterminator="\n")
        self._file = ""
        csv.writer(out, lineterminator="\n").writerow(HEADER)

    def begin(self, file: str, rate_hz: int) -> None:
        """Forget the rows of a file that failed half way."""
        self._rows.clear()
        self._file = clean(file)

    def window(self, result: WindowResult, summary: WindowSummary) -> None:
        """Keep the rows of a decision."""
        for species in summary.inside:
            self._csv.writerow(
                (
                    round(summary.start_s, TIME_DECIMALS),
                    round(summary.end_s, TIME_DECIMALS),
                    species.scientific_name,
                    species.common_name,
                    f"{species.probability:.{DECIMALS}f}",
                    self._file,
                )
            )

    def finish(self, identification: Identification) -> None:
        """Write the rows of the file."""
        self._rows.pour(self._out)
        self._out.flush()

    def fail(self, file: str, reason: str) -> None:
        """Nothing: the reason is on stderr."""
