"""AIFF, CAF and AU: libsndfile decodes them, and is shown a header with the size that the sound really has.

Sources: Audio Interchange File Format 1.3 (Apple, 1989); Apple Core Audio Format Specification 1.0; the header of Sun's
AU files.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgeapp.audio.formats.decoder import DamagedError
from edgeapp.audio.formats.sndfile import SndfileDecoder
from edgeapp.audio.formats.sniff import AIFF, CAF, is_recording
from edgeapp.audio.formats.view import Readable, View, read_at, size_of
from edgeapp.audio.formats.wave import is_unknown

MOST_CHUNKS = 100_000

_BESIDE = {  # chunks that come after the sound
    AIFF: frozenset(
        b"COMM|MARK|INST|MIDI|AESD|APPL|COMT|NAME|AUTH|(c) |ANNO|FVER|ID3 |PEAK|CHAN|basc|SSND".split(b"|")
    ),
    CAF: frozenset(b"desc|pakt|chan|kuki|strg|mark|regn|inst|midi|ovvw|peak|info|edct|umid|uuid|free|data".split(b"|")),
}


@dataclass(frozen=True)
class Sound:
    """Where the sound of a file lies.

    Attributes
    ----------
    field, width : int
        Byte at which its size stands, and how many bytes that has.
    start : int
        Byte from which on the size counts.
    size : int
        That is stated.
    before : int
        Bytes of the size before the first sample.
    """

    field: int
    width: int
    start: int
    size: int
    before: int = 0


class ResizedDecoder(SndfileDecoder):
    """See `edgeapp.audio.formats.decoder.Decoder`.

    Raises
    ------
    DamagedError
        There is no sound in it, or libsndfile does not know how it is written.
    """

    def __init__(self, file: Readable, kind: str) -> None:
        sound, size = _sound(file, kind), size_of(file)
        rest = size - sound.start
        if rest < 0:
            raise DamagedError("its header says that the sound begins behind the end of the file")
        announced = None if not sound.size or is_unknown(sound.size) else sound.size
        whole = sound.size
        if announced is None or sound.size > rest or not _ends(file, kind, sound, size):
            whole = rest
        written = struct.pack(">Q", whole)[-sound.width :] if whole < 1 << 8 * sound.width else b"\xff" * sound.width
        super().__init__(View(file, [(0, sound.field), written, (sound.field + sound.width, sound.start + whole)]))
        self.announced = None
        sounding = whole - sound.before
        if self.frames and announced is not None and sounding > 0:
            self.announced = round(self.frames * max(0, announced - sound.before) / sounding)
            self.cut = self.announced > self.frames


def end_of(kind: str, file: Readable, size: int) -> int:
    """Byte at which a file of that size ends by its own sizes, where another may have been joined to it."""
    try:
        sound = _sound(file, kind)
    except DamagedError:
        return size
    if not sound.size or is_unknown(sound.size) or not _ends(file, kind, sound, size):
        return size
    at = sound.start + sound.size
    while kind in _BESIDE and not is_recording(file, at):
        at += at % 2 if kind == AIFF else 0
        chunk = _chunk(file, kind, at)
        if chunk is None or chunk[0] not in _BESIDE[kind]:
            break
        at = chunk[1] + chunk[2]
    return min(at, size)


def _sound(file: Readable, kind: str) -> Sound:
    head = read_at(file, 0, 12)
    if kind not in _BESIDE:
        return Sound(8, 4, int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big"))
    at = 12 if kind == AIFF else 8
    for _ in range(MOST_CHUNKS):
        found = _chunk(file, kind, at)
        if found is None:
            break
        name, body, size = found
        if name == b"SSND":
            return Sound(at + 4, 4, body, size, before=8)
        if name == b"data" and kind == CAF:
            return Sound(at + 4, 8, body, 0 if size >= 1 << 63 else size, before=4)
        at = body + size + (size % 2 if kind == AIFF else 0)
    raise DamagedError("it has a header and no sound")


def _chunk(file: Readable, kind: str, at: int) -> tuple[bytes, int, int] | None:
    """Name, begin of the body and size of the chunk at a byte."""
    width = 4 if kind == AIFF else 8
    head = read_at(file, at, 4 + width)
    return (head[:4], at + 4 + width, int.from_bytes(head[4:], "big")) if len(head) == 4 + width else None


def _ends(file: Readable, kind: str, sound: Sound, size: int) -> bool:
    """Whether the sound ends where its size says: at the end of the file, or before another chunk."""
    at = sound.start + sound.size
    if size - at <= 1:
        return True
    chunk = _chunk(file, kind, at + (at % 2 if kind == AIFF else 0)) if kind in _BESIDE else None
    return (chunk is not None and chunk[0] in _BESIDE[kind]) or is_recording(file, at)
