"""One source of the station: consecutive streams, cut into windows in a thread.

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

from edgeapp.audio.microphones.backends import FILE
from edgeapp.audio.source import AudioSource
from edgeapp.audio.spectra.sound_meter import SoundLevels
from edgeapp.audio.windows import MIN_CLIP_S, WINDOW_S, Window
from edgeapp.clips.ring import Ring
from edgeapp.clock.system import Moment
from edgeapp.errors import AudioError
from edgeapp.journal import utc_text
from edgeapp.station.microphone_health import MicrophoneHealth, Transition
from edgeapp.station.stream_source import StreamSource

log = logging.getLogger(__name__)

QUEUE_S = 60.0  # of sound, so that a slow disk for a minute costs nothing
QUEUE_LEAST = 12  # windows, however far apart


def queue_windows(hop_s: float) -> int:
    """Windows that wait at most, when one comes every ``hop_s`` seconds."""
    return max(QUEUE_LEAST, math.ceil(QUEUE_S / hop_s))


class Source(Protocol):
    """Gives one stream after the other; `edgeapp.station.reconnector.Reconnector`."""

    @property
    def health(self) -> MicrophoneHealth: ...

    def streams(self) -> Iterator[StreamSource]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Opened:
    """A stream begins."""

    worker: SourceWorker
    stream: StreamSource
    ring: Ring


@dataclass(frozen=True)
class Heard:
    """A window of the stream that was opened last."""

    worker: SourceWorker
    window: Window
    moment: Moment


@dataclass(frozen=True)
class Measured:
    """How loud a minute of the stream that was opened last was, and how many of its samples never arrived."""

    worker: SourceWorker
    levels: SoundLevels
    moment: Moment
    lost_samples: int


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
    """The worker has ended; ``error`` says why, if it was not asked to."""

    worker: SourceWorker
    error: BaseException | None


Event = Opened | Heard | Measured | Closed | Ended


@dataclass(frozen=True)
class Windowing:
    """How sound becomes windows, and how much of it is kept for clips.

    Attributes
    ----------
    cut : callable
        Source to its windows, such as `edgeapp.recognition.recogniser.Recogniser.cut`.
    kept_s : float
        Seconds of sound that are kept.
    meters : bool
        Measure how loud it is.
    """

    cut: Callable[[AudioSource], Iterator[Window]]
    kept_s: float = WINDOW_S
    meters: bool = False


class SourceWorker:
    """Follow the streams of a source until there are no more.

    Parameters
    ----------
    name : str
        What the source is called until it is open.
    make_source : callable
        Makes the source from what it shall tell of every change of the health.
    cutting : Windowing
    events : queue.Queue
        Where the thread puts what it hears.
    duration_s : float or None
        End after so much sound, all streams together.
    """

    def __init__(
        self,
        name: str,
        make_source: Callable[[Callable[[Transition], None]], Source],
        cutting: Windowing,
        events: queue.Queue[Event],
        duration_s: float | None = None,
    ) -> None:
        self.name = name
        self._transitions: queue.SimpleQueue[Transition] = queue.SimpleQueue()
        self._source = make_source(self._transitions.put)
        self._cutting = cutting
        self._events = events
        self._left_s = duration_s
        self._stream: StreamSource | None = None
        self._device_id = ""
        self._lost = 0  # samples of the streams that have ended
        self._thread = threading.Thread(target=self._run, name=f"worker {name}", daemon=True)
        self.streams = 0

    @property
    def health(self) -> MicrophoneHealth:
        """What is known of the microphone."""
        return self._source.health

    @property
    def device_id(self) -> str:
        """Of the stream that was opened last; empty before the first."""
        return self._device_id

    @property
    def lost_samples(self) -> int:
        """Samples that never arrived, so far."""
        stream = self._stream
        return self._lost + (stream.dropped_samples if stream is not None else 0)

    def start(self) -> None:
        """Begin to hear."""
        self._thread.start()

    def close(self) -> None:
        """End after what has been heard so far. Safe in a signal handler; idempotent."""
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
        health = self.health
        level = health.level_dbfs
        return {
            "name": self.name,
            "device_id": self.device_id,
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
            with closing(self._source.streams()) as streams:  # type: ignore[type-var]  # a generator in every source
                for stream in streams:
                    self._follow(stream)
                    if self._left_s == 0:
                        self._source.close()
        except BaseException as raised:  # reported to the station's thread
            error = raised
        finally:
            self._events.put(Ended(self, error))

    def _follow(self, stream: StreamSource) -> None:
        """Hear one stream to its end."""
        self._stream = stream
        ring = Ring(stream.rate_hz, self._cutting.kept_s)
        stream.keep(ring, self._left_s)
        if self._cutting.meters:
            stream.measure()
        lost = 0
        self.name, self._device_id = stream.name, stream.device_id
        self.streams += 1
        self._events.put(Opened(self, stream, ring))
        fault = ""
        try:
            for window in islice(self._cutting.cut(stream), stream.skip_windows, None):
                self._events.put(Heard(self, window, stream.timeline.moment_of(window.start_s)))
                lost = self._measured(stream, lost)
        except AudioError as error:
            # Less sound than a window can be made of is no fault of the source.
            if stream.delivered >= MIN_CLIP_S * stream.rate_hz:
                fault = str(error)
                log.warning("%s", fault)
        except Exception as error:
            if stream.backend != FILE:
                raise
            # One recording in a folder must not end the others, whatever is wrong with it or with us.
            fault = f"{stream.name}: failed unexpectedly ({type(error).__name__}: {error})"
            log.exception("%s: failed unexpectedly; please report it with the file", stream.name)
        finally:
            stream.close()
            self._measured(stream, lost, over=True)
            self._stream = None
            self._left_s = stream.left_s
            self._lost += stream.dropped_samples
            ended = stream.timeline.moment_of(stream.delivered / stream.rate_hz)
            reason = fault or stream.end_reason or "ended"
            self._events.put(Closed(self, ended, reason, stream.dropped_samples, stream.kept))

    def _measured(self, stream: StreamSource, lost: int, over: bool = False) -> int:
        """Give what was measured since; `lost` samples were known before, and those that are known now are returned."""
        for levels in stream.measured(over):
            known, lost = lost, stream.dropped_samples
            moment = stream.timeline.moment_of(levels.start_s)
            self._events.put(Measured(self, levels, moment, lost - known))
        return lost
