"""The chunks of a WAV file: RIFF, RIFX, RF64, BW64 and W64.

Sizes are believed only where the bytes agree. A ``data`` chunk of 0 bytes is a recorder that lost power, one of
2^32 - 1 an encoder that wrote to a pipe, one 4 GiB too short a size of 32 bits that wrapped; in all of them the sound
goes on to the end of the file, or to the next chunk.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (IBM and Microsoft, 1991); EBU Tech 3306 (RF64);
ITU-R BS.2088 (BW64); Sony Wave64.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgeapp.audio.formats.decoder import DamagedError
from edgeapp.audio.formats.sniff import W64_RIFF, is_recording
from edgeapp.audio.formats.view import Readable, read_at, size_of

PCM, FLOAT, EXTENSIBLE, MP3 = 0x0001, 0x0003, 0xFFFE, 0x0055
WRAP = 1 << 32
NEAR = 1 << 16  # who writes to a pipe announces a little less than 2 or 4 GiB and means "until the end"
SEARCHED = 1 << 20  # how far the sound is looked for where the chunks lead nowhere
MOST_CHUNKS = 100_000
MOST_METADATA = 1 << 20  # bytes of a chunk; recorders write far less

_KNOWN = frozenset(
    b"fmt |data|fact|LIST|INFO|bext|iXML|guan|cue |smpl|inst|plst|labl|note|ltxt|slnt|junk|JUNK|PAD |FLLR|ds64|axml"
    b"|chna|id3 |ID3 |_PMX|cart|link|levl|PEAK|afsp|DISP|acid|strc|minf|elm1|regn|umid|wamd|frnt|ResU|LGWV|SNDM|auto"
    b"|r64m|mext|qlty|aXML|flir|Fake|wavl|csig|dbmd|sxml|ovwf|meta|xtxt".split(b"|")
)


@dataclass(frozen=True)
class Layout:
    """Where the sound of a WAV file lies, and how it is written.

    Attributes
    ----------
    format_tag : int
        `PCM`, `FLOAT`, or one of the registered others; an extensible format's own.
    rate_hz, channels : int
    width : int
        Bytes of a sample; those of a frame divided by the channels.
    big_endian : bool
    fmt : bytes
        Body of the ``fmt`` chunk.
    spans : tuple of (int, int)
        Where each stretch of sound begins and ends.
    announced : int or None
        Bytes of sound the header says there are; None where it says that it does not know.
    end : int
        Byte at which its last chunk ends, where another file may have been joined to it.
    """

    format_tag: int
    rate_hz: int
    channels: int
    width: int
    big_endian: bool
    fmt: bytes
    spans: tuple[tuple[int, int], ...]
    announced: int | None
    end: int

    @property
    def size(self) -> int:
        """Bytes of sound that are there."""
        return sum(end - start for start, end in self.spans)


def is_wav(head: bytes) -> bool:
    """Whether a file that begins with these 16 bytes is a WAV file of any kind."""
    return head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE" or head[:16] == W64_RIFF


def bodies(file: Readable, wanted: frozenset[bytes]) -> dict[bytes, bytes]:
    """The first chunk of each of these names, at most `MOST_METADATA` bytes of it; nothing of what is no WAV file.

    Of several ``LIST`` chunks it is the first with ``INFO``.

    Parameters
    ----------
    file : Readable
    wanted : frozenset of bytes
        Names of four bytes.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    if not is_wav(read_at(file, 0, 16)):
        return {}
    walk = _Walk(file)
    walk.chunks()
    places = {name: place for name, place in walk.places.items() if name in wanted}
    return {name: read_at(file, body, min(size, MOST_METADATA)) for name, (body, size) in places.items()}


def layout(file: Readable) -> Layout:
    """Walk the chunks of a WAV file.

    Raises
    ------
    DamagedError
        There is no sound in it, or nothing says how it is written.
    """
    walk = _Walk(file)
    walk.chunks()
    if walk.fmt is None or not walk.spans:
        walk.search()
    if walk.fmt is None:
        raise DamagedError("its header does not say how the sound is written")
    if not walk.spans:
        raise DamagedError("it has a header and no sound")
    tag, channels, rate_hz, _, align, bits = struct.unpack(walk.order + "HHIIHH", walk.fmt[:16])
    if tag == EXTENSIBLE and len(walk.fmt) >= 26:
        tag = int.from_bytes(walk.fmt[24:26], "big" if walk.order == ">" else "little")
    if not channels or not rate_hz:
        raise DamagedError(f"its header announces {channels} channels and {rate_hz} Hz")
    width = align // channels if align and not align % channels else -(-bits // 8)
    announced = None if None in walk.announced else sum(size or 0 for size in walk.announced)
    end = max(walk.end, walk.spans[-1][1])  # of sound that was looked for, too
    return Layout(tag, rate_hz, channels, width, walk.order == ">", walk.fmt, tuple(walk.spans), announced, end)


class _Walk:
    """From chunk to chunk, to the end of the file."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._size = size_of(file)
        head = read_at(file, 0, 40)
        self.order = ">" if head[:4] == b"RIFX" else "<"
        self._w64 = head[:16] == W64_RIFF
        self._begin = 40 if self._w64 else 12
        self._head = 24 if self._w64 else 8
        self.end = self._size
        self._large: int | None = None  # size of the sound of an RF64, which its 32 bits cannot hold
        self.fmt: bytes | None = None
        self.spans: list[tuple[int, int]] = []
        self.announced: list[int | None] = []
        self._list_of = b""  # kind of the LIST that is in
        self.places: dict[bytes, tuple[int, int]] = {}  # name to body and size, of the first chunk of each name

    def chunks(self) -> None:
        at = self._begin
        for _ in range(MOST_CHUNKS):
            found = None if self.spans and self._joined(at) else self._chunk(at)
            if found is None:
                self.end = min(at, self._size)
                return
            name, body, size = found
            list_of = read_at(self._file, body, 4) if name == b"LIST" else b""
            if name not in self.places or (list_of == b"INFO" and self._list_of != b"INFO"):
                self.places[name] = body, size
                self._list_of = list_of or self._list_of
            if list_of == b"wavl":  # stretches of sound, each a chunk
                at = body + 4
                continue
            if name == b"data":
                size = self._sound(body, size)
            elif name == b"fmt " and self.fmt is None and size >= 16:
                self.fmt = read_at(self._file, body, min(size, 128))
                if len(self.fmt) < 16:
                    self.fmt = None
            elif name == b"ds64" and size >= 16:
                self._large = int.from_bytes(read_at(self._file, body + 8, 8), "little")
            at = self._after(body, size)

    def search(self) -> None:
        """Look for what the chunks do not lead to: some recorders write sizes that are wrong."""
        head = read_at(self._file, 0, SEARCHED)
        if self.fmt is None and (found := head.find(b"fmt ", self._begin)) >= 0:
            fmt = head[found + 8 : found + 8 + 128]
            self.fmt = fmt if len(fmt) >= 16 else None
        begin = head.find(b"fmt ") + 24 if self.fmt is not None else self._begin
        if not self.spans and (found := head.find(b"data", begin)) >= 0:
            entry = self._chunk(found)
            if entry is not None:
                self._sound(entry[1], entry[2])

    def _chunk(self, at: int) -> tuple[bytes, int, int] | None:
        """Name, begin of the body and size of the chunk at a position."""
        head = read_at(self._file, at, self._head)
        if len(head) < self._head or not _is_name(head[:4]):
            return None
        if self._w64:
            return head[:4], at + 24, max(0, int.from_bytes(head[16:24], "little") - 24)
        return head[:4], at + 8, int.from_bytes(head[4:8], "big" if self.order == ">" else "little")

    def _sound(self, body: int, size: int) -> int:
        """Take a stretch of sound; how many bytes it really has."""
        rest = self._size - body
        if size == WRAP - 1 and self._large is not None:
            size = self._large
        known = None if is_unknown(size) else size
        found = rest
        if size <= rest and self._ends(body, size):
            found = known = size
        elif known is not None:
            wrapped = range(size, rest + 1, WRAP)
            found = next((whole for whole in wrapped if self._ends(body, whole)), rest)
        if found or not self.spans:
            self.spans.append((body, body + found))
            self.announced.append(known)
        return found

    def _ends(self, body: int, size: int) -> bool:
        """Whether sound of this size would end where the file ends or another chunk begins."""
        at = body + size
        if self._size - at <= 1 + (7 if self._w64 else 0):
            return True
        return self._is_chunk(at) or self._is_chunk(at + size % 2) or self._joined(at)

    def _joined(self, at: int) -> bool:
        """Whether another file begins there that was joined to this one."""
        return is_recording(self._file, at)

    def _is_chunk(self, at: int) -> bool:
        found = self._chunk(at)
        if found is None:
            return False
        name, body, size = found
        return name in _KNOWN or body + size in (self._size, self._size - 1)

    def _after(self, body: int, size: int) -> int:
        """Where the next chunk begins; some writers leave out the byte that evens a chunk."""
        at = body + size
        if self._w64:
            return at if self._joined(at) else at + -at % 8
        if not size % 2:
            return at
        if read_at(self._file, at, 4) in _KNOWN or self._joined(at):
            return at
        padded = read_at(self._file, at + 1, 4)
        return at if not _is_name(padded) and _is_name(read_at(self._file, at, 4)) else at + 1


def is_unknown(size: int) -> bool:
    """Whether a size means that it is not known."""
    return size >= 1 << 62 or any(limit - NEAR <= size < limit for limit in (WRAP // 2, WRAP))


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)
