"""Pages of an Ogg file: which belong to one stream, what follows what, and what is damaged. Source: RFC 3533."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgeapp.audio.formats.view import Readable, read_at, size_of

MARK = b"OggS"
HEADER = 27  # bytes, and one more for each segment
FIRST, LAST = 2, 4  # flags of the pages that begin and end a stream
LARGEST = HEADER + 255 + 255 * 255
CHUNK = 1 << 20

VORBIS, OPUS, FLAC = "Vorbis", "Opus", "FLAC"
_CODECS = {b"\x01vorbis": VORBIS, b"OpusHead": OPUS, b"\x7fFLAC": FLAC}
_HEADERS = {VORBIS: 3, OPUS: 2, FLAC: 1}  # packets before the sound
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

Span = tuple[int, int]  # where bytes begin and end


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes
    ----------
    start, body, end : int
        Byte at which it, its content, and what follows it begin.
    flags, granule, serial, number : int
        As its header has them.
    packets : int
        That end in it.
    """

    start: int
    body: int
    end: int
    flags: int
    granule: int
    serial: int
    number: int
    packets: int


@dataclass
class Run:
    """Pages of a stream of which none is missing between the first and the last.

    Attributes
    ----------
    spans : list of (int, int)
        Bytes of all but the last.
    last : Page
    reached : int
        Position that is stated by the last page but one which states any.
    disturbed : list of int
        Positions at which something lies between two pages.
    """

    spans: list[Span]
    last: Page
    reached: int = 0
    disturbed: list[int] = field(default_factory=list)


@dataclass
class Link:
    """One stream of sound, from its first page to its last.

    Attributes
    ----------
    codec : str
    serial : int
    headers : list of (int, int)
        Bytes of the pages before its sound.
    bodies : list of (int, int)
        Contents of all its pages.
    runs : list of Run
    breaks : list of int
        Bytes of the contents before each place at which pages are missing, or something else lies between them.
    """

    codec: str
    serial: int
    headers: list[Span] = field(default_factory=list)
    bodies: list[Span] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    _size: int = 0
    _packets: int = 0
    _number: int = -1

    @property
    def endless(self) -> bool:
        """Whether its last page does not say that it is the last."""
        return bool(self.runs) and not self.runs[-1].last.flags & LAST

    def add(self, page: Page, disturbed: bool) -> None:
        """Take its next page; whether something lay before it that is no page."""
        _extend(self.bodies, page.body, page.end)
        follows, self._number = page.number == self._number + 1, page.number
        if disturbed or not follows:
            self.breaks.append(self._size)
        self._size += page.end - page.body
        if self._packets < _HEADERS[self.codec]:
            self._packets += page.packets
            _extend(self.headers, page.start, page.end)
            return
        if not self.runs or not follows:
            self.runs.append(Run([], page, self.runs[-1].last.granule if self.runs else 0))
            return
        run = self.runs[-1]
        _extend(run.spans, run.last.start, run.last.end)
        run.reached = run.last.granule if run.last.granule >= 0 else run.reached
        run.last = page
        if disturbed:
            run.disturbed.append(run.reached)


@dataclass
class Survey:
    """What an Ogg file holds.

    Attributes
    ----------
    links : list of Link
        Streams of sound, one after the other.
    others : list of bytes
        First bytes of streams that are no sound, or in a codec that is not known.
    end : int
        Byte at which the last whole page ends.
    """

    links: list[Link] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)
    end: int = 0


def survey(file: Readable, start: int) -> Survey:
    """Read all pages from a byte on."""
    found = Survey()
    link: Link | None = None
    begun = False  # whether the first pages of the present streams are over
    for page, disturbed in _pages(file, start):
        found.end = page.end
        if page.flags & FIRST:
            if begun:
                link, begun = None, False
            head = read_at(file, page.body, 8)
            codec = next((name for magic, name in _CODECS.items() if head.startswith(magic)), None)
            if codec is not None and link is None:
                link = Link(codec, page.serial)
                found.links.append(link)
            elif codec is None:
                found.others.append(head)
        else:
            begun = True
        if link is not None and page.serial == link.serial:
            link.add(page, disturbed > 0)
    return found


def patched(file: Readable, page: Page, granule: int) -> bytes:
    """A page with another position, that ends its stream."""
    raw = bytearray(read_at(file, page.start, page.end - page.start))
    raw[5] |= LAST
    raw[6:14] = struct.pack("<q", granule)
    raw[22:26] = bytes(4)
    raw[22:26] = struct.pack("<I", _checksum(raw))
    return bytes(raw)


def ends_stream(file: Readable) -> bool:
    """Whether the last whole page of a file is the last of a stream, with nothing after it."""
    size = size_of(file)
    start = max(0, size - 2 * LARGEST)
    data = read_at(file, start, size - start)
    at = data.rfind(MARK)
    page = _page(data, at, start) if at >= 0 else None
    return page is not None and page.end == size and bool(page.flags & LAST)


def with_checksum(content: bytes, start: int, end: int) -> bytes:
    """A whole file in which bytes of one page were changed, with the right checksum of that page.

    Raises
    ------
    ValueError
        They are not inside one page.
    """
    at = 0
    while content[at : at + 4] == MARK:
        body = at + HEADER + content[at + HEADER - 1]
        after = body + sum(content[at + HEADER : body])
        if body <= start and end <= after:
            page = content[at : at + 22] + bytes(4) + content[at + 26 : after]
            return content[: at + 22] + struct.pack("<I", _checksum(page)) + content[at + 26 :]
        at = after
    raise ValueError("the bytes are not inside one page")


def _pages(file: Readable, start: int) -> Iterator[tuple[Page, int]]:
    """Whole pages, each with how many bytes before it are none."""
    offset, at, lost = start, 0, 0
    data = read_at(file, offset, CHUNK)
    while True:
        if len(data) - at < LARGEST and len(data) == CHUNK:
            offset += at
            data, at = read_at(file, offset, CHUNK), 0
        found = data.find(MARK, at)
        if found < 0:
            skipped = len(data) - at if len(data) < CHUNK else len(data) - at - len(MARK) + 1
            lost, at = lost + skipped, at + skipped
            if len(data) < CHUNK:
                return
            continue
        lost, at = lost + found - at, found
        if len(data) - at < LARGEST and len(data) == CHUNK:
            continue
        page = _page(data, at, offset)
        if page is None:
            lost, at = lost + 1, at + 1
            continue
        yield page, lost
        lost, at = 0, page.end - offset


def _page(data: bytes, at: int, offset: int) -> Page | None:
    if len(data) < at + HEADER:
        return None
    _, version, flags, granule, serial, number, checksum, segments = struct.unpack_from("<4sBBqIIIB", data, at)
    body = at + HEADER + segments
    lacing = data[at + HEADER : body]
    end = body + sum(lacing)
    if version or end > len(data):
        return None
    if _checksum(data[at : at + 22] + bytes(4) + data[at + 26 : end]) != checksum:
        return None
    packets = sum(size < 255 for size in lacing)
    return Page(offset + at, offset + body, offset + end, flags, granule, serial, number, packets)


def _checksum(page: bytes | bytearray) -> int:
    """CRC of a page: zlib's, whose bits run the other way, that begins with 0 and is not inverted."""
    reflected = zlib.crc32(bytes(page).translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED), "big")


def _extend(spans: list[Span], start: int, end: int) -> None:
    """Add bytes to others that may end where they begin."""
    if spans and spans[-1][1] == start:
        spans[-1] = (spans[-1][0], end)
    else:
        spans.append((start, end))
