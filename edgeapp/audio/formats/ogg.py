"""Ogg: Vorbis, Opus and FLAC, all streams of a chained file, and what lies before and after damage.

libsndfile decodes the first stream and passes over missing pages, which would move what follows. It is given one run of
pages at a time, with the headers of its stream, and the position that the last page states says where the run belongs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeapp.audio.formats.chain import Chain
from edgeapp.audio.formats.decoder import DamagedError, Decoder, Hole, silence
from edgeapp.audio.formats.flac import FlacDecoder
from edgeapp.audio.formats.mpeg_frames import beside
from edgeapp.audio.formats.ogg_pages import FLAC, LAST, OPUS, Link, Run, patched, survey
from edgeapp.audio.formats.sndfile import Reader, decoded
from edgeapp.audio.formats.view import Piece, Readable, View, read_at, size_of

LONGEST = 8192  # samples of a packet: a block of Vorbis; one of Opus has 5,760
MAPPING = 9  # bytes before the FLAC stream in its first page
OPUS_HZ = 48_000  # of the positions


def ogg_decoder(file: Readable, start: int) -> Chain | None:
    """Decoder of an Ogg file; None where libsndfile knows no codec of it.

    Raises
    ------
    DamagedError
    """
    found = survey(file, start)
    links = [link for link in found.links if link.runs or link.codec == FLAC]
    if not links:
        if found.links:
            raise DamagedError("it has a header and no sound")
        if not found.others:
            raise DamagedError("no page of it is whole")
        return None
    chain = Chain.of([_decoder(file, link) for link in links])
    chain.end = found.end
    if not beside(file, found.end, size_of(file)):
        chain.cut = True
    elif links[-1].endless:
        chain.notes.append("has no end page, so its end may be missing")
    for number, link in enumerate(links[:-1], 1):
        if link.endless:
            chain.notes.append(f"stream {number} of {len(links)} has no end page, so its end may be missing")
    return chain


def ends_cut(file: Readable, start: int) -> bool:
    """Whether an Ogg file ends within a page."""
    return not beside(file, survey(file, start).end, size_of(file))


def _decoder(file: Readable, link: Link) -> Decoder:
    if link.codec != FLAC:
        return OggDecoder(file, link)
    (start, end), *rest = link.bodies
    breaks = [at - MAPPING for at in link.breaks if at > MAPPING]
    return FlacDecoder(View(file, [(start + MAPPING, end), *rest]), breaks=breaks)


class OggDecoder:
    """One stream of Vorbis or Opus; see `edgeapp.audio.formats.decoder.Decoder`."""

    def __init__(self, file: Readable, link: Link) -> None:
        self._file, self._link = file, link
        self.notes: list[str] = []
        self.holes: list[Hole] = []
        self.reason = ""
        self.cut = False
        self.announced: int | None = None
        self._opened: Reader | None = self._reader(link.runs[0])
        self.rate_hz, self.channels = self._opened.rate_hz, self._opened.channels
        self.frames = self._opened.frames if len(link.runs) == 1 and self._states(link.runs[0]) else None
        if not self._states(link.runs[-1]):
            self.notes.append("its end page states an impossible length")

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Frames from a position on."""
        reader, self._opened = self._opened or self._reader(self._link.runs[0]), None
        if len(self._link.runs) == 1:
            yield from decoded(reader, first)
            if reader.error:
                self.cut = True
            self._disturbed(self._link.runs[0], 0)
            reader.close()
            return
        position = base = 0
        blank = np.zeros((1, self.channels), np.float32)
        for number, run in enumerate(self._link.runs):
            try:
                reader = reader if not number else self._reader(run)
            except DamagedError:
                continue  # pages in which no packet is whole
            start = position
            if number:
                counted = self._reader(run)
                end = self._position(run) - base
                start = max(position, end - sum(len(frames) for frames in decoded(counted, 0)))
                counted.close()
                self.holes.append(Hole(position, start))
                yield from silence(start - max(first, position), blank)
            position = start
            for frames in decoded(reader, 0):
                yield frames[max(0, first - position) :]
                position += len(frames)
            reader.close()
            if not number:
                base = self._position(run) - position  # a stream that was joined late does not begin at 0
            self._disturbed(run, base)

    def close(self) -> None:
        """Close what was opened."""
        if self._opened is not None:
            self._opened.close()

    def _disturbed(self, run: Run, base: int) -> None:
        for granule in run.disturbed:
            at = max(0, self._scaled(granule) - base)
            self.holes.append(Hole(at, at))

    def _skipped(self) -> int:
        """Samples of an Opus stream before its sound, which libsndfile takes from the end of a later run as well."""
        head = read_at(self._file, self._link.bodies[0][0], 12)
        return int.from_bytes(head[10:12], "little") if self._link.codec == OPUS else 0

    def _position(self, run: Run) -> int:
        """Position at the end of a run, in frames of the stream."""
        return self._scaled(run.last.granule if self._states(run) else run.reached)

    def _scaled(self, granule: int) -> int:
        return round(granule * self.rate_hz / OPUS_HZ) if self._link.codec == OPUS else granule

    def _states(self, run: Run) -> bool:
        """Whether the position that the last page states is possible."""
        most = run.reached + max(1, run.last.packets) * LONGEST
        return run.reached <= run.last.granule and (run.last.granule <= most or not run.spans)

    def _reader(self, run: Run) -> Reader:
        last: Piece = (run.last.start, run.last.end)
        if not self._states(run):
            last = patched(self._file, run.last, run.reached + max(1, run.last.packets) * LONGEST)
        elif not run.last.flags & LAST or (run is not self._link.runs[0] and self._skipped()):
            # libsndfile calls an Opus stream damaged without an end page.
            more = self._skipped() if run is not self._link.runs[0] else 0
            last = patched(self._file, run.last, run.last.granule + more)
        return Reader(View(self._file, [*self._link.headers, *run.spans, last]))
