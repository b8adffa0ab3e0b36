"""Matroska and WebM without what is damaged.

A file is read as one row of elements: those that hold others are entered, and their sizes are not believed. Where no
element begins, the next cluster or block is looked for that others follow; what lies between is left out. Blocks have
times within their cluster, so what follows stays where it belongs. Where the head of a cluster is lost, the next one
says when its blocks were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgeapp.audio.formats import ebml
from edgeapp.audio.formats.view import Piece, Readable, View, read_at, size_of

CHUNK = 1 << 20
CONFIRMED = 3  # elements in a row that chance does not put there
GROUP_HEAD = 32  # bytes in which the block of a group begins

_SEEK_HEAD, _CUES, _TAGS, _CHAPTERS, _ATTACHMENTS = 0x114D9B74, 0x1C53BB6B, 0x1254C367, 0x1043A770, 0x1941A469
_OF_SEGMENT = frozenset((ebml.INFO, ebml.TRACKS, ebml.CLUSTER, _SEEK_HEAD, _CUES, _TAGS, _CHAPTERS, _ATTACHMENTS))
_BLOCKS = frozenset((ebml.SIMPLE_BLOCK, ebml.BLOCK_GROUP))
_OF_CLUSTER = frozenset((ebml.CLUSTER_TIME, *_BLOCKS, 0xA7, 0xAB, 0xAF, 0x5854))  # position, size before, and others
_ANYWHERE = frozenset((0xEC, 0xBF))  # void, sum
_KNOWN = _OF_SEGMENT | _OF_CLUSTER | _ANYWHERE | {ebml.HEADER, ebml.SEGMENT}
_LED_TO = frozenset((_SEEK_HEAD, _CUES))  # say at which bytes something lies
_ENDLESS = b"\x01" + b"\xff" * 7
_CANDIDATE = re.compile(rb"\x1f\x43\xb6\x75|\xa3[\x01-\xff]|\xa0[\x01-\xff]")


@dataclass
class _Stretch:
    """Blocks behind a hole, of a cluster that is not known.

    Attributes
    ----------
    piece : int
        Number of the piece that is to be the head of the cluster.
    ends : dict of int to (int, int)
        Track to the time of its last block and that of the one before.
    """

    piece: int
    ends: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, track: int, time: int) -> None:
        self.ends[track] = time, self.ends.get(track, (time, time))[0]

    def length(self) -> int:
        """From the begin of the cluster to the end of its last block, as far as that is known."""
        steps = [(last - before or 1 << 15, 2 * last - before) for last, before in self.ends.values()]
        return min(steps, default=(0, 0))[1]


def repaired(file: Readable) -> tuple[View, str] | None:
    """A file without what is damaged, and what that is in words; None where it is whole or has no header."""
    survey = _Survey(file)
    survey.walk()
    if not survey.has_tracks or not (survey.damaged or survey.cut):
        return None
    return View(file, survey.pieces), f"{survey.damaged:,} bytes of it" if survey.damaged else "it ends within a block"


class _Survey:
    def __init__(self, file: Readable) -> None:
        self._file, self._size = file, size_of(file)
        self._window, self._window_at = b"", 0
        self.pieces: list[Piece] = []
        self.damaged = 0
        self.cut = False
        self.has_tracks = False
        self._broken = False
        self._tracks: set[int] = set()  # of which blocks were met before any damage
        self._time, self._before = 0, 0  # of this cluster, and of the one before it
        self._cluster = _Stretch(-1)  # blocks of a cluster that is known
        self._lost: _Stretch | None = None

    def walk(self) -> None:
        at = begin = said = 0
        end = self._size
        while at < end:
            found = self._whole(at)
            if found is None and at == said and not self.damaged:
                break  # what follows is no part of it
            if found is None:
                self._broken = True
                following = self._next(at + 1) if self.has_tracks else None
                self._keep(begin, at)
                if following is None:
                    self.cut = self._is_cut(at)
                    self.damaged += end - at if self.damaged and not self.cut else 0
                    begin = at = end
                    break
                self.damaged += following - at
                begin = at = following
                if self._element(at)[0] != ebml.CLUSTER:  # type: ignore[index]  # one begins there
                    self._lose()
                continue
            name, body, size = found
            if name in (ebml.SEGMENT, ebml.CLUSTER):
                self._keep(begin, at)
                said = body + size if name == ebml.SEGMENT else said
                self.pieces.append(name.to_bytes(4, "big") + _ENDLESS)
                begin = at = body
                continue
            if name in _LED_TO:
                self._keep(begin, at)
                begin = at = body + size
                continue
            self.has_tracks |= name == ebml.TRACKS
            if name == ebml.CLUSTER_TIME:
                self._enter(int.from_bytes(read_at(self._file, body, min(size, 8)), "big"))
            elif name in _BLOCKS and (block := self._block(at)) is not None and block[0]:
                (self._lost or self._cluster).add(*block)
                if not self._broken:
                    self._tracks.add(block[0])
            at = body + size
        self._keep(begin, at)
        if self._lost is not None:
            self._settle(None)

    def _keep(self, begin: int, end: int) -> None:
        if end > begin:
            self.pieces.append((begin, end))

    def _enter(self, time: int) -> None:
        """A cluster begins."""
        if self._lost is not None:
            self._settle(time)
        self._before, self._time = self._time, time
        self._cluster = _Stretch(-1)

    def _lose(self) -> None:
        """Blocks follow of which nobody knows whether they are of the same cluster."""
        if self._lost is not None:
            self._settle(None)
        self._lost = _Stretch(len(self.pieces))
        self.pieces.append(b"")

    def _settle(self, following: int | None) -> None:
        """Say when the cluster began whose head is lost, by the time of the one that follows."""
        assert self._lost is not None
        lost, self._lost = self._lost, None
        first = min((time for time, _ in lost.ends.values()), default=0)
        here = max((time for time, _ in self._cluster.ends.values()), default=0)
        time = self._time
        if following is not None and lost.ends:
            time = max(self._time, following - lost.length())
        elif first < here:
            time = self._time + max(self._time - self._before, here)
        if time - self._time <= 1:  # by rounding
            time = self._time
        value = time.to_bytes(8, "big")
        self.pieces[lost.piece] = ebml.CLUSTER.to_bytes(4, "big") + _ENDLESS + b"\xe7\x88" + value
        self._before, self._time = self._time if time != self._time else self._before, time
        self._cluster = lost

    def _element(self, at: int) -> tuple[int, int, int] | None:
        """Name, begin of the body and size of the element at a byte, if it is one that is known."""
        if not self._window_at <= at <= self._window_at + len(self._window) - GROUP_HEAD:
            self._window, self._window_at = read_at(self._file, at, CHUNK), at
        found = ebml.element(self._window, at - self._window_at)
        if found is None or found[0] not in _KNOWN:
            return None
        name, body, size = found
        if size == ebml.UNKNOWN and name not in (ebml.SEGMENT, ebml.CLUSTER):
            return None
        return name, body + self._window_at, size

    def _whole(self, at: int) -> tuple[int, int, int] | None:
        """The element at a byte, if it is followed by another one or by the end of the file."""
        found = self._element(at)
        if found is None or found[0] in (ebml.SEGMENT, ebml.CLUSTER):
            return found
        if found[0] in _BLOCKS and self._block(at) is None:
            return None
        end = found[1] + found[2]
        return found if end == self._size or (end < self._size and self._element(end) is not None) else None

    def _is_cut(self, at: int) -> bool:
        """Whether the file ends within the block at a byte."""
        found = self._element(at)
        return found is not None and found[0] in _BLOCKS and found[1] + found[2] > self._size

    def _block(self, at: int) -> tuple[int, int] | None:
        """Track of the block or group of blocks at a byte, and its time within the cluster.

        Track 0 where the block does not come first in its group.
        """
        found = self._element(at)
        if found is None:
            return None
        name, body, size = found
        if name == ebml.BLOCK_GROUP:
            inner = ebml.element(self._window, body - self._window_at)
            if inner is None or inner[0] != ebml.BLOCK:
                return (0, 0) if inner is not None and inner[0] in (0x9B, 0xFB, 0x75A2, 0xA4) else None
            body = inner[1] + self._window_at
        elif name != ebml.SIMPLE_BLOCK:
            return None
        head = self._window[body - self._window_at : body - self._window_at + 8] or read_at(self._file, body, 8)
        track, width = ebml.number(head)
        if not width or not 0 < track < 128 or size < width + 3 or len(head) < width + 3 or head[width + 2] & 0x70:
            return None
        if self._broken and self._tracks and track not in self._tracks:
            return None
        return track, int.from_bytes(head[width : width + 2], "big", signed=True)

    def _next(self, start: int) -> int | None:
        """Where the next cluster or block begins that others follow."""
        return next((at for at in self._candidates(start) if self._confirmed(at)), None)

    def _candidates(self, start: int) -> Iterator[int]:
        at = start
        while len(data := read_at(self._file, at, CHUNK + 4)) >= 4:
            yield from (at + match.start() for match in _CANDIDATE.finditer(data) if match.start() < CHUNK)
            at += CHUNK

    def _confirmed(self, at: int) -> bool:
        for number in range(CONFIRMED):
            if at == self._size:
                return number > 0
            found = self._element(at)
            if found is None or (found[0] in _OF_CLUSTER - _BLOCKS and not number):
                return False
            name, body, size = found
            if name == ebml.CLUSTER:
                inner = self._element(body)
                return inner is not None and inner[0] in _OF_CLUSTER | _ANYWHERE
            if name in _OF_SEGMENT:
                return number > 0
            if name in _BLOCKS and self._block(at) is None:
                return False
            at = body + size
        return True
