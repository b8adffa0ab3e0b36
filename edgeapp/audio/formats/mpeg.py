"""MP3 and its older layers: every frame that is there is heard, whatever a tag counts, and whatever lies between.

libmpg123, behind libsndfile, believes Xing's tag, and guesses the length of what has none by its first frame. It is
shown a tag that counts right, or a file that is said to be longer than it can be. Damage parts a stream in runs, which
are decoded one by one; what is missing between them is the tag's count less what was found, or what as many bytes hold.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np

from edgeapp.audio.formats.chain import Chain
from edgeapp.audio.formats.decoder import DamagedError, Hole, silence
from edgeapp.audio.formats.mpeg_frames import Run, beside, is_cut_frame, runs
from edgeapp.audio.formats.sndfile import Reader, decoded
from edgeapp.audio.formats.tags import left_out, tags_between
from edgeapp.audio.formats.view import Readable, View, size_of

TRAILING = 100  # frames that are counted beyond those of a run, so that no padding is cut off its end
DELAY = 529  # samples of libmpg123, which it leaves out where there is a tag
SHORTEST, LONGEST = 24, 3000  # bytes of a frame of any layer
NEAR = 1 << 16
JUNK = 4096  # bytes before the first frame that are not worth a word: a stream begins in the middle of one


def mpeg_decoder(file: Readable, start: int, near: bool = False) -> Chain | None:
    """Decoder of MPEG audio from a byte on; None where no frames are found.

    Parameters
    ----------
    file : Readable
    start : int
    near : bool
        Whether the first frame must stand near the start: nothing else says that this is MPEG audio.

    Raises
    ------
    DamagedError
    """
    found = list(runs(file, start, NEAR if near else None))
    if not found:
        return None
    chain = Chain.of([MpegDecoder(file, part) for part in _streams(file, found)])
    if found[0].start - start > JUNK and not beside(file, start, found[0].start):
        chain.notes.append(f"the first {(found[0].start - start) / 1000:.0f} kB are not sound")
    chain.end, end = found[-1].end, size_of(file)
    if not beside(file, found[-1].end, end):
        if chain.announced is None and found[-1].announced is None:
            chain.cut = True
        else:
            chain.notes.append(left_out(end - found[-1].end))
    elif found[-1].announced is None and is_cut_frame(file, found[-1].end, end):
        chain.notes.append("ends within a frame, so its end may be missing")
    return chain


def _streams(file: Readable, found: Sequence[Run]) -> Iterator[list[Run]]:
    """Runs by the stream they belong to: a tag begins one, whatever it is about, and so does another rate."""
    part = [found[0]]
    for run in found[1:]:
        joined = tags_between(file, part[-1].end, run.start)
        if run.announced is not None or run.kind != part[-1].kind or joined:
            yield part
            part = []
        part.append(run)
    yield part


class MpegDecoder:
    """One stream of MPEG audio; see `edgeapp.audio.formats.decoder.Decoder`."""

    def __init__(self, file: Readable, parts: Sequence[Run]) -> None:
        self._file, self._parts = file, parts
        kind = parts[0].kind
        self.rate_hz, self.channels = kind.rate_hz, kind.channels
        self.notes: list[str] = []
        self.holes: list[Hole] = []
        self.reason = ""
        found, counted = sum(run.frames for run in parts), parts[0].announced
        self._missing = [self._frames_between(one, two) for one, two in zip(parts, parts[1:])]
        room = sum(two.start - one.end for one, two in zip(parts, parts[1:])) // SHORTEST
        if counted and found <= counted <= 2 * found + room:  # one that is far from what was found is damaged itself
            self._missing = _shared(counted - found, self._missing)
        here = found + sum(self._missing)
        self.announced: int | None = None
        if counted is not None and counted != here:
            self.announced = max(0, counted * kind.samples - sum(parts[0].padded))
        self.cut = counted is not None and counted > here + 1  # the last one may be cut itself
        self._opened: Reader | None = self._reader(parts[0])
        self.frames: int | None = here * kind.samples
        if parts[0].tag:
            self.frames -= parts[0].padded[0] + DELAY
        if len(parts) == 1 and counted is not None and not self.cut and parts[0].counts:
            self.frames = self._opened.frames  # less what was put after the sound

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a position on."""
        blank = np.zeros((1, self.channels), np.float32)
        position = 0
        for number, run in enumerate(self._parts):
            reader, self._opened = self._opened or self._reader(run), None
            if number:
                missing = self._missing[number - 1] * run.kind.samples
                self.holes.append(Hole(position, position + missing))
                yield from silence(position + missing - max(first, position), blank)
                position += missing
            if len(self._parts) == 1:
                position = first
            for frames in decoded(reader, first if len(self._parts) == 1 else 0):
                yield frames[max(0, first - position) :]
                position += len(frames)
            reader.close()
            if reader.error:
                if not position:
                    raise DamagedError(reader.error)
                self.holes.append(Hole(position, position))

    def close(self) -> None:
        """Close what was opened."""
        if self._opened is not None:
            self._opened.close()

    def _frames_between(self, one: Run, two: Run) -> int:
        """Frames that the bytes between two runs would hold."""
        return round((two.start - one.end) * max(1, one.frames) / max(1, one.end - one.start))

    def _reader(self, run: Run) -> Reader:
        frames = run.frames if len(self._parts) == 1 and not self.cut else run.frames + TRAILING
        said = 0
        tag = run.tag
        if run.announced is None or (tag and not run.counts):
            # libsndfile guesses how long it is by the first frame, and stops there.
            said = (run.frames + TRAILING) * LONGEST
        elif run.announced != frames:
            tag = tag[: run.count_at] + struct.pack(">I", frames) + tag[run.count_at + 4 :]
        return Reader(View(self._file, [tag, (run.start + len(tag), run.end)], said), buffers=True)


def _shared(total: int, weights: Sequence[int]) -> list[int]:
    """A number of frames parted in proportion."""
    if not sum(weights):
        return [total, *(0 for _ in weights[1:])] if weights else []
    ends = [round(total * sum(weights[: number + 1]) / sum(weights)) for number in range(len(weights))]
    return [end - before for end, before in zip(ends, [0, *ends])]
