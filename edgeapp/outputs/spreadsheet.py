"""CSV for spreadsheets: their letters are right, and no name is taken for a formula.

Excel reads UTF-8 only behind a byte order mark, and spreadsheets compute what begins with ``=``, ``+``, ``-`` or ``@``,
also behind a tab or a line's end (OWASP, "CSV Injection"). Such a cell gets an apostrophe before it; a number stays
one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from typing import Protocol, TextIO

MARK = "\ufeff"
END = "\r\n"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the wide ones too


class Rows(Protocol):
    """What rows are written to, such as `csv.writer` makes."""

    def writerow(self, row: Iterable[object], /) -> object:
        """Write a row."""
        ...


def csv_rows(out: TextIO, excel: bool = False) -> Rows:
    """Writer of a CSV file: exact, or for spreadsheets."""
    return _Rows(out, escaped if excel else _as_it_is)


def escaped(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA) or _is_number(cell):
        return cell
    return f"'{cell}"


class _Rows:
    """Rows that end with a newline. The library quotes a carriage return only where its rows end with one."""

    def __init__(self, out: TextIO, cell: Callable[[object], object]) -> None:
        self._out, self._cell = out, cell

    def writerow(self, row: Iterable[object], /) -> object:
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator=END).writerow(map(self._cell, row))
        return self._out.write(line.getvalue().removesuffix(END) + "\n")


def _as_it_is(cell: object) -> object:
    return cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip() == text
