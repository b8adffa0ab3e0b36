"""Storage of one stream: verdicts of windows, detections, confirmation, clips and messages.

Consecutive windows of one taxon are one detection. Its row is written with the first of them and grows with the others,
so that a crash loses at most the current window. All that a window changes is one transaction.

When the settings change, a stream goes on: the journal has another row for it where the deployment is another one, and
detections, confirmation and clips that have begun stay with the row in which they began, which ends with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from edgeapp.audio.spectra.sound_meter import SoundLevels
from edgeapp.clips.recorder import Clips
from edgeapp.clock.system import Moment
from edgeapp.detections.confirmation import Confirmation
from edgeapp.detections.verdict import Verdict
from edgeapp.journal import Detection, Journal, Messages, Stream
from edgeapp.recognition.merging import LONGEST_S, TOUCHING_S
from edgeapp.station.observation import Observation, Outcome
from edgeapp.station.write_queue import WriteQueue
from gallery.recognition import Detection as TaxonDetection


@dataclass(frozen=True)
class Listeners:
    """Callbacks, each called once the journal was written.

    Attributes
    ----------
    window : callable
        Each window.
    found : callable
        The number of detections that were confirmed, whenever there are more.
    ended : callable
        The document of each confirmed detection that is over.
    """

    window: Callable[[Observation], object]
    found: Callable[[int], object]
    ended: Callable[[dict[str, Any]], object]


@dataclass(eq=False)
class _Window:
    """One window on its way into the journal, and what it changes there."""

    seen: Observation
    verdict: Verdict
    record: _Record | None = None  # in which it is counted
    changed: list[_Row] = field(default_factory=list)
    confirmed: list[_Row] = field(default_factory=list)  # by this window; some may be over
    over: list[_Row] = field(default_factory=list)
    counts: Counter[tuple[_Record, Verdict]] = field(default_factory=Counter)


@dataclass(eq=False)
class _Record:
    """A row of the stream in the journal, with the clips of the detections that begin in it."""

    id: int = 0
    clips: Clips | None = None
    ended: tuple[Moment, str, int] | None = None  # when, why, samples lost; None while its row has no end

    @property
    def has_clips_to_write(self) -> bool:
        return self.clips is not None and self.clips.awaits(self.id)


@dataclass(eq=False)
class _Row:
    """One detection: a taxon in consecutive windows."""

    detection: Detection
    record: _Record
    id: int = 0
    confirmed: bool = False
    over: bool = False
    parts: list[tuple[_Window, TaxonDetection]] = field(default_factory=list)  # without a clip so far

    def add(self, window: _Window, found: TaxonDetection) -> None:
        """The taxon is detected in one more window."""
        before, new = self.detection, detection(window.seen, found)
        surest = new if new.confidence > before.confidence else before
        self.detection = replace(
            surest,
            time=before.time,
            start_s=before.start_s,
            end_s=max(before.end_s, new.end_s),
            windows=before.windows + 1,
        )
        self.parts.append((window, found))


class StreamLog:
    """Write one stream into the journal, in order, and report each window once written.

    Parameters
    ----------
    journal : Journal
    write_queue : WriteQueue
        Through which everything is written.
    deployment : int
        Id in the journal.
    stream : Stream
    opened : Moment
        When its first sample was heard.
    confirmation : Confirmation
        Of this stream alone.
    counts : Counter
        Of the verdicts of windows; shared by all streams.
    telling : Listeners
    messages : callable or None
        Who is to be told of a confirmed detection.
    clips : callable or None
        Makes the clips of a stream from its id.
    longest_s : float
        A detection that would become longer ends, and another begins.
    """

    def __init__(
        self,
        journal: Journal,
        write_queue: WriteQueue,
        deployment: int,
        stream: Stream,
        opened: Moment,
        confirmation: Confirmation[_Row],
        counts: Counter[Verdict],
        telling: Listeners,
        messages: Messages | None = None,
        clips: Callable[[int], Clips] | None = None,
        longest_s: float = LONGEST_S,
    ) -> None:
        self._record = _Record()
        self._earlier: list[_Record] = []  # in which something goes on
        self._journal = journal
        self._write_queue = write_queue
        self._confirmation = confirmation
        self._counts = counts
        self._telling = telling
        self._messages = messages
        self._longest_s = longest_s
        self._open: dict[tuple[str, ...], _Row] = {}  # by the path of the taxon

        def open_stream() -> None:
            self._record.id = journal.open_stream(deployment, stream, opened)
            self._record.clips = clips(self._record.id) if clips is not None else None

        write_queue.write(open_stream)

    @property
    def id(self) -> int:
        """Of the newest row of the stream in the journal."""
        return self._record.id

    def send(self, messages: Messages | None) -> None:
        """Tell others of the detections that are confirmed from now on."""
        self._write_queue.write(lambda: setattr(self, "_messages", messages))

    def renew_deployment(
        self,
        deployment: int,
        stream: Stream,
        now: Moment,
        why: str,
        lost_samples: int,
        confirmation: Confirmation[_Row],
        longest_s: float,
    ) -> None:
        """Go on in a row of another deployment, from the next window on.

        Parameters
        ----------
        deployment : int
        stream : Stream
        now : Moment
            When the row so far ends and the other one begins.
        why : str
            It ends.
        lost_samples : int
            Of the row so far.
        confirmation : Confirmation
            Which goes on with the detections of the one so far.
        longest_s : float
            A detection that would become longer ends, and another begins.
        """

        def change() -> None:
            before = self._record
            self._record = _Record(self._journal.open_stream(deployment, stream, now), before.clips)
            before.ended = now, why, lost_samples
            self._earlier.append(before)
            confirmation.go_on_from(self._confirmation)
            self._confirmation, self._longest_s = confirmation, longest_s

        self._write_queue.write(change, self._close_earlier)

    def renew_clips(self, clips: Callable[[int], Clips] | None) -> None:
        """Cut the clips of the detections that begin from now on in another way."""

        def change() -> None:
            self._earlier.append(self._record)
            self._record = _Record(self.id, clips(self.id) if clips is not None else None)

        self._write_queue.write(change, self._close_earlier)

    def keep(self, seen: Observation) -> None:
        """Write a window, with detections or not. It is reported once written, which may be later."""
        window = _Window(seen, seen.verdict)
        self._write_queue.write(
            lambda: self._plan(window),
            lambda: self._write(window),
            lambda: self._ask_for_clips(window),
            lambda: self._tell_rows(window.over),
            lambda: self._tell(window),
            lambda: self._advance(seen.result.end_s),
            self._close_earlier,
        )

    def measured(self, time: Moment, levels: SoundLevels, lost_samples: int) -> None:
        """Write how loud a minute was."""
        self._write_queue.write(lambda: self._journal.add_levels(self.id, time, levels, lost_samples))

    def close(self, ended: Moment, reason: str, lost_samples: int, then: Callable[[int], None]) -> None:
        """Write the end of the stream, its last clips first; then the source is told the stream's id."""
        over: list[_Row] = []
        self._write_queue.write(
            lambda: [clips.finish() for clips in self._all_clips()],
            lambda: over.extend(self._end(float("inf"))),
            lambda: self._tell_rows(over),
            self._close_earlier,
            lambda: self._journal.close_stream(self.id, ended, reason, lost_samples),
            lambda: then(self.id),
        )

    def _plan(self, window: _Window) -> None:
        """Decide what the window changes. Nothing is written, so that a write can be tried again as often as needed."""
        seen = window.seen
        window.over = self._end(seen.result.start_s)
        confirmed: dict[_Row, None] = {}
        for found in seen.detected:
            row = self._row_of(window, found)
            window.changed.append(row)
            tokens = self._confirmation.add(found.path, seen.result.start_s, seen.result.end_s, row)
            confirmed.update(dict.fromkeys(one for one in tokens if not one.confirmed))
        window.confirmed = list(confirmed)
        for row in window.confirmed:
            row.confirmed = True
        window.over += [row for row in window.confirmed if row.over and row not in window.over]
        if window.changed:
            sure = any(row.confirmed for row in window.changed)
            window.verdict = Verdict.DETECTION if sure else Verdict.UNCONFIRMED
        window.record = self._record
        window.counts[self._record, window.verdict] += 1
        for earlier in {part for row in window.confirmed for part, _ in row.parts}:
            if earlier.verdict is Verdict.UNCONFIRMED and earlier.record is not None:
                earlier.verdict = Verdict.DETECTION
                window.counts[earlier.record, Verdict.UNCONFIRMED] -= 1
                window.counts[earlier.record, Verdict.DETECTION] += 1

    def _row_of(self, window: _Window, found: TaxonDetection) -> _Row:
        """The detection that a window's detection belongs to, a new one where none is open."""
        row = self._open.get(found.path)
        if row is not None and window.seen.result.end_s - row.detection.start_s > self._longest_s + TOUCHING_S:
            row.over = True
            window.over.append(row)
            row = None
        if row is None:
            row = _Row(detection(window.seen, found), self._record, parts=[(window, found)])
            self._open[found.path] = row
        else:
            row.add(window, found)
        return row

    def _end(self, start_s: float) -> list[_Row]:
        """The detections that a window which starts there does not go on with, in the order of their starts."""
        over = [path for path, row in self._open.items() if row.detection.end_s < start_s - TOUCHING_S]
        rows = sorted((self._open.pop(path) for path in over), key=lambda row: row.detection.start_s)
        for row in rows:
            row.over = True
        return rows

    def _write(self, window: _Window) -> None:
        new: dict[_Row, int] = {}

        def change() -> None:
            for row in window.changed:
                if row.id:
                    self._journal.extend(row.id, row.detection)
                else:
                    written = replace(row.detection, confirmed=row.confirmed)
                    new[row] = self._journal.record(row.record.id, written, self._messages)
            self._journal.confirm([row.id for row in window.confirmed if row.id], self._messages)
            for (record, verdict), n in window.counts.items():
                self._journal.count(record.id, verdict, n)

        if window.changed:
            self._journal.together(change)
        else:
            self._journal.count(self.id, window.verdict)
        for row, number in new.items():
            row.id = number
        for (_, verdict), n in window.counts.items():
            self._counts[verdict] += n
        if window.confirmed:
            self._telling.found(len(window.confirmed))

    def _ask_for_clips(self, window: _Window) -> None:
        for row in dict.fromkeys((*window.confirmed, *window.changed)):
            if not row.confirmed:
                continue
            record = row.record if row.record in self._earlier else self._record
            for part, found in row.parts:
                if record.clips is not None:
                    heard = part.seen.result
                    name, moment = found.scientific_name, part.seen.moment
                    record.clips.want(row.id, name, found.confidence, moment, heard.start_s, heard.end_s, record.id)
            row.parts.clear()

    def _all_clips(self) -> list[Clips]:
        """Those that something may wait for, each once."""
        found = dict.fromkeys(record.clips for record in (*self._earlier, self._record))
        return [clips for clips in found if clips is not None]

    def _advance(self, position_s: float) -> None:
        for clips in self._all_clips():
            clips.advance(position_s)

    def _close_earlier(self) -> None:
        """Write the end of the rows in which nothing goes on any more."""
        held = {row.record for row in self._open.values()}
        for record in list(self._earlier):
            if record in held or record.has_clips_to_write:
                continue
            if record.ended is not None:
                self._journal.close_stream(record.id, *record.ended)
            self._earlier.remove(record)

    def _tell_rows(self, rows: list[_Row]) -> None:
        """Report detections that are over and confirmed; the list is emptied, so that none is reported twice."""
        while rows:
            row = self._journal.in_full(rows[0].id) if rows[0].confirmed else None
            document = None if row is None else self._journal.document(row)
            del rows[0]
            if document is not None:
                self._telling.ended(document)

    def _tell(self, window: _Window) -> None:
        rows = iter(window.changed)
        outcomes = tuple(
            one if one.verdict is not Verdict.DETECTION or next(rows).confirmed else _unconfirmed(one)
            for one in window.seen.outcomes
        )
        self._telling.window(replace(window.seen, outcomes=outcomes, verdict=window.verdict))


def detection(seen: Observation, found: TaxonDetection) -> Detection:
    """The journal's row of a taxon in one window."""
    return Detection(
        time=seen.moment,
        start_s=seen.result.start_s,
        end_s=seen.result.end_s,
        taxon_rank=found.taxon_rank,
        scientific_name=found.scientific_name,
        common_name=found.common_name,
        confidence=found.confidence,
        candidates=found.candidates,
        level_dbfs=seen.result.level_dbfs,
        speech=seen.speech,
        vector=seen.result.vector,
    )


def _unconfirmed(one: Outcome) -> Outcome:
    return replace(one, verdict=Verdict.UNCONFIRMED)
