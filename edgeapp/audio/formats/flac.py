"""FLAC: damage costs no more than the frames it hit, and times after it stay right.

libFLAC decodes; where it stumbles, frames are looked for by their headers and decoded one by one, and their numbers say
where on the clock they belong. Streams that were joined are heard one after the other.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from edgeapp.audio.formats.chain import Chain
from edgeapp.audio.formats.decoder import BLOCK_FRAMES, DamagedError, Hole, silence
from edgeapp.audio.formats.flac_frames import MARK, Frame, first_frame, frames_from
from edgeapp.audio.formats.mpeg_frames import beside
from edgeapp.audio.formats.sndfile import Reader
from edgeapp.audio.formats.tags import left_out
from edgeapp.audio.formats.view import Readable, View, find, size_of

TAIL = 1 << 17  # bytes that hold the last frames of nearly any file: of 16 bits and two channels one takes 16 kB


def flac_decoder(file: Readable, start: int = 0) -> Chain:
    """Decoder of a file of one or several FLAC streams, from a byte on.

    Raises
    ------
    DamagedError
    """
    view = View(file, [(start, size_of(file))])
    return Chain(FlacDecoder(view), lambda before: _after(view, before), lambda: _streams(view))


def _after(view: View, before: FlacDecoder) -> FlacDecoder | None:
    return None if before.following is None else FlacDecoder(view, before.following)


def _streams(view: View) -> list[FlacDecoder]:
    """All streams of a file, each with its true length."""
    begins = [0]
    while (found := find(view, MARK, begins[-1] + 4)) is not None:
        if _begins(view, found):
            begins.append(found)
    return [FlacDecoder(view, begin, end) for begin, end in zip(begins, [*begins[1:], len(view)], strict=True)]


def _begins(view: View, offset: int) -> bool:
    """Whether a stream begins at a byte."""
    try:
        info, begin = first_frame(view, offset)
    except DamagedError:
        return False
    first = next(frames_from(view, begin, info), None)
    return first is not None and first.offset == begin


class FlacDecoder:
    """One FLAC stream; see `edgeapp.audio.formats.decoder.Decoder`.

    Parameters
    ----------
    view : View
    start, end : int
        Bytes between which it stands; to the end of the view if not given.
    breaks : sequence of int
        Bytes at which something is known to be missing or to have been left out.

    Attributes
    ----------
    following : int or None
        Byte of the view at which another stream begins, once this one has ended.
    """

    def __init__(self, view: View, start: int = 0, end: int | None = None, breaks: Sequence[int] = ()) -> None:
        self._breaks = breaks
        self._end = len(view) if end is None else end
        self._view = view if end is None else View(view, [(0, end)])
        self._info, self._begin = first_frame(self._view, start)
        first = next((one for one in frames_from(self._view, self._begin, self._info)), None)
        if first is None or first.stream:
            raise DamagedError("it has a header and no sound")
        self._base = first.start  # a segment of a longer stream goes on counting
        self.rate_hz, self.channels = self._info.rate_hz, self._info.channels
        self.announced = self._info.total or None
        self.frames, self.cut = self._length()
        self.notes: list[str] = []
        self.holes: list[Hole] = []
        self.reason = ""
        self.following: int | None = None

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a position on."""
        offset: int | None
        offset, position = self._before(first) if first else (self._begin, 0)
        headers: Iterator[Frame] | None = None
        last: Frame | None = None
        heard = stumbled = False
        while offset is not None:
            reader = self._reader(offset, self._break_after(offset))
            while len(frames := reader.read()) and not reader.error:
                yield frames[max(0, first - position) :]
                position += len(frames)
                heard = True
            broken = offset < (self._break_after(offset) or 0)
            stumbled = bool(reader.error) or broken
            reader.close()
            if self._view.error is not None:
                raise self._view.error
            if not stumbled:
                break
            headers = headers or frames_from(self._view, offset, self._info)
            careful, offset = position + BLOCK_FRAMES, None
            for header in headers:
                if header.stream:
                    if _begins(self._view, header.offset):
                        self.following = header.offset
                        break
                    continue
                start = header.start - self._base
                if start + header.frames <= position:
                    last = header
                    continue
                if start == position >= careful:
                    offset, headers = header.offset, itertools.chain((header,), headers)  # all is well again
                    last = None
                    break
                alone = self._alone(header)
                if alone is None:
                    continue
                if start > position or broken:
                    broken = False
                    self.holes.append(Hole(position, start))
                    yield from silence(start - max(first, position), alone)
                    position = start
                yield alone[max(0, first - start, position - start) :]
                position, last = start + len(alone), header
                heard = True
        if not heard:
            raise DamagedError("no frame of it is whole")
        if self.following is None:
            self.cut = self._misses(position, stumbled, sought=first > 0)
            if last is not None and not self.cut:
                self._tell_rest(last)

    def close(self) -> None:
        """Nothing of its own to close."""

    def _misses(self, position: int, stumbled: bool, sought: bool) -> bool:
        """Whether sound is missing at the end."""
        if self.announced is None or position >= self.announced:
            return stumbled and self.announced is None
        # A recorder that announces what it never wrote is told from a cut file by the sum over the samples.
        return stumbled or sought or (any(self._info.md5) and self._sum() != self._info.md5)

    def _tell_rest(self, last: Frame) -> None:
        """Note what follows the last frame."""
        end = last.offset + self._largest(last)
        if end < self._end and not beside(self._view, end, self._end):
            self.notes.append(left_out(self._end - end))

    def _largest(self, frame: Frame) -> int:
        """Bytes that a frame has at most: samples as they are, and a header for each channel."""
        return 64 + self.channels * (8 + (frame.frames * (self._info.bits + 1) + 7) // 8)

    def _break_after(self, offset: int) -> int | None:
        return next((at for at in self._breaks if at > offset), None)

    def _reader(self, offset: int, end: int | None = None) -> Reader:
        return Reader(View(self._view, [self._info.endless(), (offset, end or self._end)]))

    def _alone(self, header: Frame) -> np.ndarray | None:
        """The samples of a single frame; None where it is damaged."""
        try:
            reader = self._reader(header.offset)
        except DamagedError:
            return None
        frames = reader.read(header.frames)
        whole = len(frames) == header.frames and not reader.error
        reader.close()
        return frames if whole else None

    def _before(self, first: int) -> tuple[int, int]:
        """Byte and position of a frame at or before a position."""
        low, high = self._begin, self._end
        found = (self._begin, 0)
        while high - low > TAIL:
            middle = (low + high) // 2
            header = self._sure(middle, high)
            if header is None or header.start - self._base > first:
                high = middle
            else:
                low, found = middle, (header.offset, header.start - self._base)
        return found

    def _sure(self, start: int, end: int) -> Frame | None:
        """The first frame from a byte on that another one follows."""
        before: Frame | None = None
        for header in frames_from(self._view, start, self._info):
            if header.offset >= end:
                return None
            if before is not None and header.start == before.start + before.frames:
                return before
            before = header
        return None

    def _length(self) -> tuple[int | None, bool]:
        """Frames of the stream, by the number of its last one, and whether that one is known to be cut."""
        last: Frame | None = None
        before = -1
        for header in frames_from(self._view, max(self._begin, self._end - TAIL), self._info):
            if header.stream:
                break
            if last is None or header.start == before:
                last = header
            before = header.start + header.frames
        if last is None:
            return self.announced, False
        end = last.start + last.frames - self._base
        if self.announced is None or end == self.announced or self._alone(last) is not None:
            return end, False
        return last.start - self._base, last.start - self._base < self.announced

    def _sum(self) -> bytes:
        """MD5 over the samples, as an encoder writes it into the header."""
        reader, digest = self._reader(self._begin), hashlib.md5(usedforsecurity=False)
        width = -(-self._info.bits // 8)
        while len(samples := reader.read(dtype="int32")):
            raw = (samples >> 32 - self._info.bits).astype("<i4").view(np.uint8).reshape(-1, 4)
            digest.update(np.ascontiguousarray(raw[:, :width]).tobytes())
        reader.close()
        return digest.digest()
