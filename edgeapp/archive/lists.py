"""Lists of files: names separated by newlines or NUL, as `find`, `ls` and the shells of Windows write them."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from contextlib import nullcontext
from typing import BinaryIO

from edgeapp import interruption

LIST = "@"

_LIST_BYTES = 1 << 16


def is_list(text: str) -> bool:
    """Whether it names a list."""
    return text.startswith(LIST) and len(text) > len(LIST)


def names_of(file: BinaryIO) -> Iterator[str]:
    """The names in a list.

    Separated by NUL if there is one among its first 65,536 bytes, else by the ends of lines of any system. What begins
    with the mark of UTF-16, as lists that PowerShell writes, is decoded; else names are bytes.

    Raises
    ------
    OSError, ValueError
        It cannot be read, or is no list.
    """
    first = _piece(file)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        for line in (first + _piece(file, -1)).decode("utf-16").splitlines():
            if line:
                yield line
        return
    separator = b"\0" if b"\0" in first else b"\n"
    rest = first.removeprefix(codecs.BOM_UTF8)
    while rest:
        *whole, rest = rest.split(separator)
        for name in whole:
            yield from _listed_name(name, separator)
        more = _piece(file)
        if not more:
            break
        rest += more
        if len(rest) > 2 * _LIST_BYTES:
            raise ValueError("has no file names in it")
    yield from _listed_name(rest, separator)


def _piece(file: BinaryIO, size: int = _LIST_BYTES) -> bytes:
    with nullcontext() if file.seekable() else interruption.waiting():  # who writes into a pipe may never be done
        return file.read(size)


def _listed_name(name: bytes, separator: bytes) -> Iterator[str]:
    if separator == b"\n":
        name = name.removesuffix(b"\r")
    if name:
        yield os.fsdecode(name)
