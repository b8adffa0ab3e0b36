"""Chunks of WAV files that hold metadata, read without decoding any sound."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

WAV_KINDS = (b"RIFF", b"RF64", b"BW64")
LARGEST = 1 << 20  # bytes of a chunk that are read; metadata of recorders are far shorter
MOST_CHUNKS = 10_000  # no recorder writes so many, and a damaged file must not keep us for hours


def is_wav(head: bytes) -> bool:
    """Whether a file that begins with these 12 bytes is a WAV file: RIFF, RF64 or BW64."""
    return head[:4] in WAV_KINDS and head[8:12] == b"WAVE"


def chunks(file: BinaryIO, wanted: frozenset[bytes]) -> dict[bytes, bytes]:
    """The first chunk of each of these names, at most `LARGEST` bytes of it.

    Foreign files are read as far as they make sense: RF64 and BW64, a ``data`` chunk whose size nobody wrote, cut
    files, chunks without their padding.

    Parameters
    ----------
    file : open binary file
        At its start; empty when it is no WAV file.
    wanted : frozenset of bytes
        Names of four bytes.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    if not is_wav(file.read(12)):
        return {}
    found: dict[bytes, bytes] = {}
    for name, size in _heads(file):
        if name in wanted and name not in found:
            found[name] = file.read(min(size, LARGEST))
            if len(found) == len(wanted):
                break
    return found


def _heads(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Name and size of each chunk, the file standing at its first byte."""
    large: int | None = None  # size of the data chunk of an RF64, which its 32 bits cannot hold
    end = file.seek(0, os.SEEK_END)
    at = 12
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"ds64":
            large = int.from_bytes(file.read(16)[8:], "little")
            file.seek(at + 8)
        elif name == b"data" and size == 0xFFFF_FFFF and large is not None:
            size = large
        yield name, size
        at += 8 + size
        if at >= end:
            return
        if size % 2:
            at += _padding(file, at)


def _padding(file: BinaryIO, at: int) -> int:
    """1 for the byte that evens a chunk, 0 where the writer left it out and the next chunk's name begins there."""
    file.seek(at)
    following = file.read(4)
    return int(not following or following[0] == 0 or not all(32 <= byte < 127 for byte in following))
