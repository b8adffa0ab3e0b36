"""The chunks of AVI, and files of it in which damage is chunks without content.

ffmpeg goes on with the next chunk and says nothing. AVI has no times but the number of chunks, so as many as were there
take their place where all are of sound. Source: Microsoft's "AVI RIFF File Reference".
"""

from __future__ import annotations

import re
import struct

from edgeapp.audio.formats.view import Piece, Readable, View, places, read_at, size_of

INDEX = b"idx1"
HEAD, OF_LIST = 8, 12  # bytes before what is in a chunk, and before the chunks of a list
_NAME = re.compile(rb"\d\d(?:wb|dc|db|pc|tx)|ix\d\d|JUNK|LIST|idx1|RIFF")
_STREAM = re.compile(rb"\d\d(?:wb|dc|db)")
_SOUND = re.compile(rb"\d\dwb")
MOST_INSTEAD = 1 << 26  # bytes
MOST_CHUNKS = 10_000_000


def repaired(file: Readable) -> tuple[View, str] | None:
    """A file without what is no chunk among those of the streams, and how many bytes that is; None where all are."""
    size = size_of(file)
    streams = _streams(file, size)
    if streams is None:
        return None
    at, announced = streams
    holes: list[tuple[int, int, bytes]] = []  # begin, end, and the head of the chunk before
    last, moved = b"", 0
    for _ in range(MOST_CHUNKS):
        head = read_at(file, at, HEAD)
        if len(head) < HEAD or head[:4] == INDEX:
            moved = announced - at if len(head) == HEAD else 0
            break
        after = _after(file, at, size)
        if after is not None:
            at, last = after, head
            continue
        following = _following(file, at + 1, size)
        if following is None:
            break  # junk at the end, or a file that is cut
        holes.append((at, following, last))
        at = following
    if not holes:
        return None
    pieces: list[Piece] = []
    kept = 0
    for begin, end, before in holes:
        missing = end - begin + (moved if abs(moved) <= MOST_INSTEAD else 0)
        if HEAD <= missing <= MOST_INSTEAD:
            pieces += [(kept, begin), _instead(before, missing)]
            kept = end
        moved = 0
    return View(file, [*pieces, (kept, size)]), f"{sum(end - begin for begin, end, _ in holes):,} bytes of it"


def _instead(last: bytes, size: int) -> bytes:
    """Chunks of that size together, as many as there may have been of the sound of the last one; its content is 0."""
    length = int.from_bytes(last[4:], "little")
    each = HEAD + length + length % 2
    if not _SOUND.fullmatch(last[:4]) or not length:
        return b"JUNK" + struct.pack("<I", size - HEAD) + bytes(size - HEAD)
    sizes = [each] * max(0, round(size / each) - 1)
    if sizes and size - sum(sizes) < HEAD:
        sizes.pop()
    sizes.append(size - sum(sizes))
    return b"".join(last[:4] + struct.pack("<I", one - HEAD) + bytes(one - HEAD) for one in sizes)


def _streams(file: Readable, size: int) -> tuple[int, int] | None:
    """Where the chunks of the streams begin, and where they end by the size of their list."""
    at = OF_LIST
    while at + OF_LIST <= size:
        head = read_at(file, at, OF_LIST)
        if head[:4] == b"LIST" and head[8:] == b"movi":
            return at + OF_LIST, at + HEAD + int.from_bytes(head[4:8], "little")
        length = int.from_bytes(head[4:8], "little")
        at += HEAD + length + length % 2
    return None


def _after(file: Readable, at: int, size: int) -> int | None:
    """Where the chunk that begins at a byte ends, or its first one if it is a list; None where none begins."""
    head = read_at(file, at, HEAD)
    if len(head) < HEAD or not _NAME.fullmatch(head[:4]):
        return None
    if head[:4] in (b"LIST", b"RIFF"):
        return at + OF_LIST
    length = int.from_bytes(head[4:], "little")
    return at + HEAD + length + length % 2 if at + HEAD + length <= size else None


def _following(file: Readable, start: int, size: int) -> int | None:
    """Where the next chunk of a stream begins that another chunk, or the end of the file, follows."""
    for at in places(file, _STREAM, start, 4):
        after = _after(file, at, size)
        if after is not None and (after >= size or _after(file, after, size) is not None):
            return at
    return None
