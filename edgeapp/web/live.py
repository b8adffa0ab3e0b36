"""What a station tells its page while it listens: windows as they are judged, detections, microphones, and sound.

The station's thread only publishes. Spectrograms are computed by the server, from the newest sound that a stream keeps
anyway, and only while somebody looks.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeapp.audio.spectra.spectrogram import Scale, SpectrogramStream
from edgeapp.audio.windows import level_dbfs
from edgeapp.clips.ring import INT16_FULL_SCALE, Ring
from edgeapp.detections.document import cleaned, level_field
from edgeapp.station.microphone_health import Transition
from edgeapp.station.observation import Observation
from edgeapp.station.screens import window_event
from edgeapp.web.events import Events

if TYPE_CHECKING:
    from edgeapp.station.source_worker import SourceWorker
    from edgeapp.station.station import Station

COLUMN_S = 0.05
ROWS = 96
HIGH_HZ = 16_000.0
TICK_S = 0.5
KEPT_COLUMNS = 1_200  # a minute
AWAY_S = 20.0  # of sound that is computed at once when somebody begins to look
# The levels of bytes 0 and 255; the page stretches what it sees.
SCALE = Scale(np.full(ROWS, -120.0, np.float32), 100.0)


@dataclass(frozen=True)
class Columns:
    """Some columns of a source.

    Attributes
    ----------
    first : int
        Number of the first one, counted since its stream began.
    values : np.ndarray
        ``[n, ROWS]`` uint8, the lowest frequency first.
    level_dbfs : float
        RMS of the newest of the sound.
    """

    first: int
    values: np.ndarray
    level_dbfs: float


class SourceSound:
    """The spectrogram of the stream of one source, as far as anybody looks at it.

    Parameters
    ----------
    name : str
        Of the source.
    ring : Ring
        Its newest sound.
    number : int
        Of the stream, so that a page sees where another one begins.
    """

    def __init__(self, name: str, ring: Ring, number: int) -> None:
        self.name, self.number = name, number
        self.high_hz = min(HIGH_HZ, ring.rate_hz / 2)
        self._ring = ring
        self._stream: SpectrogramStream | None = None
        self._at = 0  # sample that comes next
        self._first = 0  # column of the stream where `_stream` began
        self._kept: deque[np.ndarray] = deque(maxlen=KEPT_COLUMNS)
        self._end = 0  # column after the newest one
        self._level = float("-inf")

    def advance(self) -> None:
        """Compute the columns of the sound that came since."""
        rate, end_s = self._ring.rate_hz, self._ring.end_s
        end = round(end_s * rate)
        hop = round(COLUMN_S * rate)
        if self._stream is None or end - self._at > AWAY_S * rate:
            start_s = max(self._ring.start_s, end_s - AWAY_S)
            self._first = -(-round(start_s * rate) // hop)
            self._at = self._first * hop
            self._stream = SpectrogramStream(rate, hop / rate, ROWS, self.high_hz)
            self._end = self._first
            self._kept.clear()
        start_s, samples = self._ring.cut(self._at / rate, end_s)
        if not len(samples):
            return
        self._at = round(start_s * rate) + len(samples)
        sound = samples.astype(np.float32) / np.float32(INT16_FULL_SCALE)
        self._level = level_dbfs(sound)
        levels = self._stream.add(sound)
        for column in SCALE.shades(levels):
            self._kept.append(column)
            self._end += 1

    def after(self, column: int) -> Columns:
        """The columns from a number on that are still kept."""
        first = max(column, self._end - len(self._kept))
        chosen = list(self._kept)[len(self._kept) - (self._end - first) :] if first < self._end else []
        values = np.stack(chosen) if chosen else np.zeros((0, ROWS), np.uint8)
        return Columns(first, values, self._level)

    @property
    def column_s(self) -> float:
        """Seconds of a column."""
        return round(COLUMN_S * self._ring.rate_hz) / self._ring.rate_hz


class Live:
    """A screen of the station that is a page.

    Attributes
    ----------
    events : Events
        Of windows, detections and microphones.
    """

    def __init__(self) -> None:
        self.events = Events()
        self._sounds: dict[SourceWorker, SourceSound] = {}
        self._streams = 0
        self._lookers = 0
        self._closed = False
        self._lock = threading.Lock()
        self._ticked: asyncio.Event | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._state: Callable[[], dict[str, Any]] = dict

    def attach(self, describe: Callable[[], dict[str, Any]]) -> None:
        """Set what tells the state of the station, as in the status file."""
        self._state = describe

    def state(self) -> dict[str, Any]:
        """The state of the station."""
        return self._state()

    # The station's thread

    def opened(self, worker: SourceWorker, ring: Ring) -> None:
        """A stream of a source began; the one before it is forgotten, or a watched folder would fill the memory."""
        with self._lock:
            self._streams += 1
            self._sounds[worker] = SourceSound(str(cleaned(worker.name)), ring, self._streams)

    def show(self, seen: Observation, station: Station) -> None:
        """Publish a window as it was judged."""
        event = window_event(seen, station)
        self.events.publish("window", event)

    def detection(self, document: dict[str, Any]) -> None:
        """Publish a detection that is over."""
        self.events.publish("detection", document)

    def microphone(self, name: str, transition: Transition) -> None:
        """Publish the state of a microphone."""
        told = {"source": cleaned(name), "state": transition.state.value, "why": transition.why or None}
        self.events.publish("microphone", told)

    def close(self) -> None:
        """End the streams of all pages."""
        self._closed = True
        self.events.close()

    # The server's loop

    async def sound(self) -> AsyncIterator[str]:
        """A stream of server-sent events with the newest columns of every source, twice a second; endless."""
        positions: dict[tuple[str, int], int] = {}
        self._lookers += 1
        try:
            yield "retry: 2000\n\n"
            while not self._closed:
                ticked = self._tick()
                for sound in self._now():
                    key = (sound.name, sound.number)
                    columns = sound.after(positions.get(key, 0))
                    if len(columns.values):
                        positions[key] = columns.first + len(columns.values)
                        yield _sound_event(sound, columns)
                await ticked.wait()
        finally:
            self._lookers -= 1

    def _now(self) -> list[SourceSound]:
        with self._lock:
            return list(self._sounds.values())

    def _tick(self) -> asyncio.Event:
        """Set when there is new sound. One task computes for all who look, and ends with the last of them."""
        if self._ticked is None or self._ticked.is_set():
            self._ticked = asyncio.Event()
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._keep_ticking())
        return self._ticked

    async def _keep_ticking(self) -> None:
        while self._lookers > 0:
            await asyncio.to_thread(self._advance)
            if self._ticked is not None:
                self._ticked.set()
            await asyncio.sleep(TICK_S)

    def _advance(self) -> None:
        for sound in self._now():
            sound.advance()


def _sound_event(sound: SourceSound, columns: Columns) -> str:
    told = {
        "source": sound.name,
        "stream": sound.number,
        "first": columns.first,
        "column_s": sound.column_s,
        "rows": ROWS,
        "high_hz": sound.high_hz,
        "level_dbfs": level_field(columns.level_dbfs),
        "columns": base64.b64encode(columns.values.tobytes()).decode("ascii"),
    }
    return f"event: sound\ndata: {json.dumps(told, ensure_ascii=False, allow_nan=False)}\n\n"
