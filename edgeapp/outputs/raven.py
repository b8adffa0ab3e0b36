"""Raven selection tables: tab separated, one selection per detection, times running on over the files.

Raven needs the columns from Selection to High Freq (Hz); it keeps the others as notes. The box of a selection has no
edges of its own in frequency, so it reaches from 0 to half of the file's rate. There is no species code: codes are
eBird's, and a gallery has taxa that have none.
"""

from __future__ import annotations

from typing import TextIO

from edgeapp.outputs.selection import Selection, SelectionWriter
from edgeapp.outputs.words import one_line
from edgeapp.outputs.writer import Run

HEADER = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Common Name",
    "Scientific Name",
    "Rank",
    "Confidence",
    "Begin Path",
    "Begin File",
    "File Offset (s)",
)
DATED = (*HEADER, "Time")  # with its offset from UTC: a time without a zone is useless
OF_RECORDINGS = (*DATED, "Time Origin", "Time Doubt")  # where the start of the recording was read
VIEW = "Spectrogram 1"
CHANNEL = 1  # of a sound whose channels are heard together
DECIMALS = 6  # of seconds: the sum of many files must still point at the sample


class RavenWriter(SelectionWriter):
    """See `edgeapp.outputs.selection.SelectionWriter`."""

    def __init__(self, out: TextIO, run: Run) -> None:
        super().__init__(out, head(OF_RECORDINGS), dated_row)


def head(columns: tuple[str, ...]) -> str:
    """The header line."""
    return "\t".join(columns) + "\n"


def row(number: int, before_s: float, selection: Selection) -> str:
    """The line of a selection; with its time, where it has one."""
    path = selection.path
    fields = [
        str(number),
        VIEW,
        str(selection.channel or CHANNEL),
        f"{before_s + selection.start_s:.{DECIMALS}f}",
        f"{before_s + selection.end_s:.{DECIMALS}f}",
        "0",
        f"{selection.rate_hz / 2:.1f}",
        selection.called,
        one_line(selection.scientific_name),
        selection.taxon_rank,
        "" if selection.confidence is None else f"{selection.confidence:.4f}",
        path,
        path.rpartition("/")[2],
        f"{selection.start_s:.{DECIMALS}f}",
    ]
    if selection.time is not None:
        fields.append(selection.time.isoformat(timespec="milliseconds"))
    return "\t".join(fields) + "\n"


def dated_row(number: int, before_s: float, selection: Selection) -> str:
    """The line of a selection of a recording, whose time may be unknown."""
    line = row(number, before_s, selection).removesuffix("\n")
    time = "" if selection.time is not None else "\t"
    return f"{line}{time}\t{selection.origin or ''}\t{selection.doubt or ''}\n"
