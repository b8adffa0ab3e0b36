"""CSV as BirdNET writes it: a row per detection of a species, so that scripts made for its tables read ours.

What only we know follows its columns, as BirdNET's own optional columns do.
Its columns are a species' names, so a detection above the species has no row here; JSON, Raven and Audacity have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from edgeapp.detections.document import DECIMALS, TIME_DECIMALS, recorded_fields
from edgeapp.file_names import text_of
from edgeapp.outputs.spreadsheet import MARK, csv_rows
from edgeapp.outputs.writer import Recording, Run, Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeapp.recognition.results import Identification, Stretch, WindowResult
    from gallery.recognition import Candidate

HEADER = ("Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File")
OF_RECORDING = ("channel", "recorded_at", "recorded_at_origin", "recorded_at_doubt")


class CsvWriter:
    """See `edgeapp.outputs.writer.Writer`. A file that failed has no rows."""

    def __init__(self, out: TextIO, run: Run) -> None:
        self._out = out
        self._rows = Spool()
        self._csv = csv_rows(self._rows, run.excel)  # type: ignore[arg-type]
        self._recording = Recording("", 0)
        self._of_recording: list[str | int] = []
        out.write(MARK if run.excel else "")
        csv_rows(out).writerow((*HEADER, *OF_RECORDING))

    def begin(self, recording: Recording) -> None:
        """Forget the rows of a file that failed half way."""
        self._rows.clear()
        self._recording = recording
        recorded = recorded_fields(recording.recorded, recording.origin, recording.doubt)
        self._of_recording = [value or "" for value in (recording.channel, *recorded.values())]

    def window(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """Nothing: rows are of detections."""

    def detection(self, stretch: Stretch) -> None:
        """Keep the row of a species."""
        detection = stretch.detection
        if detection.taxon_rank == "species":
            self._csv.writerow(
                (
                    round(stretch.start_s, TIME_DECIMALS),
                    round(stretch.end_s, TIME_DECIMALS),
                    detection.scientific_name,
                    detection.common_name,
                    f"{detection.confidence:.{DECIMALS}f}",
                    text_of(self._recording.file),
                    *self._of_recording,
                )
            )

    def finish(self, identification: Identification) -> None:
        """Write the rows of the file."""
        self._rows.pour(self._out)
        self._out.flush()

    def fail(self, file: str, reason: str) -> None:
        """Nothing: the reason is on stderr."""
