"""pyarrow, which reads and writes Parquet: whether it is there, and the names that it takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.errors import OutputError, UsageError
from edgeapp.file_names import printable, utf8

if TYPE_CHECKING:
    import pyarrow as pa

EXTRA = "pip install 'biovita-edge[archive]'"
REMEDY = "restore it, or hear the archive again with --new-run"


def require_pyarrow() -> None:
    """Raise UsageError where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UsageError("the results of an archive need pyarrow, which is not installed", EXTRA) from None


def arrow_path(path: str | os.PathLike[str]) -> str:
    """A path as pyarrow takes it, which knows names in UTF-8 alone, whatever the locale.

    Raises
    ------
    UsageError
        Its name is in other bytes.
    """
    name = utf8(path)
    if name is None:
        raise UsageError(
            f"{printable(os.fspath(path))}: its name is not UTF-8, which Parquet files need", "give the results another"
        )
    return name


def check_columns(path: Path, fields: pa.Schema) -> None:
    """Raise OutputError where a part lacks a column of its table, or has it in another type."""
    import pyarrow.parquet as pq

    with readable(path):
        found = pq.read_schema(arrow_path(path))
    for field in fields:
        at = found.get_field_index(field.name)
        if at >= 0 and found.field(at).type.equals(field.type):
            continue
        what = f"in another type ({found.field(at).type}, not {field.type})" if at >= 0 else "missing"
        raise OutputError(f"{path}: its column {field.name} is {what}", REMEDY)


@contextmanager
def readable(table: Path) -> Iterator[None]:
    """Raise OutputError where a table, or a part of it, cannot be read."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise OutputError(
            f"{table}: cannot be read ({' '.join(str(error).split())})",
            REMEDY,
        ) from None
