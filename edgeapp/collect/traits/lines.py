"""CSV files with commas, semicolons or tabs by line, so that a fault can be named with its place."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from edgeapp.errors import UsageError
from edgeapp.species_lists import delimiter_of


def read_lines(path: Path, columns: Sequence[str]) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Header and numbered lines of a CSV that must have `columns`.

    Raises
    ------
    UsageError
        It cannot be read, a column is missing, a line is longer than the header, or there are no lines.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, restval="", delimiter=delimiter_of(first))
            header = list(reader.fieldnames or ())
            lines = [(reader.line_num, fields) for fields in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read ({error})", "name a CSV file in UTF-8") from error
    missing = [name for name in columns if name not in header]
    if missing:
        raise UsageError(f"{path}: column {missing[0]} is missing", f"it must have {', '.join(columns)}")
    if not lines:
        raise UsageError(f"{path}: has no line below the header", "name a file with data")
    longer = [line for line, fields in lines if None in fields]
    if longer:
        raise UsageError(f"{path} line {longer[0]}: more fields than columns", "put what contains a comma in quotes")
    return header, lines
