"""Tables of comma- or tab-separated text with a header, row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edgeapp.errors import CollectError

FIELD_LETTERS = 1 << 30  # of the longest field


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table: what each column holds, ``""`` where a row is short.

    Raises
    ------
    CollectError
        It cannot be read.
    """
    csv.field_size_limit(FIELD_LETTERS)
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            head = file.readline()
            file.seek(0)
            separator = max("\t,;", key=head.count)
            reader = csv.DictReader((line.replace("\0", "") for line in file), delimiter=separator, restval="")
            for row in reader:
                yield {name: text or "" for name, text in row.items() if isinstance(name, str)}
    except (OSError, csv.Error) as error:
        raise CollectError(f"{path}: cannot be read ({error})", "check the file") from None


def header(path: Path) -> tuple[str, ...]:
    """The columns of a table.

    Raises
    ------
    CollectError
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            head = file.readline(FIELD_LETTERS)
        return tuple(next(csv.reader([head], delimiter=max("\t,;", key=head.count)), ()))
    except (OSError, csv.Error) as error:
        raise CollectError(f"{path}: cannot be read ({error})", "check the file") from None


def first(row: Mapping[str, str], names: Sequence[str]) -> str:
    """The first of several columns that has something."""
    return next((row[name].strip() for name in names if row.get(name, "").strip()), "")
