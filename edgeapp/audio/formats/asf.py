"""ASF, which WMA is in, without what is damaged: its packets are of one size, and begin alike.

Each has its time, so what follows stays where it belongs. Source: Microsoft's "Advanced Systems Format (ASF)
Specification", revision 01.20.03, sections 2.2, 3.2 and 5.2.
"""

from __future__ import annotations

import re

from edgeapp.audio.formats.view import Piece, Readable, View, places, read_at, size_of

HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
OBJECT, BEFORE_PACKETS, SIZES = 24, 50, 92  # bytes of an object's head, of the data's, and before the sizes of packets
HEAD = 3  # bytes of a packet: two flags and the length of what corrects errors, and its type
MOST_OF_HEADER = 1 << 24


def repaired(file: Readable) -> tuple[View, str] | None:
    """A file without its damaged packets, and how many bytes those are; None where all begin as they should."""
    size = size_of(file)
    header = read_at(file, 0, OBJECT)
    begin = int.from_bytes(header[16:24], "little")
    if header[:16] != HEADER or begin > min(size, MOST_OF_HEADER) or read_at(file, begin, 16) != DATA:
        return None
    sizes = read_at(file, 0, begin).find(PROPERTIES) + SIZES
    least, most = (int.from_bytes(read_at(file, sizes + at, 4), "little") for at in (0, 4))
    if sizes < SIZES or least != most or least <= HEAD:
        return None
    packets = _Packets(file, begin + BEFORE_PACKETS, least, size)
    damaged = packets.walk()
    return (View(file, packets.pieces), f"{damaged:,} bytes of it") if damaged else None


class _Packets:
    def __init__(self, file: Readable, begin: int, each: int, size: int) -> None:
        self._file, self._each, self._size = file, each, size
        self._begin, self._head = begin, read_at(file, begin, HEAD)
        self.pieces: list[Piece] = []

    def walk(self) -> int:
        """Find the pieces without damage; how many bytes are left out."""
        kept, at, damaged = 0, self._begin, 0
        while at + self._each <= self._size:
            if read_at(self._file, at, HEAD) == self._head:
                at += self._each
                continue
            last = max(self._begin, at - self._each)  # has lost bytes, or got some, where the next one is moved
            following = self._following(last + 1)
            if following is None or HEADER in read_at(self._file, last, min(following - last, MOST_OF_HEADER)):
                break  # what follows the packets, or another file
            end = at if (following - at) % self._each == 0 else last
            self.pieces.append((kept, end))
            damaged += following - end
            kept = at = following
        self.pieces.append((kept, self._size))
        return damaged

    def _following(self, start: int) -> int | None:
        """Where the next packet begins that another one follows."""
        alike = re.compile(b"(?=" + re.escape(self._head) + b")", re.DOTALL)
        for at in places(self._file, alike, start, HEAD):
            if read_at(self._file, at + self._each, HEAD) == self._head:
                return at
        return None
