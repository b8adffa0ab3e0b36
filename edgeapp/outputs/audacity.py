"""Audacity labels: begin, end and text, tab separated, without a header.

The confidence is part of the text, because a fourth column is one that Audacity ignores or misreads. Several files
have one row of labels: import the files in their order and align the tracks end to end.
"""

from __future__ import annotations

from typing import TextIO

from edgeapp.outputs.selection import Selection, SelectionWriter
from edgeapp.outputs.writer import Run

DECIMALS = 6  # of seconds, as Audacity writes them itself


class AudacityWriter(SelectionWriter):
    """See `edgeapp.outputs.selection.SelectionWriter`."""

    def __init__(self, out: TextIO, run: Run) -> None:
        super().__init__(out, "", row)


def row(number: int, before_s: float, selection: Selection) -> str:
    """The label of a selection."""
    start_s, end_s = before_s + selection.start_s, before_s + selection.end_s
    return f"{start_s:.{DECIMALS}f}\t{end_s:.{DECIMALS}f}\t{selection.label}\n"
