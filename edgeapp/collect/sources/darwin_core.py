"""Darwin Core Archives: tables of text that a ``meta.xml`` describes, a core and extensions in a star around it.

Darwin Core Text Guide, https://dwc.tdwg.org/text/. Archives of GBIF are tab-separated without quotes; publishers use
anything that the guide allows.
"""

from __future__ import annotations

import csv
import io
import lzma
import re
import struct
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from edgeapp.collect.sources.decoding import LONGEST, encoding_of, lines_of, quoted_rows, text_of
from edgeapp.errors import CollectError

META = "meta.xml"
MOST_META = 16 << 20  # bytes
RUBBISH = ("__MACOSX", ".DS_Store")
MOST_COLUMNS = 10_000
# Tables are packed to a tenth; what is packed to less than a two-hundredth and is so large is made to fill disks.
MOST_RATIO, SUSPECT = 200, 1 << 30
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError)
_ESCAPE = re.compile(r"\\+([tnrfv])|\\\\")  # some publishers escape twice
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", None: "\\"}


@dataclass(frozen=True)
class Table:
    """One table of an archive, as its meta.xml describes it.

    Attributes
    ----------
    row_type : str
        Last part of the term: ``"Occurrence"``, ``"Multimedia"``.
    locations : tuple of str
        Files, relative to the meta.xml.
    delimiter, quote, terminator, encoding : str
        `quote` is ``""`` where fields are not enclosed.
    header_lines : int
    id_index : int or None
        Column of the core's identifier.
    columns : mapping of str to int
        Last part of a term to its column.
    defaults : mapping of str to str
        Values of terms without a column, or where the column is empty.
    """

    row_type: str
    locations: tuple[str, ...]
    delimiter: str
    quote: str
    terminator: str
    encoding: str
    header_lines: int
    id_index: int | None
    columns: Mapping[str, int]
    defaults: Mapping[str, str]

    @property
    def kind(self) -> str:
        """`row_type` in lower case: ``"occurrence"``, ``"multimedia"``."""
        return self.row_type.casefold()


class Archive:
    """An open archive: a ZIP file or a folder.

    Made by `Archive.open`, closed as a context manager.
    """

    def __init__(self, path: Path, packed: zipfile.ZipFile | None, base: PurePosixPath) -> None:
        self.path, self._packed, self._base = path, packed, base
        self._names = {_place(name): name for name in packed.namelist()} if packed is not None else {}
        self.core, self.extensions = _described(self._meta(), path)

    @classmethod
    def open(cls, path: Path) -> Archive:
        """Open an archive and read what it says about itself.

        Raises
        ------
        CollectError
            It is missing, damaged, or no Darwin Core Archive.
        """
        if path.is_dir():
            inside = [one.relative_to(path).as_posix() for one in (*path.glob("*"), *path.glob("*/*"))]
            return cls(path, None, _base(inside, path))
        try:
            packed = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise CollectError(f"{path}: no such file", "check the path") from None
        except OSError as error:
            raise CollectError(f"{path}: cannot be read ({error.strerror or error})", "check the file") from None
        except (*DAMAGED, ValueError, NotImplementedError):
            raise CollectError(f"{path} is no ZIP file, or was not fetched to its end", "download it again") from None
        try:
            return cls(path, packed, _base(packed.namelist(), path))
        except BaseException:
            packed.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        if self._packed is not None:
            self._packed.close()

    def rows(self, table: Table, terms: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The rows of a table: the core's identifier, and the values of terms, ``""`` where there is none.

        Raises
        ------
        CollectError
            A file is missing or damaged.
        """
        places = [(table.columns.get(term), table.defaults.get(term, "")) for term in terms]
        named = {term: index for term, index in table.columns.items() if index == table.id_index}
        for location in table.locations:
            with self._open(location) as file:
                for n, fields in enumerate(self._fields(table, file, location)):
                    width = len(fields)
                    key = fields[table.id_index] if table.id_index is not None and table.id_index < width else ""
                    if n == 0 and (key in named or key.lower() in ("id", "coreid", "_id")):
                        continue  # a header that meta.xml does not count
                    yield (
                        key,
                        tuple(
                            (fields[index].strip() if index is not None and index < width else "") or default
                            for index, default in places
                        ),
                    )

    def _fields(self, table: Table, file: IO[bytes], location: str) -> Iterator[list[str]]:
        text = text_of(file, table.encoding, "" if table.quote else "\n")
        try:
            found: Iterator[list[str]] = (line.split(table.delimiter) for line in _lines(text, table))
            if table.quote:
                width = max([*table.columns.values(), table.id_index or 0]) + 1
                found = quoted_rows(_lines(text, table), table.delimiter, table.quote, width)
            for n, fields in enumerate(found):
                if n >= table.header_lines and fields and fields != [""]:
                    yield fields
        except csv.Error as error:
            raise CollectError(f"{self.path}: {location} cannot be read ({error})", "check the archive") from None

    def _meta(self) -> bytes:
        with self._open(META) as file:
            return file.read(MOST_META)

    @contextmanager
    def _open(self, location: str) -> Iterator[IO[bytes]]:
        place = self._base / location
        if place.is_absolute() or ".." in place.parts:
            raise CollectError(f"{self.path}: its {META} names {location}, which is outside of it", "do not use it")
        try:
            file = (self.path / place).open("rb") if self._packed is None else self._unpacked(self._packed, place)
        except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:  # a password, a rare compression
            raise CollectError(f"{self.path}: {location} cannot be unpacked ({error})", "unpack it first") from None
        except (OSError, KeyError, ValueError):
            raise CollectError(f"{self.path}: {location} is missing", "download the archive again") from None
        try:
            with file:
                yield file
        except DAMAGED as error:
            raise CollectError(f"{self.path}: {location} is damaged ({error})", "download the archive again") from None

    def _unpacked(self, packed: zipfile.ZipFile, place: PurePosixPath) -> IO[bytes]:
        member = packed.getinfo(self._names[place])
        if member.file_size > max(SUSPECT, MOST_RATIO * member.compress_size):
            words = f"{self.path}: {place} would be {member.file_size / 1e9:,.1f} GB, of {member.compress_size:,} bytes"
            raise CollectError(words, "do not use it: no table is packed like that")
        return packed.open(member)


def _place(name: str) -> PurePosixPath:
    """A name in a ZIP file, some of which are written with the separators of Windows."""
    return PurePosixPath(name.replace("\\", "/"))


def _base(names: Iterable[str], path: Path) -> PurePosixPath:
    """Folder of the meta.xml inside an archive."""
    places = [_place(name) for name in names]
    metas = [one for one in places if one.name == META and not set(one.parts) & set(RUBBISH)]
    if not metas:
        tables = [one for one in places if one.suffix in (".csv", ".tsv") and not set(one.parts) & set(RUBBISH)]
        simple = " (a simple download of GBIF has no media)" if len(tables) == 1 else ""
        raise CollectError(f"{path} has no {META}{simple}", "download the records as a Darwin Core Archive")
    return min(metas, key=lambda one: len(one.parts)).parent


def _described(meta: bytes, path: Path) -> tuple[Table, tuple[Table, ...]]:
    try:
        root = ElementTree.fromstring(meta)
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:  # encodings that XML has not
        raise CollectError(f"{path}: its {META} cannot be read ({error})", "download the archive again") from None
    tables = {"core": [], "extension": []}  # type: dict[str, list[Table]]
    for element in root:
        kind = element.tag.rpartition("}")[2]
        if kind in tables:
            tables[kind].append(_table(element, kind, path))
    if len(tables["core"]) != 1:
        raise CollectError(f"{path}: its {META} describes {len(tables['core'])} cores", "check the archive")
    return tables["core"][0], tuple(tables["extension"])


def _table(element: ElementTree.Element, kind: str, path: Path) -> Table:
    columns: dict[str, int] = {}
    defaults: dict[str, str] = {}
    locations: list[str] = []
    id_index = None
    for part in element.iter():
        tag = part.tag.rpartition("}")[2]
        if tag == "location" and part.text:
            locations.append(part.text.strip())
        elif tag == ("id" if kind == "core" else "coreid"):
            id_index = _index(part.get("index"), path)
        elif tag == "field":
            term = (part.get("term") or "").rstrip("/#").replace("#", "/").rpartition("/")[2]
            if part.get("default"):
                defaults.setdefault(term, part.get("default") or "")
            if part.get("index") is not None:
                columns.setdefault(term, _index(part.get("index"), path))
    encoding = element.get("encoding") or "UTF-8"
    delimiter = _unescaped(element.get("fieldsTerminatedBy", ","))
    quote = _unescaped(element.get("fieldsEnclosedBy", '"'))
    try:
        encoding = encoding_of(encoding)
    except LookupError:
        raise CollectError(f"{path}: its {META} names the unknown encoding {encoding}", "correct it there") from None
    if delimiter == " ":  # XML reads a tab in an attribute as a blank, and no table has blanks between its fields
        delimiter = "\t"
    if not locations or not delimiter or len(quote) > 1 or (quote and len(delimiter) > 1):
        raise CollectError(f"{path}: its {META} describes a table that cannot be read", "check the archive")
    return Table(
        row_type=(element.get("rowType") or "").rstrip("/").rpartition("/")[2],
        locations=tuple(locations),
        delimiter=delimiter,
        quote=quote,
        terminator=_unescaped(element.get("linesTerminatedBy", "\n")),
        encoding=encoding,
        header_lines=_index(element.get("ignoreHeaderLines") or "0", path),
        id_index=id_index,
        columns=columns,
        defaults=defaults,
    )


def _index(text: str | None, path: Path) -> int:
    text = (text or "").strip()
    if not text.isdecimal() or len(text) > 9 or int(text) > MOST_COLUMNS:
        raise CollectError(f"{path}: its {META} has {text[:20]!r} where a number must be", "correct it there")
    return int(text)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED[found[1]], text)


def _lines(text: io.TextIOWrapper, table: Table) -> Iterator[str]:
    """Lines without their ends; those of quoted tables with them, since a field may have several."""
    if table.terminator in ("\n", "\r\n", ""):
        for line in lines_of(text):
            yield line if table.quote else line.rstrip("\r\n")
        return
    rest = ""
    while chunk := text.read(1 << 16):
        *whole, rest = (rest + chunk.replace("\0", "")).split(table.terminator)
        if len(rest) > LONGEST:
            raise csv.Error(f"a line has more than {LONGEST >> 20} million letters")
        yield from whole
    if rest:
        yield rest
