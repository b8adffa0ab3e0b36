"""Packets that lie elsewhere than an index says, since bytes are missing or were added somewhere before them.

The place is found by the first bits of packets, which are alike in AAC and ALAC: the element that a packet begins with.
"""

from __future__ import annotations

import numpy as np

from edgeapp.audio.formats.view import Piece, Readable, View, read_at, size_of

CHUNK = 1 << 20
MOST_MOVED = 1 << 28  # bytes
FEWEST = 8  # packets after the hole
ALIKE = 0.9  # of them begin as the others do; of those that lie elsewhere an eighth does by chance
KIND_BITS = 5  # of a byte, without its first three


def put_right(file: Readable, offsets: np.ndarray, start: int, end: int, missing: int) -> tuple[View, str] | None:
    """A file in which packets lie where its index says, and how many bytes were moved, in words.

    None where packets do not begin alike on both sides of a hole.

    Parameters
    ----------
    file : Readable
    offsets : np.ndarray
        ``[n]``, bytes at which packets lie by the index.
    start, end : int
        Of the sound, as it is.
    missing : int
        Bytes; negative for what was added.
    """
    if not missing or abs(missing) > MOST_MOVED:
        return None
    at = _hole(file, offsets, start, end, missing)
    if at is None:
        return None
    size = size_of(file)
    pieces: list[Piece] = [(0, at), bytes(missing), (at, size)] if missing > 0 else [(0, at), (at - missing, size)]
    return View(file, pieces), f"{abs(missing):,} bytes of it"


def _hole(file: Readable, offsets: np.ndarray, start: int, end: int, missing: int) -> int | None:
    """The byte of the file from which on packets lie elsewhere; None where they do not begin alike on both sides."""
    here, there = _kinds(file, offsets, start, end), _kinds(file, offsets - missing, start, end)
    usual = np.bincount(np.concatenate([here, there])[np.concatenate([here, there]) >= 0], minlength=1).argmax()
    before, after = np.cumsum(here == usual), np.cumsum((there == usual)[::-1])[::-1]
    alike = np.concatenate([[0], before]) + np.concatenate([after, [0]])
    first = int(alike.argmax())  # packet after the hole
    following = there[first:] >= 0
    if not first or following.sum() < FEWEST or (there[first:] == usual).sum() < ALIKE * following.sum():
        return None
    return int(offsets[first])


def _kinds(file: Readable, offsets: np.ndarray, start: int, end: int) -> np.ndarray:
    """The first three bits at each of some bytes of a file [n] int; -1 of one that is not in the sound."""
    found = np.full(len(offsets), -1)
    inside = np.flatnonzero((offsets >= start) & (offsets < end))
    for at in range(start, end, CHUNK):
        asked = inside[(offsets[inside] >= at) & (offsets[inside] < at + CHUNK)]
        if len(asked):
            data = np.frombuffer(read_at(file, at, CHUNK), np.uint8)
            found[asked] = data[offsets[asked] - at] >> KIND_BITS
    return found
