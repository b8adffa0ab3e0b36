"""Pieces of a file, and bytes of our own, seen as one file: how a decoder gets a header that tells the truth."""

from __future__ import annotations

import bisect
import errno
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

LAST = 128  # bytes of a tag at the end of an MP3
FOUND_IN = 1 << 20  # bytes that are searched at once

Piece = bytes | tuple[int, int]  # bytes of our own, or where a stretch of the file begins and ends


class Readable(Protocol):
    """What a view is made of: a binary file, or another view."""

    def seek(self, offset: int, whence: int = ..., /) -> int: ...
    def read(self, size: int = ..., /) -> bytes: ...


class View(io.RawIOBase):
    """A read-only file of pieces of another.

    Parameters
    ----------
    file : Readable
        Nobody else's position in it is relied on.
    pieces : sequence of bytes or (int, int)
    said : int
        Size it is said to have, if it is larger; there is nothing from the end of the pieces on.

    Attributes
    ----------
    error : OSError or None
        Why reading failed; a decoder behind callbacks sees an end instead.
    """

    def __init__(self, file: Readable, pieces: Sequence[Piece], said: int = 0) -> None:
        self._file = file
        self._pieces = pieces
        lengths = (len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces)
        self._starts = [0, *itertools.accumulate(lengths)]
        self._at = 0
        self._said = max(said, self._starts[-1])
        self.error: OSError | None = None

    def __len__(self) -> int:
        return self._said

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, which may lie behind the end."""
        self._at = max(0, offset + (0, self._at, len(self))[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes."""
        target = memoryview(buffer).cast("B")
        done = 0
        while done < len(target) and self._at < self._starts[-1]:
            number = bisect.bisect_right(self._starts, self._at) - 1
            inside, piece = self._at - self._starts[number], self._pieces[number]
            most = min(len(target) - done, self._starts[number + 1] - self._at)
            if isinstance(piece, bytes):
                target[done : done + most] = piece[inside : inside + most]
                n = most
            else:
                n = self._from_file(piece[0] + inside, target[done : done + most])
                if not n:
                    break  # the file became shorter
            done += n
            self._at += n
        if self._at >= self._said - LAST > self._starts[-1]:
            # Where some decoders look for a tag before they decode.
            done = min(len(target), self._said - self._at)
            target[:done] = bytes(done)
            self._at += done
        return done

    def read(self, size: int = -1) -> bytes:
        """Bytes from the position on, to the end if ``size`` is negative."""
        buffer = bytearray(max(0, min(size if size >= 0 else len(self), len(self) - self._at)))
        return bytes(buffer[: self.readinto(buffer)])

    def _from_file(self, offset: int, target: memoryview) -> int:
        try:
            self._file.seek(offset)
            file: Any = self._file  # every binary file can do this, and no protocol of typing says so
            return int(file.readinto(target))
        except OSError as error:
            self.error = error
            return 0


FURTHEST = (1 << 63) - 1  # position in a file that systems have


def size_of(file: Readable) -> int:
    """Bytes of an open file."""
    return file.seek(0, io.SEEK_END)


def read_at(file: Readable, offset: int, size: int) -> bytes:
    """Bytes from a position on, fewer where the file ends: a damaged header may point anywhere."""
    if offset > FURTHEST:
        return b""
    try:
        file.seek(offset)
    except OSError as error:
        if error.errno != errno.EINVAL:  # further than files of this file system may be long
            raise
        return b""
    return file.read(size)


def places(file: Readable, pattern: re.Pattern[bytes], start: int, longest: int) -> Iterator[int]:
    """Positions from a byte on at which a pattern matches, of at most ``longest`` bytes."""
    at = start
    while data := read_at(file, at, FOUND_IN + longest - 1):
        yield from (at + match.start() for match in pattern.finditer(data) if match.start() < FOUND_IN)
        at += FOUND_IN


def find(file: Readable, wanted: bytes, start: int) -> int | None:
    """Where bytes stand in a file for the first time from a position on."""
    at = start
    while data := read_at(file, at, FOUND_IN + len(wanted) - 1):
        found = data.find(wanted)
        if found >= 0:
            return at + found
        at += FOUND_IN
    return None
