"""Tags that describe a recording, before and after its sound: which bytes of an MP3 they are.

Sources: ID3v1 and ID3v2.4 (id3.org), APEv2 (Hydrogenaudio), Lyrics3 v2 (id3.org). Tags at the end are found from the
end on, where their footers stand: one of APE need not have a header, and one of Lyrics3 is as long as its end says.
"""

from __future__ import annotations

import struct

from edgeapp.audio.formats.view import Readable, read_at

CHUNK = 1 << 20
ID3V1, ENHANCED = 128, 227  # bytes
APE, LYRICS = b"APETAGEX", b"LYRICSBEGIN"
_APE_HEADED, _APE_IS_HEADER = 1 << 31, 1 << 29  # flags of an APE tag: it has a header; this is it
LONGEST_LYRICS = 5100 + len(LYRICS)  # of Lyrics3 v1, which does not say how long it is


def without_tags(file: Readable, start: int, end: int) -> tuple[int, int]:
    """What is left between two bytes without the tags and zeros at either end; nothing where they meet."""
    while start < end and (length := _length_at(file, start, end)):
        start += length
    while start < end and (length := _length_before(file, start, end)):
        end -= length
    return min(start, end), end


def left_out(size: int) -> str:
    """Note on bytes after the sound of a file."""
    return f"the last {size / 1000:.0f} kB are something else and were left out"


def tags_between(file: Readable, start: int, end: int) -> bool:
    """Whether tags, at least one, and zeros are all there is between two bytes."""
    left, right = without_tags(file, start, end)
    return left == right and bool(read_at(file, start, min(end - start, CHUNK)).strip(b"\0"))


def id3_length(head: bytes) -> int:
    """Bytes of an ID3v2 tag that begins with these ten; 0 where they are none.

    Its size is four bytes of seven bits each (ID3v2.4, section 3.1).
    """
    if head[:3] != b"ID3" or len(head) < 10 or any(byte & 0x80 for byte in head[6:10]):
        return 0
    return 10 + _seven_bits(head[6:10]) + (10 if head[5] & 0x10 else 0)  # a footer


def _seven_bits(size: bytes) -> int:
    return sum(byte << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))


def _length_at(file: Readable, start: int, end: int) -> int:
    """Bytes of a tag, or of zeros, that begin here; 0 where none does."""
    head = read_at(file, start, 32)
    if length := id3_length(head[:10]):
        return length
    if head[:8] == APE and len(head) == 32:
        size, flags = struct.unpack_from("<I4xI", head, 12)
        return 32 + (int(size) if flags & _APE_IS_HEADER else 0)
    if head.startswith(LYRICS):
        body = read_at(file, start, min(end - start, CHUNK))
        found = max(body.find(b"LYRICS200"), body.find(b"LYRICSEND"))
        return found + 9 if found > 0 else len(body)
    if head[:3] == b"TAG":
        return ENHANCED if head[3:4] == b"+" else ID3V1
    if head and not head[0]:
        data = read_at(file, start, min(end - start, CHUNK))
        return len(data) - len(data.lstrip(b"\0"))
    return 0


def _length_before(file: Readable, start: int, end: int) -> int:
    """Bytes of a tag, or of zeros, that end here; 0 where none does."""

    def ends(size: int) -> bytes:
        return read_at(file, end - size, size) if end - size >= start else b""

    if ends(ID3V1).startswith(b"TAG"):
        return ID3V1
    if ends(ENHANCED).startswith(b"TAG+"):
        return ENHANCED
    if ends(10).startswith(b"3DI"):
        return 20 + _seven_bits(bytes(byte & 0x7F for byte in ends(10)[6:10]))
    if (foot := ends(32)).startswith(APE):
        size, flags = struct.unpack_from("<I4xI", foot, 12)
        return int(size) + (32 if flags & _APE_HEADED else 0)
    last = ends(15)
    if last.endswith(b"LYRICS200") and last[:6].isdigit():
        return int(last[:6]) + 15
    if last.endswith(b"LYRICSEND"):
        body = read_at(file, max(start, end - LONGEST_LYRICS), min(LONGEST_LYRICS, end - start))
        found = body.rfind(LYRICS)
        return len(body) - found if found >= 0 else 0
    data = read_at(file, max(start, end - CHUNK), min(CHUNK, end - start))
    at = data.rfind(b"ID3")
    while at >= 0:  # that of the file that follows, which has no footer
        if at + id3_length(data[at : at + 10]) == len(data):
            return len(data) - at
        at = data.rfind(b"ID3", 0, at)
    left = len(data.rstrip(b"\0"))
    at = data.rfind(b"TAG", 0, left)  # which ends with zeros of its own
    return len(data) - (at if at >= 0 and left <= at + ID3V1 <= len(data) else left)
