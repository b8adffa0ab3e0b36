"""Tables inside a checklist archive, a ZIP file or a folder, read row by row."""

from __future__ import annotations

import csv
import io
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from edgeapp.errors import CollectError

META = "meta.xml"
REMEDY = "download it again, or name another archive"
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # bibliographies in one field are longer than its default


@dataclass(frozen=True)
class Table:
    """One table of text.

    Attributes
    ----------
    file : str
        Its path in the archive.
    delimiter, quote, encoding : str
        `quote` is ``""`` where quotes mean nothing.
    header_lines : int
    columns : tuple of (int, str)
        Index and name of columns, for a table whose header does not count; empty where the header names them.
    defaults : mapping of str to str
        Values of columns that the table does not have.
    row_type : str
        Last part of the term for its rows, lower case: ``"taxon"``.
    """

    file: str
    delimiter: str = "\t"
    quote: str = ""
    encoding: str = "utf-8-sig"
    header_lines: int = 1
    columns: tuple[tuple[int, str], ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    row_type: str = ""


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
            raise CollectError(f"{path}: cannot be read as an archive ({_reason(error)})", REMEDY) from None
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
        with self._opened(file) as data:
            line = data.readline().decode("utf-8-sig", "replace")
        for delimiter in ("\t", ";", ","):
            if delimiter in line:
                return Table(file, delimiter, "" if delimiter == "\t" else '"')
        return Table(file)

    def text(self, file: str) -> str:
        """A small file."""
        with self._opened(file) as data:
            return data.read().decode("utf-8-sig", "replace")

    def rows(self, table: Table) -> Iterator[dict[str, str]]:
        """Rows of a table by column name; short rows have ``""`` for what they lack.

        Raises
        ------
        CollectError
            The table cannot be read; its file is named.
        """
        try:
            with self._opened(table.file) as data:
                lines = io.TextIOWrapper(data, table.encoding, newline="")
                yield from _rows(table, lines)
        except (OSError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile, EOFError, LookupError) as error:
            raise CollectError(f"{self.path}: {table.file} cannot be read ({_reason(error)})", REMEDY) from None

    @contextmanager
    def _opened(self, file: str) -> Iterator[IO[bytes]]:
        opened = self._zip.open(file) if self._zip is not None else (self.path / file).open("rb")
        with opened:
            yield opened


def described(archive: Archive, meta: str) -> list[Table]:
    """Tables that a `meta.xml` describes (Darwin Core text guide), the core first.

    Raises
    ------
    CollectError
        It is no such description, or a file that it names is missing.
    """
    try:
        root = ElementTree.fromstring(archive.text(meta))
    except ElementTree.ParseError as error:
        raise CollectError(f"{archive.path}: {meta} is not XML ({error})", REMEDY) from None
    folder = PurePosixPath(meta).parent
    tables = []
    for part in root:
        if _local(part.tag) not in ("core", "extension"):
            continue
        for location in (one for one in part.iter() if _local(one.tag) == "location" and one.text):
            file = str(folder / (location.text or "").strip())
            if file not in archive.files:
                raise CollectError(f"{archive.path}: {file} is missing, which {meta} names", REMEDY)
            tables.append(_table(file, part))
    return tables


def _table(file: str, part: ElementTree.Element) -> Table:
    columns, defaults = [], {}
    for one in part:
        name = _local(one.tag)
        if name in ("id", "coreid"):
            columns.append((int(one.get("index", "0")), "id"))
        elif name == "field":
            term = one.get("term", "").rstrip("/").rpartition("/")[2].rpartition("#")[2]
            if one.get("index") is not None:
                columns.append((int(one.get("index", "0")), term))
            if one.get("default") is not None:
                defaults[term] = one.get("default", "")
    return Table(
        file=file,
        delimiter=_unescaped(part.get("fieldsTerminatedBy", ",")),
        quote=_unescaped(part.get("fieldsEnclosedBy", '"')),
        encoding=_encoding(part.get("encoding", "utf-8")),
        header_lines=int(part.get("ignoreHeaderLines", "0") or 0),
        columns=tuple(columns),
        defaults=defaults,
        row_type=part.get("rowType", "").rstrip("/").rpartition("/")[2].casefold(),
    )


def _rows(table: Table, lines: io.TextIOWrapper) -> Iterator[dict[str, str]]:
    quoted = {"quotechar": table.quote} if table.quote else {"quoting": csv.QUOTE_NONE}
    rows = csv.reader(lines, delimiter=table.delimiter or "\t", **quoted)  # type: ignore[arg-type]
    columns: Sequence[tuple[int, str]] = table.columns
    for at in range(table.header_lines):
        header = next(rows, None)
        if header is None:
            return
        if at == 0 and not columns:
            columns = [(place, _local(name.strip())) for place, name in enumerate(header)]
    for row in rows:
        if row:
            width = len(row)
            values = {name: row[place].strip() if place < width else "" for place, name in columns}
            if table.defaults:
                values = {**table.defaults, **{name: value for name, value in values.items() if value}}
            yield values


def _local(name: str) -> str:
    """A name without its namespace: ``{http://…}core``, ``dwc:taxonID``, ``col:ID``."""
    return name.rpartition("}")[2].rpartition(":")[2]


def _unescaped(text: str) -> str:
    return text.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r")


def _encoding(text: str) -> str:
    return "utf-8-sig" if text.strip().casefold().replace("_", "-") in ("utf-8", "utf8", "") else text.strip()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
