"""Where a file of sound ends by its own sizes: what was joined to it begins there, and what lies beyond is missing.

Sources: RFC 8794 and 9559 (Matroska); Advanced Systems Format Specification 01.20.05
(Microsoft); OpenDML AVI 1.02; Adobe Flash Video File Format 10.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from edgeapp.audio.formats import mp4, sniff
from edgeapp.audio.formats.decoder import DamagedError
from edgeapp.audio.formats.resized import end_of
from edgeapp.audio.formats.view import Readable, read_at, size_of
from edgeapp.audio.formats.wave import layout

MOST_OBJECTS = 1_000_000
_SEGMENT, _EBML = bytes.fromhex("18538067"), bytes.fromhex("1a45dfa3")
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_INDEXES = frozenset(
    bytes.fromhex(guid)
    for guid in (
        "90080033b1e5cf1189f400a0c90349cb",
        "d329e2d6da35d111903400a0c90349be",
        "f803b1fead12644c840f2a1d2f7ad48c",
        "3cb73fd00c4a803f953dedf7b6228f0c",
    )
)
_MATROSKA_BEGIN = re.compile(rb"\x1a\x45\xdf\xa3.{0,48}\x42\x82.(?:webm|matroska)", re.DOTALL)
_BEGINS = {  # of files that do not say how long they are, and whose decoders stop where the next begins
    sniff.FLV: re.compile(rb"FLV\x01[\x01\x04\x05]\0\0\0\x09"),
    sniff.AMR: re.compile(rb"#!AMR(?:-WB)?\n"),
    sniff.TTA: re.compile(rb"TTA1[\1-\3]\0[\1-\x10]\0[\x08\x10\x18\x20]\0"),
    sniff.DSF: re.compile(rb"DSD \x1c\0\0\0\0\0\0\0"),
    sniff.APE: re.compile(rb"MAC [\x6e-\xa0]\x0f\0\0", re.DOTALL),
}
CHUNK, LONGEST_BEGIN = 1 << 20, 64  # bytes that are searched at once; that a pattern has at most


@dataclass(frozen=True)
class Extent:
    """Where a file ends by its own sizes.

    Attributes
    ----------
    end : int
        Byte that follows it; that of the whole file where its sizes say nothing.
    cut : bool
        Whether its sizes lead beyond the end of the file.
    """

    end: int
    cut: bool = False


def extent(file: Readable, kind: str | None) -> Extent:
    """Where the file of sound ends that begins at the first byte.

    Parameters
    ----------
    file : Readable
    kind : str or None
        As `edgeapp.audio.formats.sniff` calls it. Of a kind without sizes of its own, or whose decoder goes on with
        what was joined, the end is that of the file.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    ends = _ENDS.get(kind or "")
    size = size_of(file)
    if ends is None:
        return Extent(size)
    end = ends(file, size)
    return Extent(min(end, size), end > size)


def _wave(file: Readable, size: int) -> int:
    try:
        return min(layout(file).end, size)  # whose decoder tells what is missing
    except DamagedError:
        return size


def _matroska(file: Readable, size: int) -> int:
    """Behind the segment; one that does not know its size goes on to the next header."""
    at = 0
    for wanted in (_EBML, _SEGMENT):
        if read_at(file, at, 4) != wanted:
            return size
        first = read_at(file, at + 4, 1)
        width = 9 - first[0].bit_length() if first and first[0] else 0
        if not width:
            return size
        written = int.from_bytes(read_at(file, at + 4, width), "big")
        length = written & (1 << 7 * width) - 1
        if length == (1 << 7 * width) - 1:
            return _next(_MATROSKA_BEGIN, file, size)
        at += 4 + width + length
    return at


def _asf(file: Readable, size: int) -> int:
    at = 0
    for _ in range(MOST_OBJECTS):
        head = read_at(file, at, 24)
        name, length = head[:16], int.from_bytes(head[16:24], "little")
        if (at and name == _ASF_HEADER) or name not in {_ASF_HEADER, _ASF_DATA, *_ASF_INDEXES}:
            return at
        if length < 24:  # one that was written to a network does not know its size
            return size
        at += length
        if at > size:
            return at
    return size


def _avi(file: Readable, size: int) -> int:
    """Behind the RIFFs of a file, of which ffmpeg reads all."""
    at = 0
    while (head := read_at(file, at, 12))[:4] == b"RIFF" and head[8:] in (b"AVI ", b"AVIX"):
        length = int.from_bytes(head[4:8], "little")
        if not length:  # a camera that lost power
            return size
        at += 8 + length + length % 2
    return size if at == size + 1 else at  # one that is even without the byte that evens it


def _next(begin: re.Pattern[bytes], file: Readable, size: int) -> int:
    """Where a file of a kind begins again."""
    at = 1
    while data := read_at(file, at, CHUNK + LONGEST_BEGIN):
        if (found := begin.search(data)) is not None:
            return at + found.start()
        at += CHUNK
    return size


_ENDS: dict[str, Callable[[Readable, int], int]] = {
    sniff.WAVE: _wave,
    sniff.MP4: mp4.end_of,
    sniff.MATROSKA: _matroska,
    sniff.ASF: _asf,
    sniff.AVI: _avi,
    **{kind: partial(_next, begin) for kind, begin in _BEGINS.items()},
    sniff.AIFF: partial(end_of, sniff.AIFF),
    sniff.CAF: partial(end_of, sniff.CAF),
    sniff.AU: partial(end_of, sniff.AU),
}
