"""What is kept of one stream: how its windows ended, its detections, their confirmation, clips and messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from edgeapp.clips.recorder import Clips
from edgeapp.clock.system import Moment
from edgeapp.detections.confirmation import Confirmation
from edgeapp.detections.verdict import Verdict
from edgeapp.journal import Detection, Journal, Message, Stream
from edgeapp.station.observation import Observation
from edgeapp.station.write_queue import WriteQueue

Messages = Callable[[int, Observation], Sequence[Message]]
Tell = Callable[[Observation], None]

REMEMBERED = 1000  # unconfirmed windows whose observation is kept for a later confirmation


@dataclass
class _Entry:
    """One decided window on its way into the journal, so that a write that is tried again goes on where it stopped."""

    seen: Observation
    id: int = 0
    confirmed: list[int] = field(default_factory=list)
    to_count: list[tuple[Verdict, int]] | None = None


class StreamLog:
    """Write one stream into the journal, in order, and tell of each window when it is there.

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
        Of verdicts; shared by all streams.
    tell : callable
        Told each window once it is in the journal.
    messages : callable or None
        Detection's id and observation to what is to be sent.
    clips : callable or None
        Makes the clips of a stream from its id.
    """

    def __init__(
        self,
        journal: Journal,
        write_queue: WriteQueue,
        deployment: int,
        stream: Stream,
        opened: Moment,
        confirmation: Confirmation[int],
        counts: Counter[Verdict],
        tell: Tell,
        messages: Messages | None = None,
        clips: Callable[[int], Clips] | None = None,
    ) -> None:
        self.id = 0
        self._journal = journal
        self._write_queue = write_queue
        self._confirmation = confirmation
        self._counts = counts
        self._tell = tell
        self._messages = messages
        self._clips: Clips | None = None
        self._undecided: dict[int, Observation] = {}

        def open_stream() -> None:
            self.id = journal.open_stream(deployment, stream, opened)
            self._clips = clips(self.id) if clips is not None else None

        write_queue.write(open_stream)

    def keep(self, seen: Observation) -> None:
        """Write a window, detection or not. It is told when it is in the journal, which may be later."""
        if seen.verdict is Verdict.DETECTION:
            entry = _Entry(seen)
            self._write_queue.write(
                lambda: self._record(entry),
                lambda: self._confirm(entry),
                lambda: self._count_entry(entry),
                lambda: self._finish_entry(entry),
            )
        else:
            self._write_queue.write(lambda: self._count(seen.verdict, 1), lambda: self._tell(seen))
        self._write_queue.write(lambda: self._clips and self._clips.advance(seen.result.end_s))

    def close(self, ended: Moment, reason: str, lost_samples: int, then: Callable[[int], None]) -> None:
        """Write the end of the stream, its last clips first; then the source is told the stream's id."""
        self._write_queue.write(
            lambda: self._clips and self._clips.finish(),
            lambda: self._journal.close_stream(self.id, ended, reason, lost_samples),
            lambda: then(self.id),
        )

    def _record(self, entry: _Entry) -> None:
        detected = detection(entry.seen, confirmed=self._confirmation.immediate)
        send = (lambda number: self._to_send(number, entry.seen)) if self._confirmation.immediate else None
        entry.id = self._journal.record(self.id, detected, send)
        seen = entry.seen.result
        assert seen.decision is not None
        entry.confirmed = self._confirmation.add(entry.seen.path, seen.start_s, seen.end_s, entry.id)
        self._undecided[entry.id] = entry.seen
        while len(self._undecided) > REMEMBERED:
            del self._undecided[next(iter(self._undecided))]

    def _confirm(self, entry: _Entry) -> None:
        if entry.confirmed and not self._confirmation.immediate:
            self._journal.confirm(
                entry.confirmed,
                lambda number: self._to_send(number, self._undecided[number]) if number in self._undecided else (),
            )

    def _count_entry(self, entry: _Entry) -> None:
        if entry.to_count is None:
            earlier = len([number for number in entry.confirmed if number != entry.id])
            own = Verdict.DETECTION if entry.id in entry.confirmed else Verdict.UNCONFIRMED
            entry.to_count = [(own, 1)]
            if earlier:
                entry.to_count += [(Verdict.UNCONFIRMED, -earlier), (Verdict.DETECTION, earlier)]
        while entry.to_count:
            self._count(*entry.to_count[0])
            del entry.to_count[0]

    def _finish_entry(self, entry: _Entry) -> None:
        for number in entry.confirmed:
            seen = self._undecided.pop(number, None)
            if seen is not None and self._clips is not None:
                best = seen.summary.inside[0]
                self._clips.want(
                    number,
                    seen.result.decision.name if seen.result.decision else best.scientific_name,
                    seen.mass,
                    seen.moment,
                    seen.result.start_s,
                    seen.result.end_s,
                    self.id,
                )
        verdict = Verdict.DETECTION if entry.id in entry.confirmed else Verdict.UNCONFIRMED
        self._tell(replace(entry.seen, verdict=verdict))

    def _to_send(self, number: int, seen: Observation) -> Sequence[Message]:
        return self._messages(number, seen) if self._messages is not None else ()

    def _count(self, verdict: Verdict, n: int) -> None:
        self._journal.count(self.id, verdict, n)
        self._counts[verdict] += n


def detection(seen: Observation, confirmed: bool) -> Detection:
    """The journal's row of a window that carries a decision."""
    decision = seen.result.decision
    assert decision is not None
    return Detection(
        time=seen.moment,
        start_s=seen.result.start_s,
        end_s=seen.result.end_s,
        rank=decision.rank,
        name=decision.name,
        mass=decision.mass,
        best=seen.summary.inside[0],
        scores=seen.summary.species,
        level_dbfs=seen.result.level_dbfs,
        speech=seen.speech,
        confirmed=confirmed,
    )
