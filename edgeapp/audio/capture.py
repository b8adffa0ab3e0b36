"""A microphone read by a child process, so that a sound library that hangs can be killed with it.

Every backend leads to the same blocks. A thread reads what the child writes, as it comes, and puts it into a bounded
queue; what does not fit is counted, heard as zeros, and keeps its place on the sample clock.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from edgeapp.audio import backends, devices
from edgeapp.audio.backends import Heard, Reader
from edgeapp.audio.child import Child
from edgeapp.audio.microphone import BLOCK_S, QUEUE_S, STALL_S
from edgeapp.audio.source import Block
from edgeapp.audio.timeline import Timeline
from edgeapp.clock.system import Clock
from edgeapp.errors import DeviceError

OPEN_S = 30.0  # a small board takes seconds to start Python and to let ALSA try every sound server
WAITING_S = 1.0
WAKE_S = 0.2  # how soon the reading thread sees that the capture was closed

UNPLUGGED = "check its cable and that no other program holds it"


class Capture:
    """A microphone as an `AudioSource`: mono float32 blocks without gaps on the sample clock of the card.

    The recorder starts at once. It is closed by `close`, by the end of `blocks`, or with this process, however that
    ends.

    Parameters
    ----------
    device : str, int or None
        As `devices.find` takes it; None is the default microphone.
    backend : str
        ``auto`` or one of `backends.BACKENDS`.
    stall_s : float
        Seconds without a sample after which the microphone counts as lost.
    queue_s : float
        Seconds of sound kept for a busy consumer.
    clock : Clock or None
        Of the timeline; the machine's own when None.
    listing : Callable
        Gives the devices of this machine.

    Attributes
    ----------
    name, device_id : str
        Of the device; the second is the most stable one it has.
    backend : str
        The one that was taken.
    rate_hz : int
        A rate the card has; the pipeline resamples.
    captured_samples : int
        Position after the newest sample, lost ones counted.
    dropped_samples : int
        Samples lost because the card overran or the queue was full; the consumer got zeros in their place.
    timeline : Timeline
        Dates positions of this clock.
    pid : int
        Of the child process, which leads a session of its own.
    on_waiting : Callable
        Called by `blocks` about each second in which no sample comes.

    Raises
    ------
    DeviceError
        The device is missing or ambiguous, the recorder does not start, or it refuses the device.
    """

    live = True
    notes: tuple[str, ...] = ()
    fault: str | None = None  # its state is reported as an error, not as a note

    def __init__(
        self,
        device: str | int | None = None,
        backend: str = backends.AUTO,
        *,
        stall_s: float = STALL_S,
        queue_s: float = QUEUE_S,
        clock: Clock | None = None,
        listing: Callable[[], list[devices.SoundDevice]] = devices.listing,
    ) -> None:
        found = listing()
        chosen, self.backend = devices.find(device, backend, found)
        self.name, self.device_id = chosen.name, chosen.device_id
        self.stall_s = stall_s
        self.captured_samples = self.dropped_samples = 0
        self.on_waiting: Callable[[], object] = lambda: None
        self._ended = False  # a plain flag: the lock inside an Event could be held by the very thread a signal stops
        # SimpleQueue.put is reentrant, so that a signal handler may call close() while this thread waits in get().
        self._queue: queue.SimpleQueue[Heard | DeviceError | None] = queue.SimpleQueue()
        self._queued = 0  # samples put into the queue so far, and taken out of it: one writer each
        self._taken = 0
        self._lost_here = 0
        self._clock = clock
        self._child, reader, first = self._opened(chosen, found)
        self.pid = self._child.pid
        self.rate_hz = reader.rate_hz
        self.timeline = Timeline(self.rate_hz, clock)
        self._room = round(queue_s * self.rate_hz)
        self._arrived(first)
        self._thread = threading.Thread(target=self._follow, args=(reader,), name="microphone", daemon=True)
        self._thread.start()

    def blocks(self) -> Iterator[Block]:
        """Record until `close()`.

        Yields
        ------
        Block
            About 0.1 s each; zeros where samples were lost.

        Raises
        ------
        DeviceError
            The recorder ended, or no sample came for `stall_s` seconds.
        """
        position = 0
        hole_samples = max(1, round(BLOCK_S * self.rate_hz))
        try:
            while True:
                heard = self._next()
                if heard is None:
                    return
                if isinstance(heard, DeviceError):
                    raise heard
                self._taken += len(heard.samples)
                while position < heard.start:
                    hole = min(heard.start - position, hole_samples)
                    yield Block(position, np.zeros(hole, np.float32))
                    position += hole
                yield Block(position, heard.samples)
                position += len(heard.samples)
        finally:
            self.close()
            self._thread.join(timeout=10.0)

    def _next(self) -> Heard | DeviceError | None:
        end = time.monotonic() + self.stall_s
        while True:
            try:
                return self._queue.get(timeout=max(0.0, min(WAITING_S, end - time.monotonic())))
            except queue.Empty:
                self.on_waiting()
            if time.monotonic() >= end:
                raise DeviceError(f"microphone {self.name}: no samples for {self.stall_s:g} s", UNPLUGGED)

    def close(self) -> None:
        """End `blocks()` after what has been heard so far. Safe in a signal handler; idempotent."""
        self._ended = True
        self._queue.put(None)

    def _opened(
        self, chosen: devices.SoundDevice, found: list[devices.SoundDevice]
    ) -> tuple[Child, Reader, list[Heard]]:
        """Start a recorder and wait for its first samples, or its error."""
        reader = backends.load(self.backend).reader(chosen, found, self.stall_s)
        while True:
            child = Child(reader.command)
            try:
                return self._started(child, reader)
            except DeviceError:
                other = reader.otherwise("\n".join(child.told))
                if other is None:
                    raise
                reader = other

    def _started(self, child: Child, reader: Reader) -> tuple[Child, Reader, list[Heard]]:
        self._child = child
        end = time.monotonic() + OPEN_S
        try:
            while time.monotonic() < end and not self._ended:
                raw, told, ended = child.read(WAKE_S)
                heard = reader.feed(raw, told, child.told)
                if heard:
                    return child, reader, heard
                if ended:
                    raise self._gone(
                        reader, "does not open", "close other programs that record, or choose another --device"
                    )
        except BaseException:
            child.end()
            raise
        child.end()
        raise DeviceError(f"microphone {self.name}: no samples for {OPEN_S:g} s after it was opened", UNPLUGGED)

    def _follow(self, reader: Reader) -> None:
        """Read until the end: the reading thread."""
        try:
            while not self._ended:
                raw, told, ended = self._child.read(WAKE_S)
                self._arrived(reader.feed(raw, told, self._child.told))
                if ended:
                    self._queue.put(self._gone(reader, "is gone", UNPLUGGED))
                    return
        except DeviceError as error:
            self._queue.put(error)
        finally:
            self._child.end()

    def _arrived(self, pieces: list[Heard]) -> None:
        for heard in pieces:
            self.captured_samples = heard.captured
            self.timeline.arrived(heard.captured)
            if self._queued - self._taken + len(heard.samples) <= self._room:
                self._queued += len(heard.samples)
                self._queue.put(heard)
            else:
                self._lost_here += len(heard.samples)
            self.dropped_samples = heard.lost + self._lost_here

    def _gone(self, reader: Reader, what: str, remedy: str) -> DeviceError:
        self._child.end()  # so that all of its messages are read
        return reader.error or DeviceError(f"microphone {self.name} {what} ({self._child.last_words})", remedy)
