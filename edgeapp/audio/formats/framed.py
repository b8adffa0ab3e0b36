"""Streams of frames that each say how long they are: ADTS AAC, AC-3, AMR and WavPack, with what is damaged left out.

A frame is one where others follow it. What lies between two runs of frames is damaged. WavPack's blocks have their
positions; the others say no time, so silence stands for as many frames as the bytes would hold.

Sources: ISO/IEC 13818-7, section 6.2 (ADTS); ETSI TS 102 366 (AC-3); RFC 4867, section 5 (AMR); WavPack 4 and 5 Binary
File / Block Format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgeapp.audio.formats import sniff
from edgeapp.audio.formats.decoder import DamagedError, Decoder, Hole, silence
from edgeapp.audio.formats.mpeg_frames import beside
from edgeapp.audio.formats.view import Piece, Readable, View, read_at, size_of

CHUNK = 1 << 20
MOST_RUNS = 100  # that are decoded one by one; more are damage without an end

_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AMR = (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1)  # bytes of a frame by its type
_AMR_WB = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)


def _adts(head: bytes) -> int:
    if head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] & 0x3C > 0x30:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0


def _ac3(head: bytes) -> int:
    if head[:2] != b"\x0b\x77" or head[5] >> 3 > 16:
        return 0
    if head[5] >> 3 > 10:  # enhanced
        return 2 * (int.from_bytes(head[2:4], "big") & 0x7FF) + 2
    rate, size = head[4] >> 6, head[4] & 0x3F
    if rate == 3 or size >= 2 * len(_KBITS):
        return 0
    kbits = _KBITS[size >> 1]
    return (4 * kbits, 2 * (kbits * 96_000 // 44_100 + (size & 1)), 6 * kbits)[rate]


def _wavpack(head: bytes) -> int:
    size = int.from_bytes(head[4:8], "little")
    known = head[:4] == b"wvpk" and head[9] == 4 and head[8] <= 0x10 and 24 <= size < 1 << 20
    return size + 8 if known else 0


@dataclass(frozen=True)
class Frames:
    """How the frames of a format are found.

    Attributes
    ----------
    length : callable
        Bytes of the frame that begins with these 10 bytes; 0 where none does.
    begins : re.Pattern
        What they begin with.
    confirmed : int
        Frames in a row that chance does not put there.
    kept : (int, int)
        Bytes of a head, from and to, that all frames of a stream have in common.
    magic : int
        Bytes before the first frame, which each stretch needs.
    timed : bool
        Whether they say when they are.
    """

    length: Callable[[bytes], int]
    begins: re.Pattern[bytes]
    confirmed: int
    kept: tuple[int, int] = (0, 0)
    magic: int = 0
    timed: bool = False


def _amr(lengths: Sequence[int], magic: int) -> Frames:
    def length(head: bytes) -> int:
        return lengths[head[0] >> 3] if head[0] & 0x87 == 4 else 0

    return Frames(length, re.compile(rb"[\x04-\x7c]"), 12, magic=magic)


def _frames(file: Readable, kind: str) -> Frames | None:
    if kind == sniff.ADTS:
        return Frames(_adts, re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), 3, (1, 3))
    if kind == sniff.AC3:
        return Frames(_ac3, re.compile(rb"\x0b\x77"), 3, (4, 6))
    if kind == sniff.WAVPACK:
        return Frames(_wavpack, re.compile(rb"wvpk"), 1, timed=True)
    if kind == sniff.AMR:
        wide = read_at(file, 0, 9) == b"#!AMR-WB\n"
        return _amr(_AMR_WB, 9) if wide else _amr(_AMR, 6) if read_at(file, 0, 6) == b"#!AMR\n" else None
    return None


@dataclass(frozen=True)
class _Run:
    """Frames without anything between them: bytes, and how many frames there are."""

    start: int
    end: int
    frames: int


def framed_decoder(file: Readable, kind: str, decoder: Callable[[Readable, str], Decoder]) -> Decoder | None:
    """Decoder of a stream of frames that is damaged; None where it is whole, or of another kind.

    Parameters
    ----------
    file : Readable
    kind : str
    decoder : callable
        Makes that of a stretch of the file, of which it is told what is wrong with it.

    Raises
    ------
    DamagedError, NotAudioError, MissingDecoderError
        From ``decoder``.
    """
    frames = _frames(file, kind)
    if frames is None:
        return None
    runs = list(_runs(file, frames, sniff.skip_id3(file) + frames.magic))
    if len(runs) < 2:
        return None
    magic: list[Piece] = [(0, frames.magic)]
    rest: list[Piece] = [(run.start, run.end) for run in runs]
    if frames.timed or len(runs) > MOST_RUNS:
        damaged = sum(two.start - one.end for one, two in zip(runs, runs[1:]))
        return decoder(View(file, magic + rest), f"{damaged:,} bytes of it")
    views = [View(file, [*magic, piece]) for piece in rest]
    return _RunsDecoder(runs, lambda number: decoder(views[number], ""))


def _runs(file: Readable, frames: Frames, start: int) -> Iterator[_Run]:
    at: int | None = start
    window = _Window(file, frames)
    first = window.kept(start)
    if not window.length(start, first):
        return  # what decodes it may know more
    while at is not None:
        begin, count = at, 0
        while (length := window.length(at, first)) and at + length <= window.size:
            at += length
            count += 1
        if count:
            yield _Run(begin, at, count)
        if beside(file, at, window.size):
            return
        at = window.following(at + (0 if count else 1), first)


class _Window:
    """Heads of frames, of what is read of a file in large pieces."""

    def __init__(self, file: Readable, frames: Frames) -> None:
        self._file, self._frames = file, frames
        self.size = size_of(file)
        self._data, self._begin = b"", 0

    def head(self, at: int) -> bytes:
        """The first bytes of a frame, fewer at the end of the file."""
        if not self._begin <= at <= self._begin + len(self._data) - 10:
            self._data, self._begin = read_at(self._file, at, CHUNK), at
        return self._data[at - self._begin : at - self._begin + 10]

    def kept(self, at: int) -> bytes:
        """What all frames have in common."""
        return self.head(at)[slice(*self._frames.kept)]

    def length(self, at: int, kept: bytes) -> int:
        """Bytes of the frame of the stream that begins there; 0 where none does."""
        head = self.head(at)
        return self._frames.length(head) if len(head) == 10 and self.kept(at) == kept else 0

    def following(self, start: int, kept: bytes) -> int | None:
        """Where the next frame begins that others follow."""
        at = start
        while len(data := read_at(self._file, at, CHUNK + 4)) > 4:
            for match in self._frames.begins.finditer(data):
                if match.start() < CHUNK and self._confirmed(at + match.start(), kept):
                    return at + match.start()
            at += CHUNK
        return None

    def _confirmed(self, at: int, kept: bytes) -> bool:
        for number in range(self._frames.confirmed):
            length = self.length(at, kept)
            if not length or at + length > self.size:
                return number > 0 and at == self.size
            at += length
        return True


class _RunsDecoder:
    """Runs one after the other, with silence between them; see `edgeapp.audio.formats.decoder.Decoder`."""

    def __init__(self, runs: Sequence[_Run], opened: Callable[[int], Decoder]) -> None:
        self._runs, self._opened = runs, opened
        self._part = opened(0)
        self.rate_hz, self.channels = self._part.rate_hz, self._part.channels
        self.frames: int | None = None
        self.announced: int | None = None
        self.notes: list[str] = []
        self.holes: list[Hole] = []
        self.cut, self.reason = False, ""

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a position on; what comes before is decoded and left out."""
        position = heard = counted = size = 0
        blank = np.zeros((1, self.channels), np.float32)
        for number, run in enumerate(self._runs):
            if number:
                each = heard / counted if counted else 0.0  # samples of a frame
                between = run.start - self._runs[number - 1].end
                missing = round(round(between * counted / max(1, size)) * each)
                self.holes.append(Hole(position, position + missing))
                yield from silence(position + missing - max(first, position), blank)
                position += missing
                try:
                    self._part = self._opened(number)
                except DamagedError:
                    continue
            before = position
            try:
                for frames in self._part.blocks():
                    yield frames[max(0, first - position) :]
                    position += len(frames)
            except DamagedError as error:
                if not number and len(self._runs) == 1:
                    raise
                self.reason = self.reason or str(error)
            self.holes += [Hole(before + one.start, before + one.end) for one in self._part.holes]
            self.notes += [note for note in self._part.notes if note not in self.notes]
            self._part.close()
            heard, counted, size = heard + position - before, counted + run.frames, size + run.end - run.start
        if not heard:
            raise DamagedError("no frame of it is whole")

    def close(self) -> None:
        """Close what was opened."""
        self._part.close()
