"""Tables with headers in a ZIP file or a folder, read row by row."""

from __future__ import annotations

import csv
import io
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from edgeapp.errors import CollectError
from gallery.errors import reason_of

META = "meta.xml"
REMEDY = "download it again, or name another archive"
UNREADABLE = (  # RuntimeError for a password, NotImplementedError for a rare compression
    *(OSError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile, zlib.error, EOFError, LookupError),
    *(RuntimeError, NotImplementedError),
)
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # bibliographies in one field are longer than its default


@dataclass(frozen=True)
class Table:
    """One table of text with a header.

    Attributes
    ----------
    file : str
        Its path in the archive.
    delimiter, quote : str
        `quote` is ``""`` where quotes mean nothing.
    """

    file: str
    delimiter: str = "\t"
    quote: str = ""


class Archive:
    """The files of a ZIP or of a folder.

    Parameters
    ----------
    path : Path

    Raises
    ------
    CollectError
        It is neither, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        try:
            if path.is_dir():
                names = [one.relative_to(path).as_posix() for one in sorted(path.rglob("*")) if one.is_file()]
            else:
                self._zip = zipfile.ZipFile(path)
                names = self._zip.namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise CollectError(f"{path}: cannot be read as an archive ({reason_of(error)})", REMEDY) from None
        self.files = [name for name in names if not name.startswith("__MACOSX") and not name.endswith("/")]

    def close(self) -> None:
        """Close the ZIP."""
        if self._zip is not None:
            self._zip.close()

    def find(self, *names: str) -> str | None:
        """The first file with one of the names, whatever its case and folder; the least deep one."""
        wanted = [name.casefold() for name in names]
        found = [one for one in self.files if PurePosixPath(one).name.casefold() in wanted]

        def first(one: str) -> tuple[int, int]:
            return one.count("/"), wanted.index(PurePosixPath(one).name.casefold())

        return min(found, key=first, default=None)

    def with_header(self, file: str) -> Table:
        """A table that its own header describes: tabs, or else semicolons or commas with quotes."""
        try:
            with self._opened(file) as data:
                line = data.readline().decode("utf-8-sig", "replace")
        except UNREADABLE as error:
            raise CollectError(f"{self.path}: {file} cannot be read ({reason_of(error)})", REMEDY) from None
        for delimiter in ("\t", ";", ","):
            if delimiter in line:
                return Table(file, delimiter, "" if delimiter == "\t" else '"')
        return Table(file)

    def rows(self, table: Table) -> Iterator[dict[str, str]]:
        """Rows of a table by column name; short rows have ``""`` for what they lack.

        Raises
        ------
        CollectError
            The table cannot be read; its file is named.
        """
        try:
            with self._opened(table.file) as data:
                lines = io.TextIOWrapper(data, "utf-8-sig", newline="")
                yield from _rows(table, lines)
        except UNREADABLE as error:
            raise CollectError(f"{self.path}: {table.file} cannot be read ({reason_of(error)})", REMEDY) from None

    @contextmanager
    def _opened(self, file: str) -> Iterator[IO[bytes]]:
        opened = self._zip.open(file) if self._zip is not None else (self.path / file).open("rb")
        with opened:
            yield opened


def _rows(table: Table, lines: io.TextIOWrapper) -> Iterator[dict[str, str]]:
    quoted = {"quotechar": table.quote} if table.quote else {"quoting": csv.QUOTE_NONE}
    rows = csv.reader(lines, delimiter=table.delimiter, **quoted)  # type: ignore[arg-type]
    columns = [_local(name.strip()) for name in next(rows, [])]
    for row in rows:
        if row:
            width = len(row)
            yield {name: row[place].strip() if place < width else "" for place, name in enumerate(columns)}


def _local(name: str) -> str:
    """A name without its namespace: ``{http://…}core``, ``dwc:taxonID``, ``col:ID``."""
    return name.rpartition("}")[2].rpartition(":")[2]
