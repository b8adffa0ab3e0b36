"""The boxes of MP4, and files of it without what is damaged.

Where no box begins, the next fragment is looked for, or the index of a file that has none. Fragments have times, so
what follows stays where it belongs. Source: ISO/IEC 14496-12.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from edgeapp.audio.formats.mpeg_frames import beside
from edgeapp.audio.formats.view import Piece, Readable, View, places, read_at, size_of

MOST_BOXES = 1_000_000
MOST_OF_HEADER = 1 << 24  # bytes: that of a second takes less than a thousand
OF_NEXT = 12  # bytes that tell the next fragment or the index

FRAGMENT, INDEX, SOUND = b"moof", b"moov", b"mdat"
_PLACES = frozenset((b"mfra", b"sidx", b"ssix"))  # say at which bytes fragments lie; nobody needs them to decode
_OF_FRAGMENT = frozenset(
    b"mfhd traf tfhd tfdt trun sbgp sgpd subs saiz saio senc uuid free skip meta pssh sdtp udta".split()
)
_NEXT = re.compile(rb"moof....mfhd|moov....mvhd", re.DOTALL)
_BASE = 1  # flag of a track fragment: it says from which byte of the file on its sound is counted


@dataclass(frozen=True)
class Box:
    """A box at the top of a file.

    Attributes
    ----------
    name : bytes
    start, end : int
        In bytes; the end may lie beyond that of the file.
    """

    name: bytes
    start: int
    end: int


def box_at(file: Readable, at: int, size: int) -> Box | None:
    """The box that begins at a byte of a file of that size; None where none does."""
    head = read_at(file, at, 16)
    length, name = int.from_bytes(head[:4], "big"), head[4:8]
    if len(head) < 8 or not all(32 <= byte < 127 or byte == 0xA9 for byte in name):
        return None
    if length == 1:
        length = int.from_bytes(head[8:16], "big")
    if length == 0:  # to the end of the file
        return Box(name, at, size)
    return Box(name, at, at + length) if length >= 8 else None


def end_of(file: Readable, size: int) -> int:
    """Where the boxes of a file end; a second ``ftyp`` begins another one."""
    at = 0
    for _ in range(MOST_BOXES):
        box = box_at(file, at, size) if at < size else None
        if box is None or (at and box.name == b"ftyp"):
            return at
        at = box.end
    return size


def has_index(file: Readable) -> bool:
    """Whether a file has the box that says how its sound is written."""
    at, size = 0, size_of(file)
    while at < size and (box := box_at(file, at, size)) is not None:
        if box.name == INDEX:
            return True
        at = box.end
    return False


def repaired(file: Readable) -> tuple[View, str] | None:
    """A file without what is damaged, and what that is in words; None where it is whole or has no index."""
    survey = _Survey(file)
    survey.walk()
    if not survey.has_index or not survey.damaged:
        return None
    return View(file, survey.pieces), f"{survey.damaged:,} bytes of it"


class _Survey:
    def __init__(self, file: Readable) -> None:
        self._file, self._size = file, size_of(file)
        self.pieces: list[Piece] = []
        self._at = 0  # in the view
        self.damaged = 0
        self.has_index = False

    def walk(self) -> None:
        at, fragmented = 0, False
        header: Box | None = None  # of a fragment, whose sound is still to come
        while at < self._size:
            box = box_at(self._file, at, self._size)
            if box is None or not self._is_whole(box):
                following = self._next(at + 1)
                if following is None and (not fragmented or (header is None and beside(self._file, at, self._size))):
                    break
                end, begin = following or self._size, at if header is None else header.start
                self.damaged += end - begin
                self._blank(begin, end)
                at, header = end, None
                continue
            if box.name == b"ftyp" and at and not self.damaged:
                break  # another file
            at = box.end
            if box.name == SOUND:
                if header is not None:
                    self._fragment(header)
                at, header = self._sound(box), None
            elif box.name == FRAGMENT:
                fragmented, header = True, box
            elif header is not None:
                continue
            elif box.name in _PLACES:
                self._blank(box.start, box.end)
            else:
                self._add((box.start, box.end))
            self.has_index |= box.name == INDEX

    def _sound(self, box: Box) -> int:
        """Take the sound of a fragment or of the file; where the box after it begins."""
        end = min(box.end, self._size)
        if box.end != self._size and (end == self._size or box_at(self._file, end, self._size) is None):
            following = self._next(box.start + 8)
            if following is not None and following < end:  # bytes of it are missing
                self.damaged += box.end - following
                end = following
        wide = read_at(self._file, box.start, 4) == b"\0\0\0\1"
        length = end - box.start
        self._add(b"\0\0\0\1" + SOUND + struct.pack(">Q", length) if wide else struct.pack(">I", length) + SOUND)
        self._add((box.start + (16 if wide else 8), end))
        return end

    def _fragment(self, box: Box) -> None:
        """Take the header of a fragment, with the byte at which its sound lies now."""
        data = bytearray(read_at(self._file, box.start, box.end - box.start))
        written: int | None = None
        for name, body, _ in _inside(data, 8, len(data)):
            if name == b"tfhd" and data[body + 3] & _BASE:
                base = int.from_bytes(data[body + 8 : body + 16], "big")
                written = base if written is None else written
                data[body + 8 : body + 16] = max(0, self._at + base - written).to_bytes(8, "big")
        self._add(bytes(data))

    def _is_whole(self, box: Box) -> bool:
        """Whether a box is what its head says, as far as decoding depends on it."""
        if box.name == SOUND:
            return True
        if box.end > self._size:
            return False
        if box.name not in (FRAGMENT, b"mfra"):
            return True
        data = read_at(self._file, box.start, min(box.end - box.start, MOST_OF_HEADER))
        filled = sum(1 for _ in _inside(data, 8, len(data)))
        return filled > 0 and (box.name != FRAGMENT or data[12:16] == b"mfhd")

    def _next(self, start: int) -> int | None:
        """Where the next fragment or the index begins, from a byte on."""
        for at in places(self._file, _NEXT, start + 4, OF_NEXT):
            box = box_at(self._file, at - 4, self._size)
            if box is not None and self._is_whole(box):
                return box.start
        return None

    def _blank(self, start: int, end: int) -> None:
        """Have a box that nobody reads in place of what is damaged: others say at which bytes of the file they lie."""
        if 8 <= end - start < 1 << 32:
            self._add(struct.pack(">I", end - start) + b"free")
            self._add((start + 8, end))

    def _add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self._at += len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


def _inside(data: bytes | bytearray, at: int, end: int) -> list[tuple[bytes, int, int]]:
    """Name, begin and end of the body of all boxes between two bytes, those in others included.

    Empty where they do not fill that room, or one of a fragment is not as long as its head says.
    """
    found: list[tuple[bytes, int, int]] = []
    while at < end:
        length, name = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8])
        if not 8 <= length <= end - at or (data[4:8] == FRAGMENT and name not in _OF_FRAGMENT):
            return []
        found.append((name, at + 8, at + length))
        if name == b"traf":
            inner = _inside(data, at + 8, at + length) if data[4:8] == FRAGMENT else []
            if not inner:
                return []
            found += inner
        elif name == b"trun" and not _is_run(data, at + 8, at + length):
            return []
        at += length
    return found


def _is_run(data: bytes | bytearray, body: int, end: int) -> bool:
    """Whether the list of the packets of a fragment has as many entries as it says."""
    flags, count = int.from_bytes(data[body + 1 : body + 4], "big"), int.from_bytes(data[body + 4 : body + 8], "big")
    each = 4 * (flags >> 8 & 0xF).bit_count()
    return body + 8 + 4 * (flags & 1) + 4 * (flags >> 2 & 1) + count * each == end
