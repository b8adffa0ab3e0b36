"""Elements of EBML, of which Matroska and WebM consist. Sources: RFC 8794; RFC 9559 (identifiers)."""

from __future__ import annotations

HEADER, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
INFO, TRACKS, TRACK, AUDIO = 0x1549A966, 0x1654AE6B, 0xAE, 0xE1
CLUSTER_TIME, SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
RATE, CHANNELS = 0xB5, 0x9F
UNKNOWN = -1  # size of what goes on until something else begins
LONGEST = 12  # bytes of an identifier and a size


def element(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Identifier, byte at which its body begins, and size of the element at a byte of ``data``.

    None where none begins, or not all of its head is there.
    """
    if at >= len(data):
        return None
    width = 9 - data[at].bit_length()
    sized = at + width
    if width > 4 or sized >= len(data):
        return None
    more = 9 - data[sized].bit_length()
    if more > 8 or sized + more > len(data):
        return None
    most = (1 << 7 * more) - 1
    size = int.from_bytes(data[sized : sized + more], "big") & most
    return int.from_bytes(data[at:sized], "big"), sized + more, UNKNOWN if size == most else size


def number(data: bytes) -> tuple[int, int]:
    """Value and bytes of a number of variable width that ``data`` begins with; 0 bytes where there is none."""
    width = 9 - data[0].bit_length() if data else 9
    if width > min(8, len(data)):
        return 0, 0
    return int.from_bytes(data[:width], "big") & (1 << 7 * width) - 1, width
