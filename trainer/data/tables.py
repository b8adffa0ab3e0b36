"""Rows of a CSV or Parquet file as columns of text, for tables of millions of rows.

Only the required columns are read. Columns with repeated values (species, licence) are dictionary-encoded. A row of a
CSV that is shorter than the header is filled with empty values, as spreadsheets write it; a longer one is left out and
reported, because the columns of its values are unknown.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gallery.errors import reason_of
from trainer.errors import DataError

PARQUET = (".parquet", ".pq")
# Columns of mostly unique text; all others are dictionary-encoded.
UNIQUE = ("path", "file_name", "source_id", "recording_id", "source_path", "sha256", "note")
NUMBERS = ("offset", "size")
BLOCK_BYTES = 1 << 23  # of CSV parsed at a time
NAMED_LINES = 3  # rows listed in a message


def arrow(module: str = "") -> ModuleType:
    """PyArrow, or one of its modules (`csv`, `parquet`, `compute`).

    Raises
    ------
    DataError
        When it is not installed.
    """
    try:
        return importlib.import_module(f"pyarrow.{module}" if module else "pyarrow")
    except ImportError as error:
        raise DataError("the pyarrow library is missing", "pip install 'biovita-edge[train]'") from (error)


@dataclass(frozen=True)
class Rows:
    """Columns of a table, and the position of each row in its file."""

    path: Path
    table: Any  # pyarrow.Table: large_string, dictionary of large_string, int64 for NUMBERS
    numbers: np.ndarray  # [rows] line of a CSV, counted from its header as 1, or row of a Parquet file from 1 on
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def text(self, column: str) -> Any:
        """A column as one Arrow array; empty text if the column does not exist."""
        if column in self.table.column_names:
            return one_array(self.table[column])
        return empty_text(len(self))

    def integers(self, column: str) -> np.ndarray:
        """A column of NUMBERS; -1 for missing values."""
        if column in self.table.column_names:
            return self.table[column].to_numpy()
        return np.full(len(self), -1, np.int64)

    def places(self, mask: np.ndarray) -> Rows:
        """Positions of the rows where `mask` is true, without their columns."""
        return Rows(self.path, self.table.select([]), self.numbers[mask])

    def where(self, mask: np.ndarray) -> str:
        """Positions of the rows where `mask` is true, for messages: `train.csv lines 3, 9, 12 and 40 more`."""
        word = "row" if is_parquet(self.path) else "line"
        return f"{self.path.name} {listed(word, self.numbers[mask].tolist())}"


def listed(word: str, names: Sequence[object]) -> str:
    """`line 3`; `lines 3, 9, 12 and 40 more`."""
    shown = ", ".join(str(name) for name in names[:NAMED_LINES])
    more = f" and {len(names) - NAMED_LINES} more" if len(names) > NAMED_LINES else ""
    return f"{word}{'s' if len(names) > 1 else ''} {shown}{more}"


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() in PARQUET


def header(path: Path) -> tuple[str, ...]:
    """Names of the columns of a CSV or Parquet file.

    Raises
    ------
    DataError
        When the file cannot be read.
    """
    with _named(path):
        if is_parquet(path):
            return tuple(arrow("parquet").read_schema(path).names)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return tuple(next(csv.reader(file), ()))


def read_rows(path: Path, columns: Iterable[str]) -> Rows:
    """Read those of `columns` that the file has.

    Raises
    ------
    DataError
        When the file cannot be read.
    """
    present = header(path)
    wanted = [name for name in dict.fromkeys(columns) if name in present]
    with _named(path):
        if is_parquet(path):
            coded = [name for name in wanted if name not in UNIQUE and name not in NUMBERS]
            table = arrow("parquet").read_table(path, columns=wanted, read_dictionary=coded)
            return Rows(path, _typed(table), np.arange(1, table.num_rows + 1))
        return _read_csv(path, present, wanted)


def one_array(column: Any) -> Any:
    """The chunks of a column as one array, with one dictionary for all chunks."""
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, arrow().ChunkedArray):  # older versions, for an empty column
        whole = arrow().concat_arrays(whole.chunks) if whole.num_chunks else arrow().array([], whole.type)
    return whole


def empty_text(length: int) -> Any:
    """A dictionary-encoded column of empty strings."""
    pa = arrow()
    return pa.DictionaryArray.from_arrays(np.zeros(length, np.int32), pa.array([""], pa.large_string()))


def codes(column: Any) -> tuple[np.ndarray, list[str]]:
    """A column as codes [rows] and the values they stand for."""
    pa = arrow()
    coded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    return coded.indices.to_numpy(zero_copy_only=False), coded.dictionary.to_pylist()


def _read_csv(path: Path, present: Sequence[str], wanted: Sequence[str]) -> Rows:
    """Read a CSV; once more in a single thread if a row has another number of values than the header.

    The line number of such a row is only known with a single thread.
    """
    uneven: list[Any] = []

    def read(threads: bool) -> Any:
        uneven.clear()
        reader = arrow("csv")
        types = {name: _text_type(name) for name in wanted}
        return reader.read_csv(
            path,
            read_options=reader.ReadOptions(use_threads=threads, block_size=BLOCK_BYTES),
            parse_options=reader.ParseOptions(newlines_in_values=True, invalid_row_handler=take),
            convert_options=reader.ConvertOptions(
                include_columns=list(wanted), column_types=types, strings_can_be_null=False, null_values=[]
            ),
        )

    def take(row: Any) -> str:
        uneven.append(row)
        return "skip"

    table = read(threads=True)
    if not uneven:
        return Rows(path, _typed(table), np.arange(2, table.num_rows + 2))
    table = read(threads=False)
    numbers = np.setdiff1d(np.arange(2, table.num_rows + len(uneven) + 2), [row.number for row in uneven])
    short = [row for row in uneven if row.actual_columns < row.expected_columns]
    long = [row for row in uneven if row.actual_columns > row.expected_columns]
    left_out: tuple[str, ...] = ()
    if long:
        left_out = (
            f"{path.name} {listed('line', [row.number for row in long])}: more values than the {len(present)} columns; "
            "put values that contain a comma in quotes",
        )
    if short:
        given = [dict(zip(present, next(csv.reader([row.text])))) for row in short]
        filled = {name: [values.get(name, "") for values in given] for name in wanted}
        pa = arrow()
        padded = pa.table({name: pa.array(filled[name], pa.large_string()) for name in wanted})
        table = pa.concat_tables([_typed(table), _typed(padded)])
        numbers = np.concatenate([numbers, [row.number for row in short]])
        order = np.argsort(numbers)
        table, numbers = table.unify_dictionaries().take(order), numbers[order]
    return Rows(path, _typed(table), numbers, left_out)


def _text_type(name: str) -> Any:
    pa = arrow()
    return pa.large_string() if name in UNIQUE or name in NUMBERS else pa.dictionary(pa.int32(), pa.large_string())


def _typed(table: Any) -> Any:
    """The table with the column types of `Rows` and without nulls."""
    pa, compute = arrow(), arrow("compute")
    for place, name in enumerate(table.column_names):
        column = table[name]
        if name in NUMBERS:
            if pa.types.is_large_string(column.type):
                column = compute.if_else(compute.equal(column, ""), None, column)
            column = column.cast(pa.int64()).fill_null(-1)
        else:
            if pa.types.is_floating(column.type):  # some writers store integers with nulls as floats
                column = column.cast(pa.int64())
            if column.null_count or not pa.types.is_dictionary(column.type):
                column = column.cast(pa.large_string()).fill_null("")
            if name not in UNIQUE:
                column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
                column = column.cast(_text_type(name))
            elif pa.types.is_dictionary(column.type):
                column = column.cast(pa.large_string())
        table = table.set_column(place, name, column)
    return table


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn errors of reading into a DataError with the file's name."""
    unreadable = (OSError, UnicodeDecodeError, csv.Error, arrow().ArrowException)
    try:
        yield
    except unreadable as error:
        reason = " ".join(reason_of(error).split())
        raise DataError(f"{path}: cannot be read ({reason})", "name a manifest: CSV in UTF-8, or Parquet") from error
