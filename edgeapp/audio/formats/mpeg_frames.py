"""Frames of MPEG audio, layers I to III, found by their headers: what is sound in a file, and what is not.

Sources: ISO/IEC 11172-3 and 13818-3, section 2.4.1.3 (header); Xing's and Fraunhofer's tags that count the frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgeapp.audio.formats.tags import without_tags
from edgeapp.audio.formats.view import Readable, read_at, size_of

CHUNK = 1 << 20
CONFIRMED = 3  # frames in a row that garbage does not have

_MPEG1, _MPEG2 = 3, 2  # and 0 is MPEG 2.5
_RATES = {_MPEG1: (44_100, 48_000, 32_000), _MPEG2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBITS = {
    (_MPEG1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (_MPEG1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (_MPEG1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (_MPEG2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (_MPEG2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MASK = 0xFFFF_FEC0  # what of a header tells the length of its frame and what kind it is
_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_TAGS = (b"Xing", b"Info", b"VBRI")


@dataclass(frozen=True)
class Kind:
    """What all frames of a stream have in common.

    Attributes
    ----------
    rate_hz, channels : int
    samples : int
        In a frame.
    version, layer : int
    """

    rate_hz: int
    channels: int
    samples: int
    version: int
    layer: int

    @property
    def tag_at(self) -> int:
        """Byte of a frame at which Xing's tag stands."""
        if self.version == _MPEG1:
            return 4 + (17 if self.channels == 1 else 32)
        return 4 + (9 if self.channels == 1 else 17)


@dataclass
class Run:
    """Frames of a kind without anything between them.

    Attributes
    ----------
    kind : Kind
    start, end : int
        In bytes.
    frames : int
        Of sound; a tag is none.
    tag : bytes
        The frame with the tag that counts the frames, where it begins with one.
    announced : int or None
        Frames by that tag; 0 where it does not say.
    """

    kind: Kind
    start: int
    end: int = 0
    frames: int = 0
    tag: bytes = b""
    announced: int | None = None

    @property
    def count_at(self) -> int:
        """Byte of the tag at which it counts the frames."""
        return 50 if self.tag[36:40] == b"VBRI" else self.kind.tag_at + 8

    @property
    def padded(self) -> tuple[int, int]:
        """Samples an encoder has put before and after the sound, by LAME's part of the tag."""
        at = self.kind.tag_at + 141
        if not self.counts or len(self.tag) < at + 3 or self.tag[36:40] == b"VBRI":
            return 0, 0
        both = int.from_bytes(self.tag[at : at + 3], "big")
        return both >> 12, both & 0xFFF

    @property
    def counts(self) -> bool:
        """Whether the tag has a place for the count."""
        return self.tag[36:40] == b"VBRI" or bool(self.tag[self.kind.tag_at + 7] & 1)


def header(value: int) -> tuple[int, Kind] | None:
    """Length in bytes and kind of the frame with this header; None where it is none, or of free format."""
    version, layer = value >> 19 & 3, 4 - (value >> 17 & 3)
    kbits, rate = value >> 12 & 15, value >> 10 & 3
    if value >> 21 != 0x7FF or version == 1 or layer == 4 or kbits in (0, 15) or rate == 3:
        return None
    rate_hz = _RATES[version][rate]
    column = (_MPEG1, layer) if version == _MPEG1 else (_MPEG2, min(layer, 2))
    bits = 1000 * _KBITS[column][kbits - 1]
    padding = value >> 9 & 1
    channels = 1 if value >> 6 & 3 == 3 else 2
    if layer == 1:
        return (12 * bits // rate_hz + padding) * 4, Kind(rate_hz, channels, 384, version, layer)
    samples = 576 if layer == 3 and version != _MPEG1 else 1152
    return samples // 8 * bits // rate_hz + padding, Kind(rate_hz, channels, samples, version, layer)


def runs(file: Readable, start: int, within: int | None = None) -> Iterator[Run]:
    """Runs of frames from a byte on, in order. One ends where another stream begins, or where something else lies.

    Parameters
    ----------
    file : Readable
    start : int
    within : int, optional
        Bytes in which the first must begin; anywhere if not given.
    """
    size = size_of(file)
    at = _next_frame(file, start, size if within is None else min(size, start + within))
    while at is not None:
        run = _run_at(file, at)
        yield run
        at = _next_frame(file, run.end, size)


def beside(file: Readable, start: int, end: int) -> bool:
    """Whether all there is between two bytes are tags that describe the recording, zeros, and a frame that is cut."""
    start, end = without_tags(file, start, end)
    return start >= end or is_cut_frame(file, start, end)


def is_cut_frame(file: Readable, start: int, end: int) -> bool:
    """Whether a frame begins at a byte that does not end before another."""
    head = read_at(file, start, min(4, end - start))
    found = header(int.from_bytes(head, "big")) if len(head) == 4 else (4, None)
    return bool(head) and found is not None and start + found[0] > end


def _run_at(file: Readable, start: int) -> Run:
    """Frames from one on, as long as they are of its kind and follow each other."""
    known: dict[int, tuple[int, Kind] | None] = {}
    data, offset, at = read_at(file, start, CHUNK), start, 0
    run: Run | None = None
    length, tag_at = 0, 0
    while True:
        if at + 256 > len(data) and len(data) == CHUNK:
            data, offset, at = read_at(file, offset + at, CHUNK), offset + at, 0
        value = int.from_bytes(data[at : at + 4], "big")
        key = value & _MASK
        if key not in known:
            known[key] = header(value) if len(data) - at >= 4 else None
        found = known[key]
        if found is None:
            break
        length, kind = found
        if run is None:
            run, tag_at = Run(kind, start), kind.tag_at
            here = data[at : at + length]
            run.announced = _announced(here, tag_at)
            if run.announced is not None:
                run.tag, run.frames = here, -1
        elif (
            kind is not run.kind
            and kind != run.kind
            or data[at + tag_at : at + tag_at + 4] in _TAGS
            and _announced(data[at : at + length], tag_at) is not None
        ):
            break
        if at + length > len(data) and len(data) < CHUNK:
            break
        if at + length > len(data):
            data, offset, at = read_at(file, offset + at + length, CHUNK), offset + at + length, 0
        else:
            at += length
        run.frames += 1
    assert run is not None, "a run begins with a frame"
    run.end = offset + at
    return run


def _announced(frame: bytes, tag_at: int) -> int | None:
    """How many frames a tag counts; 0 where it does not say, None where the frame has no tag."""
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        return int.from_bytes(frame[50:54], "big")
    if frame[tag_at : tag_at + 4] in _TAGS and len(frame) >= tag_at + 12:
        return int.from_bytes(frame[tag_at + 8 : tag_at + 12], "big") if frame[tag_at + 7] & 1 else 0
    return None


def _next_frame(file: Readable, start: int, end: int) -> int | None:
    """Where the next frame begins that others follow, before a byte."""
    at, size = start, size_of(file)
    while at < end and len(data := read_at(file, at, CHUNK + 3)) >= 4:
        for match in _SYNC.finditer(data):
            if match.start() < min(CHUNK, end - at) and _confirmed(file, at + match.start(), size):
                return at + match.start()
        at += CHUNK
    return None


def _confirmed(file: Readable, at: int, size: int) -> bool:
    """Whether a frame begins there, and as many follow as garbage does not have."""
    kind: Kind | None = None
    for number in range(CONFIRMED):
        head = read_at(file, at, 4)
        found = header(int.from_bytes(head, "big")) if len(head) == 4 else None
        if found is None or (kind is not None and found[1] != kind):
            return number > 0 and beside(file, at, size)  # the last frame of a file, with nothing or tags after it
        length, kind = found
        if at + length > size:
            return number > 0
        at += length
    return True
