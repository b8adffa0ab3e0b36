"""Headers of FLAC streams and frames, found by their bytes. Source: RFC 9639."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgeapp.audio.formats.decoder import DamagedError
from edgeapp.audio.formats.view import Readable, read_at, size_of

MARK = b"fLaC"
STREAMINFO = 34  # bytes; its block has a header of 4 before it
SCAN = 1 << 20

_CANDIDATE = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22|\xff[\xf8\xf9]", re.DOTALL)
_RATES = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
_LARGEST_HEADER = 16


def _crc8_table() -> bytes:
    table = bytearray(256)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
        table[byte] = crc
    return bytes(table)


_CRC8 = _crc8_table()


@dataclass(frozen=True)
class StreamInfo:
    """What the header of a FLAC stream says.

    Attributes
    ----------
    raw : bytes
        The block, 34 bytes.
    """

    raw: bytes

    @property
    def rate_hz(self) -> int:
        """Samples per second."""
        return int.from_bytes(self.raw[10:13], "big") >> 4

    @property
    def channels(self) -> int:
        """Number of channels."""
        return (self.raw[12] >> 1 & 7) + 1

    @property
    def block(self) -> int:
        """Frames of sound in each FLAC frame, where all are alike."""
        return int.from_bytes(self.raw[0:2], "big")

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return ((self.raw[12] & 1) << 4 | self.raw[13] >> 4) + 1

    @property
    def total(self) -> int:
        """Frames of sound in the stream; 0 where that is not known."""
        return int.from_bytes(self.raw[13:18], "big") & (1 << 36) - 1

    @property
    def md5(self) -> bytes:
        """Of the samples; zeros where that is not known."""
        return self.raw[18:34]

    def endless(self) -> bytes:
        """The begin of a stream like this one, of unknown length, up to its first frame."""
        raw = bytearray(self.raw)
        raw[13] &= 0xF0
        raw[14:34] = bytes(20)
        raw[4:10] = bytes(6)  # the sizes of its frames: not all decoders pass over a wrong one
        return MARK + b"\x80\x00\x00\x22" + bytes(raw)


@dataclass(frozen=True)
class Frame:
    """Header of a FLAC frame, or of a stream, that was found.

    Attributes
    ----------
    offset : int
        In bytes.
    start : int
        Number of its first sample.
    frames : int
        How many it has.
    stream : bool
        Whether another stream begins here.
    """

    offset: int
    start: int
    frames: int
    stream: bool = False


def first_frame(file: Readable, start: int) -> tuple[StreamInfo, int]:
    """The stream that begins at a byte, and where its first frame does.

    Raises
    ------
    DamagedError
    """
    head, size = read_at(file, start, 8 + STREAMINFO), size_of(file)
    if head[:4] != MARK or len(head) < 8 + STREAMINFO or head[4] & 0x7F:
        raise DamagedError("its header is damaged")
    info = StreamInfo(head[8:])
    if not info.rate_hz:
        raise DamagedError("its header announces 0 Hz")
    at, last = start + 8 + STREAMINFO, head[4] & 0x80
    while not last:
        block = read_at(file, at, 4)
        if len(block) < 4 or block[0] & 0x7F == 0x7F or block[:2] in (b"\xff\xf8", b"\xff\xf9"):
            break
        last = block[0] & 0x80
        if at + 4 + int.from_bytes(block[1:], "big") > size:
            break
        at += 4 + int.from_bytes(block[1:], "big")
    return info, at


def frame_at(data: bytes, at: int, info: StreamInfo) -> tuple[int, int] | None:
    """First sample and number of frames of the FLAC frame whose header begins there, if one does."""
    if data[at] != 0xFF or data[at + 1] & 0xFE != 0xF8:
        return None
    sizes, kind = data[at + 2], data[at + 3]
    code, rate = sizes >> 4, sizes & 15
    if not code or rate == 15 or kind & 1 or kind >> 4 > 10 or kind >> 1 & 7 == 3:
        return None
    end = at + 5
    lead = data[at + 4]
    if lead < 0x80:
        number = lead
    else:
        more = 7 - (lead ^ 0xFF).bit_length()
        if not 1 <= more <= 6:
            return None
        number = lead & (1 << 6 - more) - 1
        for byte in data[end : end + more]:
            if byte & 0xC0 != 0x80:
                return None
            number = number << 6 | byte & 0x3F
        end += more
    if code == 1:
        frames = 192
    elif code < 6:
        frames = 576 << code - 2
    elif code == 6:
        frames, end = data[end] + 1 if end < len(data) else 0, end + 1
    elif code == 7:
        frames, end = int.from_bytes(data[end : end + 2], "big") + 1, end + 2
    else:
        frames = 256 << code - 8
    end += 1 if rate == 12 else 2 if rate > 12 else 0
    crc = 0
    for byte in data[at:end]:
        crc = _CRC8[crc ^ byte]
    if end >= len(data) or data[end] != crc:
        return None
    channels = kind >> 4
    if (channels + 1 if channels < 8 else 2) != info.channels or (0 < rate < 12 and _RATES[rate] != info.rate_hz):
        return None
    return (number if data[at + 1] & 1 else number * info.block), frames


def frames_from(file: Readable, start: int, info: StreamInfo) -> Iterator[Frame]:
    """Every frame whose header is whole, and every stream, from a byte on."""
    at = start
    while data := read_at(file, at, SCAN + _LARGEST_HEADER):
        last = len(data) < SCAN + _LARGEST_HEADER
        for match in _CANDIDATE.finditer(data):
            begin = match.start()
            if begin >= SCAN and not last:
                break
            if data[begin : begin + 4] == MARK:
                yield Frame(at + begin, 0, 0, stream=True)
            elif begin + 6 < len(data) and (found := frame_at(data, begin, info)) is not None:
                yield Frame(at + begin, *found)
        at += SCAN
