"""Core Audio Format whose table says how long each packet is, and that lost or got some bytes in its sound.

Source: Apple's "Core Audio Format Specification 1.0", chunks `data` and `pakt`.
"""

from __future__ import annotations

import re

import numpy as np

from edgeapp.audio.formats import shifted
from edgeapp.audio.formats.view import Readable, View, places, read_at, size_of

HEAD = 12  # bytes of a chunk: its type and size
EDITS, COUNTS = 4, 24  # bytes before the packets, and before their sizes
MOST_CHUNKS, MOST_OF_TABLE = 1_000, 1 << 26
DATA, TABLE = b"data", b"pakt"
_TABLE = re.compile(TABLE)


def put_right(file: Readable) -> tuple[View, str] | None:
    """A file in which the packets lie where its table says, and how many bytes were moved, in words; None of others."""
    size, at, table = size_of(file), 8, b""
    for _ in range(MOST_CHUNKS):
        name, length = _chunk(file, at)
        if name == DATA or not name or not 0 <= length < size:
            break
        if name == TABLE:
            table = read_at(file, at + HEAD, min(length, MOST_OF_TABLE))
        at += HEAD + length
    if name != DATA or length < 0:
        return None
    start, announced, end = at + HEAD + EDITS, at + HEAD + length, size
    if not table:
        place = _table_after(file, start, announced)
        if place is None:
            return None
        end = place
        table = read_at(file, end + HEAD, min(_chunk(file, end)[1], MOST_OF_TABLE))
    elif announced < size and _chunk(file, announced)[0]:
        return None
    sizes = _sizes(table)
    if not len(sizes) or start + int(sizes.sum()) > announced:
        return None
    offsets = start + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return shifted.put_right(file, offsets, start, end, announced - end)


def _chunk(file: Readable, at: int) -> tuple[bytes, int]:
    """Type and size of the chunk at a byte; no type where none begins."""
    head = read_at(file, at, HEAD)
    name = head[:4]
    if len(head) < HEAD or not all(32 <= byte < 127 for byte in name):
        return b"", 0
    return name, int.from_bytes(head[4:], "big", signed=True)


def _table_after(file: Readable, start: int, announced: int) -> int | None:
    """Where the table of packets is, that follows the sound elsewhere than announced."""
    if _chunk(file, announced)[0]:
        return None
    for at in places(file, _TABLE, start, len(TABLE)):
        if COUNTS < _chunk(file, at)[1] <= size_of(file) - at - HEAD:
            return at
    return None


def _sizes(table: bytes) -> np.ndarray:
    """Bytes of each packet [n]: numbers of 7 bits a byte, of which all but the last have the highest bit."""
    count = int.from_bytes(table[:8], "big")
    data = np.frombuffer(table[COUNTS:], np.uint8).astype(np.int64)
    lasts = np.flatnonzero(data < 128)[: min(count, len(data))]
    if len(lasts) < count or not count or np.diff(lasts, prepend=-1).max() > 4:
        return np.zeros(0, np.int64)
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    sizes = np.zeros(count, np.int64)
    for step in range(4):
        more = firsts + step <= lasts
        sizes[more] = sizes[more] << 7 | data[(firsts + step)[more]] & 127
    return sizes
