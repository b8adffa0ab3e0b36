"""MP4 whose index says at which bytes its packets lie, and that lost or got some in the middle of its sound.

What follows lies elsewhere than the index says, by as many bytes as the box of the sound is too short or too long.
Source: ISO/IEC 14496-12, sections 8.7.3 to 8.7.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from edgeapp.audio.formats import shifted
from edgeapp.audio.formats.mp4 import INDEX, MOST_BOXES, SOUND, Box, box_at
from edgeapp.audio.formats.view import Readable, View, places, read_at, size_of

MOST_OF_INDEX = 1 << 26  # bytes: a day of AAC takes 16 MB

OF_INDEX = 12  # bytes that tell it
_INDEX = re.compile(rb"moov....mvhd", re.DOTALL)


def put_right(file: Readable) -> tuple[View, str] | None:
    """A file in which the packets lie where its index says, and how many bytes were moved, in words; None of others."""
    size = size_of(file)
    found = _sound_and_index(file, size)
    if found is None:
        return None
    sound, end, index = found
    if sound.end == end or index.end - index.start > MOST_OF_INDEX:
        return None
    offsets = _packets(read_at(file, index.start + 8, index.end - index.start - 8))
    if offsets is None:
        return None
    return shifted.put_right(file, offsets, sound.start, end, sound.end - end)


def _sound_and_index(file: Readable, size: int) -> tuple[Box, int, Box] | None:
    """The box of the sound, where it ends really, and the index."""
    at, index = 0, None
    for _ in range(MOST_BOXES):
        box = box_at(file, at, size)
        if box is None:
            return None
        if box.name == SOUND:
            break
        index = box if box.name == INDEX else index
        at = box.end
    else:
        return None
    if index is not None:  # first, as for the web: the sound goes on to the end
        return None if box.end < size and box_at(file, box.end, size) else (box, size, index)
    if box.end <= size and box_at(file, box.end, size):
        return None
    for at in places(file, _INDEX, box.start + 12, OF_INDEX):
        index = box_at(file, at - 4, size)
        if index is not None and index.end <= size:
            return box, index.start, index
    return None


def _packets(index: bytes) -> np.ndarray | None:
    """Bytes at which the packets of the first track of sound lie [n] int64; None where the index does not say."""
    for track in _boxes(index, b"trak"):
        for media in _boxes(track, b"mdia"):
            kinds = [handler[8:12] for handler in _boxes(media, b"hdlr")]
            tables = [table for info in _boxes(media, b"minf") for table in _boxes(info, b"stbl")]
            if kinds == [b"soun"] and tables:
                return _of_table(tables[0])
    return None


def _boxes(content: bytes, name: bytes) -> Iterator[bytes]:
    """What is in the boxes of a name."""
    at = 0
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if length < 8:
            return
        if content[at + 4 : at + 8] == name:
            yield content[at + 8 : at + length]
        at += length


def _of_table(table: bytes) -> np.ndarray | None:
    def numbers(name: bytes, skip: int, kind: str) -> np.ndarray:
        content = next(iter(_boxes(table, name)), b"")[skip:]
        return np.frombuffer(content[: len(content) - len(content) % int(kind[2:])], kind).astype(np.int64)

    chunks = np.concatenate([numbers(b"stco", 8, ">u4"), numbers(b"co64", 8, ">u8")])
    runs = numbers(b"stsc", 8, ">u4")
    runs = runs[: len(runs) // 3 * 3].reshape(-1, 3)
    sizes = numbers(b"stsz", 12, ">u4")
    if not (len(chunks) and len(runs) and len(sizes)):  # of one size all are alike, and need no such help
        return None
    first = np.clip(runs[:, 0] - 1, 0, len(chunks))
    each = np.repeat(runs[:, 1], np.diff(np.append(first, len(chunks))).clip(0))[: len(chunks)]
    if each.sum() != len(sizes) or (each <= 0).any():
        return None
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])  # as if all lay one after the other
    leading = np.repeat(begins[np.concatenate([[0], np.cumsum(each)[:-1]])], each)
    return np.repeat(chunks, each) + begins - leading
