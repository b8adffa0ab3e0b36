"""Text of tables as it is written, which is not always as it is declared."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
WESTERN = "biovita-western"
LONGEST = 1 << 24  # letters of a line or a field
_END = "\x1e\x1e"  # a last row, which a quote that is not closed takes in


def _western(error: UnicodeError) -> tuple[str, int]:
    """What is no UTF-8 in a table of UTF-8 was copied from one of Windows: *Müller* stays *Müller*."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(WESTERN, _western)


def encoding_of(declared: str) -> str:
    """The name of a text encoding.

    Raises
    ------
    LookupError
        There is none of this name that text can be read in.
    """
    name = codecs.lookup(declared.strip()).name
    try:
        io.TextIOWrapper(io.BytesIO(b"a"), name, errors="replace").read()
    except UnicodeError as error:
        raise LookupError(str(error)) from None
    return "utf-8-sig" if name == "utf-8" else name


def text_of(file: IO[bytes], encoding: str = "utf-8-sig", newline: str = "") -> io.TextIOWrapper:
    """The text of a file, by its byte order mark, or else in an encoding of `encoding_of`.

    Parameters
    ----------
    file : binary file
        With `peek`.
    newline : str
        As `open` takes it. A file that has carriage returns alone is split at these.
    """
    begin = file.peek(1 << 13)  # type: ignore[attr-defined]
    encoding = next((name for mark, name in _MARKS if begin.startswith(mark)), encoding)
    if newline == "\n" and b"\r" in begin and b"\n" not in begin:
        newline = ""
    return io.TextIOWrapper(file, encoding, errors=WESTERN if encoding == "utf-8-sig" else "replace", newline=newline)


def lines_of(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines with their ends.

    Raises
    ------
    csv.Error
        One is longer than any of a table.
    """
    for line in iter(lambda: text.readline(LONGEST), ""):
        if len(line) >= LONGEST:
            raise csv.Error(f"a line has more than {LONGEST >> 20} million letters")
        yield line.replace("\0", "")


def quoted_rows(
    lines: Iterable[str], delimiter: str, quote: str = '"', width: int | None = None
) -> Iterator[list[str]]:
    """Rows whose fields may be enclosed; an enclosed field may have several lines.

    Parameters
    ----------
    width : int, optional
        Columns that a row should have; that of the first row if not given.

    Raises
    ------
    csv.Error
        A quote is not closed, so that a field took in the rows behind it.
    """
    csv.field_size_limit(LONGEST)
    rows, at = csv.reader(chain(lines, [_END]), delimiter=delimiter, quotechar=quote), 0
    for fields in rows:
        begun, at = at + 1, rows.line_num
        if fields == [_END]:
            return
        width = len(fields) if width is None else width
        if at > begun and (len(fields) < width or fields[-1].endswith(_END)):
            raise csv.Error(f"line {begun:,}: a quote is not closed")
        yield fields
