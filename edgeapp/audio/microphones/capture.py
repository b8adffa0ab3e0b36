"""A microphone read by a child process, so that a sound library that hangs can be killed with it.

Every backend leads to the same blocks. What the recording's thread hands over goes into a bounded queue; what does not
fit is counted, heard as zeros, and keeps its place on the sample clock.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from edgeapp.audio.channels import Channel
from edgeapp.audio.microphones import backends, devices
from edgeapp.audio.microphones.addresses import is_address
from edgeapp.audio.microphones.backends import Heard
from edgeapp.audio.microphones.channel_health import ChannelFault, LiveMixer
from edgeapp.audio.microphones.microphone import BLOCK_S, QUEUE_S, STALL_S, channels_to_record
from edgeapp.audio.microphones.recording import Recording, Recordings, gone
from edgeapp.audio.source import Block
from edgeapp.audio.timeline import Timeline
from edgeapp.clock.system import Clock
from edgeapp.errors import DeviceError

WAITING_S = 1.0


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
    channel : Channel
        Which channels are heard, as `LiveMixer` takes it.
    recordings : Recordings or None
        Those of the other sources, to share the recorder of a device with them.
    claim : Callable
        Called with the device before it is opened; raises DeviceError where another station has it.

    Attributes
    ----------
    name, device_id : str
        Of the device; the second is the most stable one it has.
    backend : str
        The one that was taken.
    rate_hz : int
        A rate the card has; the pipeline resamples.
    channels : int
        How many the recorder gives.
    captured_samples : int
        Position after the newest sample, lost ones counted.
    dropped_samples : int
        Samples lost because the card overran or the queue was full; the consumer got zeros in their place.
    timeline : Timeline
        Dates positions of this clock.
    pid : int
        Of the child process, which leads a session of its own.
    recording : Recording
    on_waiting : Callable
        Called by `blocks` about each second in which no sample comes.
    on_channels : Callable
        Called by `blocks` with the faults of the channels whenever they change.
    on_frames : Callable
        Called by `blocks` with the frames ``[n, channels]`` before they are mixed.

    Raises
    ------
    DeviceError
        The device is missing or ambiguous, has no such channel, the recorder does not start, or it refuses the device.
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
        channel: Channel | None = None,
        recordings: Recordings | None = None,
        claim: Callable[[devices.SoundDevice], object] = lambda device: None,
    ) -> None:
        self.stall_s = stall_s
        self.captured_samples = self.dropped_samples = 0
        self.on_waiting: Callable[[], object] = lambda: None
        self.on_channels: Callable[[Sequence[ChannelFault]], object] = lambda faults: None
        self.on_frames: Callable[[np.ndarray], object] = lambda frames: None
        self.ended = False  # a plain flag: the lock inside an Event could be held by the very thread a signal stops
        # SimpleQueue.put is reentrant, so that a signal handler may call close() while this thread waits in get().
        self._queue: queue.SimpleQueue[Heard | DeviceError | None] = queue.SimpleQueue()
        self._queued = 0  # samples put into the queue so far, and taken out of it: one writer each
        self._taken = 0
        self._lost_here = 0
        self._before: Heard | None = None  # the first that arrived: an open recording has been running
        self._clock, self._queue_s = clock, queue_s
        channel = channel or Channel()
        found = [] if isinstance(device, str) and is_address(device) else listing()
        chosen, self.backend = devices.find(device, backend, found)
        claim(chosen)
        self.name, self.device_id = chosen.name, chosen.device_id
        if chosen.channels and channel.number > chosen.channels:
            raise self._without(channel, chosen.channels)
        recorded = replace(chosen, channels=channels_to_record(chosen.channels, channel.number))
        (recordings or Recordings()).join(
            (device, backend), self, lambda: Recording(recorded, self.backend, found, stall_s)
        )
        if channel.number > self.channels:
            self.close()
            self.recording.left()
            raise self._without(channel, self.channels)
        self._mixer = LiveMixer(self.channels, self.rate_hz, channel, lambda faults: self.on_channels(faults))

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
                self.on_frames(heard.samples)
                yield Block(position, self._mixer.add(heard.samples))
                position += len(heard.samples)
        finally:
            self.close()
            self.recording.left()
            self._queue = queue.SimpleQueue()  # without the sound that nobody took, however long this object lives

    def close(self) -> None:
        """End `blocks()` after what has been heard so far. Safe in a signal handler; idempotent."""
        self.ended = True
        self._queue.put(None)

    def joined(self, recording: Recording) -> None:
        """Know what is listened to, before anything arrives."""
        self.recording = recording
        self.pid, self.rate_hz, self.channels = recording.pid, recording.rate_hz, recording.channels
        self.timeline = Timeline(self.rate_hz, self._clock)
        self._room = round(self._queue_s * self.rate_hz)

    def arrived(self, heard: Heard) -> None:
        """Take what was recorded; for the thread of the recording."""
        if self._before is None:
            # Positions begin with the first sample that is heard, and losses before it are no concern of this source.
            self._before = heard if heard.start else replace(heard, lost=0)
        first = self._before.start
        heard = replace(
            heard, start=heard.start - first, lost=heard.lost - self._before.lost, captured=heard.captured - first
        )
        self.captured_samples = heard.captured
        self.timeline.arrived(heard.captured)
        if self._queued - self._taken + len(heard.samples) <= self._room:
            self._queued += len(heard.samples)
            self._queue.put(heard)
        else:
            self._lost_here += len(heard.samples)
        self.dropped_samples = heard.lost + self._lost_here

    def failed(self, error: DeviceError) -> None:
        """Take the end of the recording; for its thread."""
        self._queue.put(error)

    def _without(self, channel: Channel, channels: int) -> DeviceError:
        has = f"{channels} channels" if channels > 1 else "one channel"
        return DeviceError(f"microphone {self.name} has only {has}, no channel {channel.number}", "choose another")

    def _next(self) -> Heard | DeviceError | None:
        end = time.monotonic() + self.stall_s
        while True:
            try:
                return self._queue.get(timeout=max(0.0, min(WAITING_S, end - time.monotonic())))
            except queue.Empty:
                self.on_waiting()
            if time.monotonic() >= end:
                error = gone(self.recording.device, f": no samples for {self.stall_s:g} s")
                self.recording.fail(error)  # nobody shall join it now
                raise error
