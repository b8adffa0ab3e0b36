"""A station in memory: sound that is an array, a clock that is set by hand, a screen that remembers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np

from edgeapp.audio.memory import MemorySource
from edgeapp.audio.source import Block
from edgeapp.audio.timeline import Timeline
from edgeapp.clock.system import Moment
from edgeapp.detections.confirmation import Confirmation
from edgeapp.detections.filters import Filters
from edgeapp.errors import DeviceError
from edgeapp.journal import Deployment, Journal
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.classifier import Classifier
from edgeapp.station.given import PipeSource
from edgeapp.station.microphone_health import MicrophoneHealth, Transition
from edgeapp.station.observation import Observation
from edgeapp.station.reconnector import Reconnector
from edgeapp.station.source_worker import SourceWorker, Windowing
from edgeapp.station.station import Station, Storage

CARD_HZ = 48_000
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=timezone.utc)


class SetClock:
    """A clock that stands still until it is moved; from any thread."""

    boot_id = "boot-1"

    def __init__(self, utc: datetime = NOON, boottime_s: float = 1000.0, clock_set: bool = True) -> None:
        self._moment = Moment(utc, boottime_s, clock_set)
        self._lock = threading.Lock()

    def now(self) -> Moment:
        return self._moment

    def passes(self, seconds: float) -> None:
        """Time goes by."""
        with self._lock:
            self._moment = self._moment.earlier(-seconds)

    def is_set(self, utc: datetime) -> None:
        """Somebody sets the wall clock."""
        with self._lock:
            self._moment = replace(self._moment, utc=utc, clock_set=True)


class Watched:
    """A screen that remembers."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self.documents: list[dict] = []
        self.states: list[tuple[str, str]] = []

    def show(self, seen: Observation, station: Station) -> None:
        self.seen.append(seen)

    def detection(self, document: dict) -> None:
        self.documents.append(document)

    def microphone(self, name: str, transition: Transition) -> None:
        self.states.append((name, transition.state.value))

    def close(self) -> None:
        pass


class Passing(MemorySource):
    """Sound during which the clock goes on."""

    def __init__(self, samples: np.ndarray, clock: SetClock, name: str = "microphone") -> None:
        super().__init__(samples, CARD_HZ, name=name, block=CARD_HZ // 10, live=True)
        self.clock = clock
        self.closed = False

    def blocks(self) -> Iterator[Block]:
        for block in super().blocks():
            if self.closed:
                return
            self.clock.passes(len(block.samples) / CARD_HZ)
            yield block

    def close(self) -> None:
        self.closed = True


class Endless(Passing):
    """Sound that begins again until it is closed."""

    def blocks(self) -> Iterator[Block]:
        start = 0
        while not self.closed:
            for block in super().blocks():
                yield Block(start, block.samples)
                start += len(block.samples)


class Unplugged(Passing):
    """Sound at whose end the microphone is gone."""

    def blocks(self) -> Iterator[Block]:
        yield from super().blocks()
        if not self.closed:
            error = DeviceError(f"microphone {self.name} is gone", "plug it in")
            raise error  # which refers to this frame, and this frame to it


class OpenCard:
    """A live source with what an open microphone has beside its sound."""

    device_id = ""
    backend = "pcm"
    dropped_samples = 0
    live = True

    def __init__(self, source: MemorySource, clock: SetClock) -> None:
        self._source = source
        self.name, self.rate_hz, self.notes, self.fault = source.name, source.rate_hz, (), None
        self.timeline = Timeline(source.rate_hz, clock)
        self.on_waiting: Callable[[], None] = lambda: None

    def blocks(self) -> Iterator[Block]:
        for block in self._source.blocks():
            self.timeline.arrived(block.end)
            yield block

    def close(self) -> None:
        self._source.close()


def piped(source: MemorySource, clock: SetClock) -> Callable[[Callable[[Transition], None]], PipeSource]:
    """A worker's source of sound that ends."""
    return lambda tell: PipeSource(source, clock, tell)


def reopened(sources: Sequence[MemorySource], clock: SetClock) -> Callable[[Callable[[Transition], None]], Reconnector]:
    """A worker's source of a microphone that is lost and comes back; after the last source it is closed."""
    waiting = list(sources)

    def make(tell: Callable[[Transition], None]) -> Reconnector:
        def open_next() -> OpenCard:
            if not waiting:
                source.close()
                raise DeviceError("no microphone found", "plug one in")
            return OpenCard(waiting.pop(0), clock)

        source = Reconnector(open_next, tell, clock=clock, sleep=clock.passes)
        return source

    return make


def deployment(recogniser: Recogniser, hop_s: float = 5.0) -> Deployment:
    """A deployment of the pack."""
    pack = recogniser.pack
    return Deployment(
        pack=pack.name,
        pack_version=pack.version,
        space=pack.space,
        gallery=str(recogniser.gallery_path),
        gallery_sha256="0" * 64,
        hop_s=hop_s,
        thresholds={"floor": recogniser.parameters.floor},
        station="garden",
    )


class Listening:
    """Makes stations that share a recogniser and a journal."""

    def __init__(self, recogniser: Recogniser, journal: Journal) -> None:
        self.recogniser = recogniser
        self.journal = journal
        self.clock = SetClock()
        self.screen = Watched()

    def station(
        self,
        filters: Filters | None = None,
        confirm: int = 1,
        keeping: Storage | None = None,
        speech: object = None,
        tasks: Sequence[object] = (),
        hop_s: float = 5.0,
    ) -> Station:
        """A station that has no workers yet."""
        self.hop_s = hop_s
        classifier = Classifier(self.recogniser, filters or Filters(self.recogniser.taxa), speech)
        keeping = keeping or Storage(lambda: Confirmation(confirm, 60.0, 10.0, hop_s))
        made = deployment(self.recogniser, hop_s)
        return Station(classifier, self.journal, made, self.clock, self.screen, keeping, tasks)

    def worker(
        self, station: Station, make_source: Callable, duration_s: float | None = None, kept_s: float = 60.0
    ) -> SourceWorker:
        """A worker of the station."""
        cutting = Windowing(lambda source: self.recogniser.cut(source, self.hop_s), kept_s)
        return SourceWorker("microphone", make_source, cutting, station.events, duration_s)

    def hear(
        self, samples: np.ndarray, duration_s: float | None = None, kept_s: float = 60.0, **settings: object
    ) -> Station:
        """Listen to some sound to its end, which comes as fast as it is taken; `kept_s` of it are kept for clips."""
        station = self.station(**settings)
        source = piped(Passing(samples, self.clock), self.clock)
        station.run([self.worker(station, source, duration_s, kept_s)])
        return station


def since_noon(moment: Moment) -> float:
    """Seconds."""
    return (moment.utc - NOON) / timedelta(seconds=1)


__all__ = [
    "CARD_HZ",
    "Endless",
    "NOON",
    "MicrophoneHealth",
    "Listening",
    "Passing",
    "SetClock",
    "Unplugged",
    "Watched",
    "deployment",
    "piped",
    "reopened",
    "since_noon",
]
