"""One source as the station hears it: captures one after the other, cut into windows, in a thread of its own.

The thread only reads, keeps the newest sound and cuts. What it hears goes into a short queue; when the station is busy
the thread waits, then the recorder's own queue fills, and what does not fit there is counted as lost.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from edgeapp.audio.source import AudioSource, Block
from edgeapp.audio.windows import MIN_CLIP_S, WINDOW_S, Window
from edgeapp.clips.ring import Ring
from edgeapp.clock.system import Moment
from edgeapp.errors import AudioError
from edgeapp.journal import utc_text
from edgeapp.station.microphone_health import MicrophoneHealth, Transition

log = logging.getLogger(__name__)

QUEUE_WINDOWS = 12  # each holds 10 s of sound, so that a slow disk for a minute costs nothing


class Dated(Protocol):
    """When the positions of a clock were heard; `edgeapp.audio.timeline.Timeline`."""

    def moment_of(self, position_s: float) -> Moment: ...


class Capture(AudioSource, Protocol):
    """One unbroken stretch of sound; `edgeapp.station.reconnector.MicrophoneCapture`."""

    @property
    def device_id(self) -> str: ...

    @property
    def backend(self) -> str: ...

    @property
    def dropped_samples(self) -> int: ...

    @property
    def timeline(self) -> Dated: ...

    @property
    def end_reason(self) -> str | None: ...

    @property
    def skip_windows(self) -> int:
        """How many of its first windows are in the journal already."""
        ...

    def kept(self, stream_id: int) -> None:
        """Called when its last window is in the journal."""
        ...


class Source(Protocol):
    """Gives one capture after the other; `edgeapp.station.reconnector.Reconnector`."""

    @property
    def health(self) -> MicrophoneHealth: ...

    def captures(self) -> Iterator[Capture]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Opened:
    """A stream begins."""

    worker: SourceWorker
    capture: Capture
    ring: Ring


@dataclass(frozen=True)
class Heard:
    """A window of the stream that was opened last."""

    worker: SourceWorker
    window: Window
    moment: Moment


@dataclass(frozen=True)
class Closed:
    """The stream that was opened last has ended."""

    worker: SourceWorker
    ended: Moment
    reason: str
    lost_samples: int
    kept: Callable[[int], None]


@dataclass(frozen=True)
class Ended:
    """The worker hears no more; ``error`` says why, if it was not asked to end."""

    worker: SourceWorker
    error: BaseException | None


Event = Opened | Heard | Closed | Ended


@dataclass(frozen=True)
class Cutting:
    """How sound becomes windows, and how much of it is kept for clips.

    Attributes
    ----------
    cut : callable
        Source to its windows, such as `edgeapp.recognition.pipeline.Recogniser.cut`.
    kept_s : float
        Seconds of sound that are kept.
    """

    cut: Callable[[AudioSource], Iterator[Window]]
    kept_s: float = WINDOW_S


class SourceWorker:
    """Follow the captures of a source until there are no more.

    Parameters
    ----------
    name : str
        What the source is called until it is open.
    make_source : callable
        Makes the source from what it shall tell of every change of the health.
    cutting : Cutting
    events : queue.Queue
        Where the thread puts what it hears.
    duration_s : float or None
        End after so much sound, all captures together.
    """

    def __init__(
        self,
        name: str,
        make_source: Callable[[Callable[[Transition], None]], Source],
        cutting: Cutting,
        events: queue.Queue[Event],
        duration_s: float | None = None,
    ) -> None:
        self.name = name
        self._transitions: queue.SimpleQueue[Transition] = queue.SimpleQueue()
        self._source = make_source(self._transitions.put)
        self._cutting = cutting
        self._events = events
        self._left_s = duration_s
        self._capture: Capture | None = None
        self._lost = 0  # samples of the captures that have ended
        self._thread = threading.Thread(target=self._run, name=f"worker {name}", daemon=True)
        self.streams = 0

    @property
    def health(self) -> MicrophoneHealth:
        """What is known of the microphone."""
        return self._source.health

    @property
    def lost_samples(self) -> int:
        """Samples that never arrived, so far."""
        capture = self._capture
        return self._lost + (capture.dropped_samples if capture is not None else 0)

    def start(self) -> None:
        """Begin to hear."""
        self._thread.start()

    def close(self) -> None:
        """End after what has been heard so far. Safe in a signal handler, and twice."""
        self._source.close()

    def changes(self) -> list[Transition]:
        """What happened to the microphone since this was asked last."""
        found = []
        while True:
            try:
                found.append(self._transitions.get_nowait())
            except queue.Empty:
                return found

    def described(self, now: Moment) -> dict[str, Any]:
        """How it is, for the status file."""
        health, capture = self.health, self._capture
        level = health.level_dbfs
        return {
            "name": self.name,
            "device_id": capture.device_id if capture is not None else "",
            "state": health.state.value,
            "why": health.why,
            "since_utc": utc_text(now.earlier(now.boottime_s - health.since_s).utc),
            "level_dbfs": round(level, 1) if level is not None and math.isfinite(level) else None,
            "lost_samples": self.lost_samples,
            "streams": self.streams,
        }

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            with closing(self._source.captures()) as captures:  # type: ignore[type-var]  # a generator in every source
                for capture in captures:
                    self._follow(capture)
                    if self._left_s == 0:
                        self._source.close()
        except BaseException as raised:  # told to the station, whose thread has somebody to tell
            error = raised
        finally:
            self._events.put(Ended(self, error))

    def _follow(self, capture: Capture) -> None:
        """Hear one capture to its end."""
        self._capture = capture
        ring = Ring(capture.rate_hz, self._cutting.kept_s)
        heard = _Attended(self, capture, ring)
        self.name = capture.name
        self.streams += 1
        self._events.put(Opened(self, capture, ring))
        fault = ""
        try:
            for window in islice(self._cutting.cut(heard), capture.skip_windows, None):
                self._events.put(Heard(self, window, capture.timeline.moment_of(window.start_s)))
        except AudioError as error:
            # Less sound than a window can be made of is no fault of the source.
            if heard.delivered >= MIN_CLIP_S * capture.rate_hz:
                fault = str(error)
                log.warning("%s", fault)
        finally:
            capture.close()
            self._capture = None
            self._lost += capture.dropped_samples
            ended = capture.timeline.moment_of(heard.delivered / capture.rate_hz)
            reason = fault or capture.end_reason or "ended"
            self._events.put(Closed(self, ended, reason, capture.dropped_samples, capture.kept))

    def _take(self, block: Block, rate_hz: int) -> Block:
        """The part of a block that is within the duration."""
        if self._left_s is None:
            return block
        left = round(self._left_s * rate_hz)
        samples = block.samples[:left]
        self._left_s = (left - len(samples)) / rate_hz
        return Block(block.start, samples)


class _Attended:
    """A capture whose sound is kept as it passes, and which ends with the duration."""

    live = True

    def __init__(self, worker: SourceWorker, capture: Capture, ring: Ring) -> None:
        self.name = capture.name
        self.rate_hz = capture.rate_hz
        self.delivered = 0
        self._worker = worker
        self._capture = capture
        self._ring = ring

    def blocks(self) -> Iterator[Block]:
        with closing(self._capture.blocks()) as blocks:  # type: ignore[type-var]  # a generator in every source
            for block in blocks:
                taken = self._worker._take(block, self.rate_hz)
                if len(taken.samples):
                    self._ring.add(taken)
                    self.delivered += len(taken.samples)
                    yield taken
                if self._worker._left_s == 0:
                    return

    def close(self) -> None:
        self._capture.close()
