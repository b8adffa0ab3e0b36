"""Lists of species in files: one name a line, as BirdNET has them, or a table with a column of scientific names."""

from __future__ import annotations

import csv
from pathlib import Path

from edgeapp import read_once
from edgeapp.errors import UsageError

SCIENTIFIC = "scientificname"  # column of a species table


def listed(path: Path) -> list[tuple[int, str]]:
    """Line and name of each entry of a list; of a pipe, what it held the first time.

    A ``#`` starts a comment; ``Parus major_Great Tit`` and ``Parus_major`` are *Parus major*. Columns of a table are
    separated by commas, tabs or semicolons.

    Raises
    ------
    UsageError
        The file cannot be read.
    """
    try:
        every = read_once.text(path).splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"species list {path} is not UTF-8 text", "save it as text in UTF-8") from None
    except OSError as error:
        raise UsageError(f"species list {path} cannot be read ({error.strerror})", "check the path") from None
    lines = [(n, line) for n, line in enumerate(every, start=1) if line.partition("#")[0].strip()]
    texts = [line for _, line in lines]
    delimiter = delimiter_of(texts[0]) if texts else ","
    try:
        columns = [_column(name) for name in next(csv.reader(texts[:1], delimiter=delimiter), [])]
        if SCIENTIFIC in columns:
            at, rows = columns.index(SCIENTIFIC), csv.reader(texts, delimiter=delimiter, strict=True)
            found = [(lines[rows.line_num - 1][0], row[at].strip()) for row in rows if len(row) > at][1:]
        else:
            found = [(n, _name_in(line.partition("#")[0].strip())) for n, line in lines]
    except csv.Error as error:
        raise UsageError(
            f"species list {path} is no table ({error})", "close its quotes, or list names alone"
        ) from None
    return [(n, name) for n, name in found if name]


def delimiter_of(header: str) -> str:
    """What separates the columns of a table: the comma, tab or semicolon that its header has most of."""
    return max(",\t;", key=header.count)


def _column(name: str) -> str:
    """The name of a column, as it is compared: ``Scientific Name`` is `SCIENTIFIC`."""
    return "".join(filter(str.isalnum, name.casefold()))


def _name_in(entry: str) -> str:
    """The name in a line, before the common name that BirdNET's lists have behind it."""
    first, _, rest = entry.strip('"').partition("_")
    return (
        f"{first} {rest.replace('_', ' ')}".strip()
        if rest[:1].islower() and " " not in first.strip()
        else first.strip()
    )
