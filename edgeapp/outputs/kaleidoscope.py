"""Kaleidoscope's CSV: these seven columns and no other, because Kaleidoscope shows nothing of a table with more.

TOP1DIST is a distance: Kaleidoscope writes a small one beside a good match and sorts by that. So it holds 1 minus the
confidence. BirdNET-Analyzer and birda put the confidence itself there, which turns the order round.
"""

from __future__ import annotations

import csv
import io
import os
from typing import TextIO

from edgeapp.outputs.selection import Selection, SelectionWriter
from edgeapp.outputs.writer import Run

HEADER = ("INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "TOP1MATCH", "TOP1DIST")
TIME_DECIMALS = 3  # of seconds
DECIMALS = 4  # of the distance


class KaleidoscopeWriter(SelectionWriter):
    """See `edgeapp.outputs.selection.SelectionWriter`."""

    def __init__(self, out: TextIO, run: Run) -> None:
        super().__init__(out, head(), row)


def head() -> str:
    """The header line."""
    return ",".join(HEADER) + "\n"


def row(number: int, before_s: float, selection: Selection) -> str:
    """The line of a selection; times are inside its file, which is INDIR/FOLDER/IN FILE."""
    folder, name = os.path.split(selection.path)
    above, inside = os.path.split(folder)
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(
        (
            above,
            inside,
            name,
            f"{selection.start_s:.{TIME_DECIMALS}f}",
            f"{selection.end_s - selection.start_s:.{TIME_DECIMALS}f}",
            selection.called,
            "" if selection.confidence is None else f"{1 - selection.confidence:.{DECIMALS}f}",
        )
    )
    return line.getvalue()
