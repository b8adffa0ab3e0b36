"""Clips of detections.

A clip is asked for after its detection was committed and is written once the sound after it was heard, so no detection
ever waits for a clip or is lost with one. A detection has one clip, which begins with it and grows with its windows
until it is as long as a clip may be. If a later window of a longer detection is surer than all in its clip, a clip
around that window takes its place. Nothing is written before the very samples of the file were judged for speech. The
row in the journal comes after the file, so a row never points to a half file. What cannot be written for now, on a full
disk or into a journal that another program holds, is kept in memory and tried again.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from edgeapp.audio.metadata.guano import Recorder, as_text, fields
from edgeapp.clips.clip_file import ClipFolder, encoded, stem
from edgeapp.clips.requests import TOUCH_S, Pending, Served, Sound, Wanted, ids_of
from edgeapp.clips.ring import INT16_FULL_SCALE, Ring
from edgeapp.clips.settings import ClipSettings
from edgeapp.clock.system import Clock, Moment
from edgeapp.errors import BiovitaError
from edgeapp.journal import JournalError
from edgeapp.journal.records import Clip

Speech = Callable[[np.ndarray, int], bool]
T = TypeVar("T")

SURER = "another clip has a surer window of its detection"
ROOM = 16  # letters in the metadata of a clip that is to be renamed once the clock is set
HELD_BYTES = 32_000_000  # of clips that cannot be written for now: five minutes at 48 kHz


class ClipJournal(Protocol):
    """The journal, as clips need it."""

    def add_clip(self, clip: Clip, detection_ids: Sequence[int]) -> int: ...

    def drop_unused_clip(self, clip_id: int, why: str, when: Moment) -> bool: ...

    def together(self, changes: Callable[[], T]) -> T: ...


@dataclass(frozen=True)
class ClipCounts:
    """What became of the clips of a stream.

    Attributes
    ----------
    written : int
        Files.
    shortened : int
        Those of them that are shorter because of speech around the detection.
    withheld : int
        Detections left without a clip because of speech in them.
    failed : int
        Detections left without a clip because it could not be written.
    missed : int
        Detections left without a clip because their sound had already left the ring.
    replaced : int
        Files removed again, because another clip has a surer window of their detection.
    """

    written: int = 0
    shortened: int = 0
    withheld: int = 0
    failed: int = 0
    missed: int = 0
    replaced: int = 0


class Clips:
    """The clips of one stream.

    All calls come from one thread; the ring may be filled by another.

    Parameters
    ----------
    settings : ClipSettings
    ring : Ring
        Sound of the stream, of at least ``settings.ring_s``.
    journal : ClipJournal
    folder : ClipFolder
        Shared by the streams of a station.
    clock : Clock
    speech : callable or None
        ``speech(samples, rate_hz) -> bool`` for ``[n]`` float32 samples at the ring's rate: whether they contain
        speech.
        None keeps everything.
    recorder : Recorder
        What the clips say of the station.
    """

    def __init__(
        self,
        settings: ClipSettings,
        ring: Ring,
        journal: ClipJournal,
        folder: ClipFolder,
        clock: Clock,
        speech: Speech | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._settings = settings
        self._ring = ring
        self._journal = journal
        self._folder = folder
        self._clock = clock
        self._speech = speech
        self._recorder = recorder or Recorder()
        self._pending: list[Pending] = []
        self._held: deque[Sound] = deque()  # judged and not yet written
        self._served: dict[str, Served] = {}  # by taxon
        self._counts = dict.fromkeys(ClipCounts.__dataclass_fields__, 0)

    @property
    def counts(self) -> ClipCounts:
        """What became of the clips so far."""
        return ClipCounts(**self._counts)

    def want(
        self,
        detection_id: int,
        taxon: str,
        confidence: float,
        moment: Moment,
        start_s: float,
        end_s: float,
        stream_id: int,
    ) -> None:
        """Ask for the sound of one window of a detection that the journal has committed.

        Parameters
        ----------
        detection_id : int
        taxon : str
            Its scientific name, at any rank.
        confidence : float
            In this window.
        moment : Moment
            Of ``start_s``.
        start_s, end_s : float
            On the clock of the stream.
        stream_id : int
        """
        wanted = Wanted(detection_id, taxon, confidence, moment, start_s, end_s, stream_id)
        grown = self._around(wanted)
        served = self._served.get(taxon)
        if served is not None and served.id == detection_id and not any(one.has(detection_id) for one in self._pending):
            if confidence <= served.confidence:
                return
            grown = self._around(wanted, served.since_s)
        apart: list[Pending] = []
        for pending in reversed(self._pending):  # the latest first: that is where the next window belongs
            if pending.touches(grown):
                together = grown.with_other(pending)
                if together.end_s - together.start_s <= self._settings.longest_s + TOUCH_S:
                    grown = together
                    continue
                pending.full = True
                own = [one for one in pending.wanted if one.id == detection_id]
                if own:
                    if confidence <= max(one.confidence for one in own):
                        return
                    grown = self._around(wanted, min(one.start_s for one in own))
            apart.append(pending)
        self._pending = [*reversed(apart), grown]

    def advance(self, position_s: float) -> list[Clip]:
        """Write the clips that no later window can lengthen.

        Parameters
        ----------
        position_s : float
            Up to where the windows of the stream were judged.

        Returns
        -------
        list of Clip
            Those that are now in the journal.
        """
        ready = [pending for pending in self._pending if self._complete_at(pending) <= position_s + TOUCH_S]
        self._pending = [pending for pending in self._pending if pending not in ready]
        return self._write_all(ready)

    def awaits(self, stream_id: int) -> bool:
        """Whether a clip of a stream is still to be written."""
        asking = [*(one.wanted for one in self._pending), *(one.wanted for one in self._held)]
        return any(one.stream_id == stream_id for wanted in asking for one in wanted)

    def finish(self) -> list[Clip]:
        """Write what is still wanted at the end of the stream, with the sound there is; what cannot be is lost."""
        ready, self._pending = self._pending, []
        written = self._write_all(ready)
        while self._held:
            self._give_up(self._held.popleft())
        return written

    def _around(self, wanted: Wanted, since_s: float | None = None) -> Pending:
        """The clip of one window with its rolls; with more before it in a detection that began earlier."""
        pre, post = self._settings.pre_roll_s, self._settings.post_roll_s
        room = max(0.0, self._settings.longest_s - (wanted.end_s - wanted.start_s))
        if since_s is not None:
            pre = max(pre, min(room / 2, wanted.start_s - since_s + pre))
        share = min(1.0, room / (pre + post)) if pre + post else 0.0
        return Pending(max(0.0, wanted.start_s - share * pre), wanted.end_s + share * post, [wanted])

    def _complete_at(self, pending: Pending) -> float:
        """Position from which on no window still to be judged could touch the clip."""
        if pending.full:
            return pending.end_s
        window_s = max(one.end_s - one.start_s for one in pending.wanted)
        return pending.end_s + self._settings.pre_roll_s + window_s

    def _write_all(self, ready: Sequence[Pending]) -> list[Clip]:
        for pending in ready:
            self._serve(pending)
            for sound in self._allowed(pending):
                self._hold(sound)
        written = []
        while self._held:
            try:
                clip = self._write(self._held[0])
            except (OSError, JournalError) as error:
                self._folder.not_written(error)
                break
            self._held.popleft()
            if clip is not None:
                written.append(clip)
        while sum(sound.samples.nbytes for sound in self._held) > HELD_BYTES:
            self._give_up(self._held.popleft())
        return written

    def _serve(self, pending: Pending) -> None:
        last = pending.wanted[-1]
        own = [one for one in pending.wanted if one.id == last.id]
        before = self._served.get(last.taxon)
        if before is None or before.id != last.id:
            before = self._served[last.taxon] = Served(last.id, own[0].start_s, own[0].confidence)
        before.confidence = max(before.confidence, *(one.confidence for one in own))

    def _hold(self, sound: Sound) -> None:
        end_s = sound.start_s + len(sound.samples) / self._ring.rate_hz
        inside = tuple(one for one in sound.wanted if one.start_s < end_s and one.end_s > sound.start_s)
        self._counts["missed"] += len(ids_of(sound.wanted) - ids_of(inside))
        if inside:
            self._held.append(replace(sound, wanted=inside))

    def _give_up(self, sound: Sound) -> None:
        self._counts["failed"] += len(ids_of(sound.wanted))
        self._folder.lost()

    def _allowed(self, pending: Pending) -> list[Sound]:
        """What may be written: the whole clip, the windows of it without speech, or nothing."""
        whole = self._cut(pending)
        if not len(whole.samples):
            self._counts["missed"] += len(ids_of(pending.wanted))
            return []
        if not self._spoken_in(whole):
            return [whole]
        parts: list[tuple[Pending, Sound]] = []
        gone: set[int] = set()
        spoken: set[int] = set()
        for one in pending.wanted:
            alone = Pending(one.start_s, one.end_s, [one])
            sound = self._cut(alone)
            if not len(sound.samples):
                gone.add(one.id)
                continue
            if self._spoken_in(sound):
                spoken.add(one.id)
                continue
            if parts and parts[-1][0].touches(alone):
                together = parts[-1][0].with_other(alone)
                longer = self._cut(together)
                if not self._spoken_in(longer):
                    parts[-1] = together, longer
                    continue
            parts.append((alone, sound))
        kept: set[int] = set()
        sounds = []
        for _, sound in sorted(parts, key=lambda part: -max(one.confidence for one in part[1].wanted)):
            first = tuple(one for one in sound.wanted if one.id not in kept)  # a detection has one clip
            kept |= ids_of(first)
            if first:
                sounds.append(replace(sound, wanted=first, shortened=True))
        self._counts["withheld"] += len(spoken - kept)
        self._counts["missed"] += len(gone - spoken - kept)
        return sorted(sounds, key=lambda sound: sound.start_s)

    def _cut(self, pending: Pending) -> Sound:
        start_s, samples = self._ring.cut(pending.start_s, pending.end_s)
        return Sound(start_s, samples, tuple(pending.wanted))

    def _spoken_in(self, sound: Sound) -> bool:
        if self._speech is None:
            return False
        heard = sound.samples.astype(np.float32) / np.float32(INT16_FULL_SCALE)
        return self._speech(heard, self._ring.rate_hz)

    def _write(self, sound: Sound) -> Clip | None:
        """Write the file, then its row; None when that can never be done."""
        rate_hz = self._ring.rate_hz
        end_s = sound.start_s + len(sound.samples) / rate_hz
        best = max(sound.wanted, key=lambda one: one.confidence)
        now = self._clock.now()
        start = best.moment.earlier(best.start_s - sound.start_s).known_at(now)
        format = self._settings.format
        content = b""

        def make(file_name: str) -> bytes:
            nonlocal content
            about = fields(self._recorder, start, rate_hz, len(sound.samples), best.taxon, best.confidence, file_name)
            room = 0 if start.clock_set else ROOM
            content = encoded(sound.samples, rate_hz, format, as_text(about, room))
            return content

        path: Path | None = None
        try:
            path, size = self._folder.write(start.utc, stem(best.taxon, best.confidence, start.utc), format, make)
            known = hashlib.sha256(content).hexdigest()
            clip = Clip(str(path), format, sound.start_s, end_s, best.stream_id, size, now, start, known)
            self._link(clip, sound, path)
        except (OSError, JournalError):
            if path is not None:
                self._folder.remove(path)
            raise
        except BiovitaError as error:  # such as a rate that the format does not know: no better the next time
            self._folder.not_written(error)
            self._give_up(sound)
            return None
        self._counts["written"] += 1
        self._counts["shortened"] += sound.shortened
        self._folder.written()
        return clip

    def _link(self, clip: Clip, sound: Sound, path: Path) -> None:
        """Write the row of a clip. The one whose place it takes goes, unless it is locked or still needed."""
        served = self._served.get(sound.wanted[0].taxon)
        if served is None or served.id not in ids_of(sound.wanted):
            self._journal.add_clip(clip, sorted(ids_of(sound.wanted)))
            return
        before = served.clip_id, served.path

        def change() -> tuple[int, bool]:
            added = self._journal.add_clip(clip, sorted(ids_of(sound.wanted)))
            return added, bool(before[0]) and self._journal.drop_unused_clip(before[0], SURER, clip.created)

        served.clip_id, is_free = self._journal.together(change)
        served.path = path
        if is_free and before[1] is not None:
            self._folder.remove(before[1])
            self._counts["replaced"] += 1
