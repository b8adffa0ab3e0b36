"""The station: classifies the windows of all its sources in turn, stores detections, and runs periodic tasks.

One thread per source reads; this one does everything else, so that there is one encoder and one writer.
"""

from __future__ import annotations

import logging
import queue
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from edgeapp.clips.recorder import Clips
from edgeapp.clips.ring import Ring
from edgeapp.clock.system import Clock, Moment
from edgeapp.detections.confirmation import Confirmation
from edgeapp.detections.verdict import Verdict
from edgeapp.journal import Deployment, Journal, JournalError, Messages, MicrophoneState, Stream
from edgeapp.recognition.merging import LONGEST_S
from edgeapp.station.classifier import Classifier
from edgeapp.station.microphone_health import DEAF, IMPAIRED, Transition
from edgeapp.station.observation import Observation
from edgeapp.station.source_worker import Closed, Ended, Event, Heard, Measured, Opened, SourceWorker, queue_windows
from edgeapp.station.stream_log import Listeners, StreamLog
from edgeapp.station.write_queue import WriteQueue

log = logging.getLogger(__name__)

WORTH_A_WARNING = (*DEAF, *IMPAIRED)
FILE = "file"  # backend of recordings
RENEWED = "settings changed"  # why a stream ended
TICK_S = 0.5  # how long the station waits for sound before it runs its tasks


class Screen(Protocol):
    """Output of `listen`; called after the journal was written.

    `show` is called with every window, `detection` with the document of every confirmed detection that is over.
    """

    def show(self, seen: Observation, station: Station) -> None: ...

    def detection(self, document: dict[str, Any]) -> None: ...

    def microphone(self, name: str, transition: Transition) -> None: ...

    def close(self) -> None: ...


class PeriodicTask(Protocol):
    """A periodic task, which decides itself whether it is due."""

    def __call__(self, station: Station) -> None: ...


@dataclass(frozen=True)
class Storage:
    """Storage of detections: confirmation, clips, messages.

    Attributes
    ----------
    confirmation : callable
        Makes the confirmation of one stream.
    messages : callable or None
        Who is to be told of a confirmed detection.
    clips : callable or None
        Makes the clips of one stream from its sound and its id.
    longest_s : float
        A detection that would become longer ends, and another begins.
    """

    confirmation: Callable[[], Confirmation[Any]] = Confirmation
    messages: Messages | None = None
    clips: Callable[[Ring, int], Clips] | None = None
    longest_s: float = LONGEST_S


class Station:
    """Listen with some workers until they end, as one deployment of the journal.

    Parameters
    ----------
    classifier : Classifier
    journal : Journal
    deployment : Deployment
    clock : Clock
    screen : Screen
    keeping : Storage
    tasks : sequence of PeriodicTask
        Called after every window and at least every `TICK_S` seconds.
    opened : callable or None
        Called with a worker and the ring of its newest sound, whenever a stream of it begins.

    Attributes
    ----------
    counts : Counter
        How the windows ended so far.
    detections : int
        How many were confirmed so far; each may run over several windows.
    newest : Observation or None
        The last window with a detection.
    """

    def __init__(
        self,
        classifier: Classifier,
        journal: Journal,
        deployment: Deployment,
        clock: Clock,
        screen: Screen,
        keeping: Storage | None = None,
        tasks: Sequence[PeriodicTask] = (),
        opened: Callable[[SourceWorker, Ring], None] | None = None,
    ) -> None:
        self.classifier = classifier
        self.journal = journal
        self.clock = clock
        self.counts: Counter[Verdict] = Counter()
        self.detections = 0
        self.newest: Observation | None = None
        self.workers: list[SourceWorker] = []
        self.write_queue = WriteQueue(lambda: clock.now().boottime_s, JournalError)
        self.events: queue.Queue[Event] = queue.Queue(queue_windows(deployment.hop_s))
        self._deployment = deployment
        self._screen = screen
        self._keeping = keeping or Storage()
        self._tasks = tasks
        self._opened = opened
        self._logs: dict[SourceWorker, StreamLog] = {}
        self._streams: dict[SourceWorker, Opened] = {}
        self._lost: dict[SourceWorker, int] = {}  # samples of a stream that are in the journal already
        self._changes: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._id = 0
        self._blind = False
        self._closing = False

    @property
    def lost_samples(self) -> int:
        """Samples that no window has heard, of all workers."""
        return sum(worker.lost_samples for worker in self.workers)

    def run(self, workers: Sequence[SourceWorker]) -> None:
        """Listen until every worker has ended, and write the end whatever happens.

        Raises
        ------
        BiovitaError
            A worker that could not go on; the others were closed too.
        JournalError
            The journal cannot be written, and what waits is lost.
        """
        self.workers = list(workers)
        self._id = self.journal.begin(self._deployment, self.clock.now())
        errors: list[BaseException] = []
        try:
            for worker in self.workers:
                if self._closing:
                    worker.close()
                worker.start()
            listening = set(self.workers)
            while listening:
                try:
                    event = self.events.get(timeout=TICK_S)
                except queue.Empty:
                    self.write_queue.flush()
                else:
                    if isinstance(event, Ended):
                        listening.discard(event.worker)
                        if event.error is not None:
                            errors.append(event.error)
                            self.close()
                    else:
                        self._take(event)
                self._look_around()
        except BaseException:
            self.close()
            raise
        finally:
            self.write_queue.write(lambda: self.journal.end(self._id, self.clock.now()))
            self._look_around()
            self.write_queue.finish()
        if errors:
            raise errors[0]

    def close(self) -> None:
        """End after what has been heard so far, also before it began. Safe in a signal handler."""
        self._closing = True
        for worker in self.workers:
            worker.close()

    def between_windows(self, change: Callable[[], None]) -> None:
        """Have the station's own thread do something before the next window. Safe from any thread."""
        self._changes.put(change)

    def renew(self, keeping: Storage, tasks: Sequence[PeriodicTask], clips: bool = True) -> None:
        """Go on with other storage and tasks, within the same streams. For the station's own thread.

        Parameters
        ----------
        keeping : Storage
            Who is told counts at once, its confirmation and its longest detection with another deployment.
        tasks : sequence of PeriodicTask
        clips : bool
            The clips of detections that begin from now on are those of `keeping`.
        """
        self._keeping, self._tasks = keeping, tasks
        for worker, opened in self._streams.items():
            stream_log = self._logs[worker]
            stream_log.send(keeping.messages)
            if clips and opened.stream.backend != FILE:
                stream_log.renew_clips(self._clips_of(opened.ring))

    def renew_deployment(
        self, deployment: Deployment, classifier: Classifier | None = None, keeping: Storage | None = None
    ) -> None:
        """Go on listening as another deployment: nothing is lost, cut or begun anew. For the station's own thread.

        Every stream of a microphone has another row in the journal from now on; what has begun stays in the row in
        which it began. A recording that is being read ends as it began.

        Raises
        ------
        JournalError
            The deployment cannot be written; everything stays as it was.
        """
        now = self.clock.now()
        renewed = self.journal.begin(deployment, now)
        before, self._id = self._id, renewed
        self._deployment, self._keeping = deployment, keeping or self._keeping
        self.classifier = classifier or self.classifier
        for worker, opened in self._streams.items():
            if opened.stream.backend == FILE:
                continue
            lost = opened.stream.dropped_samples
            self._logs[worker].renew_deployment(
                self._id,
                self._stream_of(opened),
                now,
                RENEWED,
                lost - self._lost.get(worker, 0),
                self._keeping.confirmation(),
                self._keeping.longest_s,
            )
            self._lost[worker] = lost
        self.write_queue.write(lambda: self.journal.end(before, now))

    def renew_learned(self, sha256: str | None) -> None:
        """Go on as another deployment, which says what reviews had taught; see `renew_deployment`."""
        self.renew_deployment(replace(self._deployment, learned_sha256=sha256))

    def open_stream(self, worker: SourceWorker, stream: Stream, ring: Ring, begun: Moment) -> None:
        """Begin a stream of a worker."""
        keeping = self._keeping
        self._logs[worker] = StreamLog(
            self.journal,
            self.write_queue,
            self._id,
            stream,
            begun,
            keeping.confirmation(),
            self.counts,
            Listeners(self._tell, self._found, self._ended),
            keeping.messages,
            self._clips_of(ring),
            keeping.longest_s,
        )

    def _clips_of(self, ring: Ring) -> Callable[[int], Clips] | None:
        """Makes the clips of a stream from its id."""
        clips = self._keeping.clips
        return None if clips is None else lambda stream_id: clips(ring, stream_id)

    def _take(self, event: Event) -> None:
        if isinstance(event, Opened):
            self._streams[event.worker] = event
            begun = event.stream.timeline.moment_of(0.0)
            self.open_stream(event.worker, self._stream_of(event), event.ring, begun)
            if self._opened is not None:
                self._opened(event.worker, event.ring)
        elif isinstance(event, Heard):
            self._logs[event.worker].keep(self.classifier.classify(event.window, event.moment, event.worker.name))
        elif isinstance(event, Measured):
            self._logs[event.worker].measured(event.moment, event.levels, event.lost_samples)
        elif isinstance(event, Closed):
            del self._streams[event.worker]
            lost = event.lost_samples - self._lost.pop(event.worker, 0)
            self._logs.pop(event.worker).close(event.ended, event.reason, lost, event.kept)

    def _keep_state(self, worker: SourceWorker, transition: Transition) -> None:
        now, deployment = self.clock.now(), self._id
        state = MicrophoneState(
            worker.name,
            worker.device_id,
            now.earlier(now.boottime_s - transition.at_s),
            transition.state.value,
            transition.why,
        )
        self.write_queue.write(lambda: self.journal.add_state(deployment, state))

    def _stream_of(self, opened: Opened) -> Stream:
        heard = opened.stream
        return Stream(
            heard.name,
            heard.device_id,
            heard.backend,
            heard.rate_hz,
            self.clock.boot_id,
            heard.channel,
            heard.origin,
            heard.doubt,
        )

    def _tell(self, seen: Observation) -> None:
        if seen.verdict is Verdict.DETECTION:
            self.newest = seen
        self._show(lambda: self._screen.show(seen, self))

    def _found(self, detections: int) -> None:
        self.detections += detections

    def _ended(self, document: dict[str, Any]) -> None:
        self._show(lambda: self._screen.detection(document))

    def _show(self, what: Callable[[], None]) -> None:
        if not self._blind:
            try:
                what()
            except BrokenPipeError:  # the reader has gone: the rest is still written
                self._blind = True
                raise

    def _look_around(self) -> None:
        while not self._changes.empty():
            self._changes.get_nowait()()
        for worker in self.workers:
            for transition in worker.changes():
                weight = logging.WARNING if transition.state in WORTH_A_WARNING else logging.INFO
                log.log(weight, "%s: %s", worker.name, transition.in_words)
                self._screen.microphone(worker.name, transition)
                self._keep_state(worker, transition)
        for task in self._tasks:
            task(self)
