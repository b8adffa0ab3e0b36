"""Tables of comma-, tab- or semicolon-separated text with a header, row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from edgeapp.collect.sources.decoding import lines_of, quoted_rows, text_of
from edgeapp.errors import CollectError
from edgeapp.species_lists import delimiter_of
from gallery.errors import reason_of


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table: what each column holds, ``""`` where a row is short.

    Raises
    ------
    CollectError
        It cannot be read.
    """
    with _read(path) as found:
        columns = next(found, [])
        for row in found:
            if row:
                yield dict(zip(columns, [*row, *[""] * (len(columns) - len(row))], strict=False))


def header(path: Path) -> tuple[str, ...]:
    """The columns of a table.

    Raises
    ------
    CollectError
    """
    with _read(path) as found:
        return tuple(next(found, ()))


@contextmanager
def _read(path: Path) -> Iterator[Iterator[list[str]]]:
    try:
        with path.open("rb") as file:
            lines = lines_of(text_of(file))
            head = next(lines, "")
            yield quoted_rows(chain([head], lines), delimiter_of(head))
    except (OSError, csv.Error) as error:
        raise CollectError(f"{path}: cannot be read ({reason_of(error)})", "check the file") from None


def first(row: Mapping[str, str], names: Sequence[str]) -> str:
    """The first of several columns that has something."""
    return next((row[name].strip() for name in names if row.get(name, "").strip()), "")
