"""A microphone that is opened again, in a fresh process, for as long as the station runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from edgeapp.audio.microphones.capture import Capture
from edgeapp.audio.microphones.channel_health import ChannelFault
from edgeapp.audio.source import AudioSource
from edgeapp.audio.timeline import Timeline
from edgeapp.clock.system import Clock, SystemClock
from edgeapp.errors import DeviceError
from edgeapp.station.microphone_health import MicrophoneHealth, State, Transition
from edgeapp.station.stream_source import StreamSource

FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 60.0  # doubled with every try that fails
GOOD_S = 60.0  # good sound after which the next loss counts as the first
SLICE_S = 0.2  # how soon `close` ends a delay


class OpenMicrophone(AudioSource, Protocol):
    """The part of `Capture` that is used; tests supply their own."""

    device_id: str
    backend: str
    dropped_samples: int
    timeline: Timeline
    on_waiting: Callable[[], object]
    on_channels: Callable[[Sequence[ChannelFault]], object]


class Reconnector:
    """Gives one stream after the other of the same microphone.

    Parameters
    ----------
    open_capture : Callable[[], OpenMicrophone]
        Opens the microphone in a fresh process; such as ``lambda: Capture("usb-path:1-1.2")``.
    tell : Callable[[Transition], None]
        Called with every change of the health.
    clock : Clock or None
        The machine's own when None.
    sleep : Callable[[float], None]
    wait : bool
        Wait for a microphone that is not there in the beginning either.
    channel : int or None
        The one that is heard, from 1, where one was chosen.

    Attributes
    ----------
    health : MicrophoneHealth
        What is known of the microphone; may be asked from any thread.
    """

    def __init__(
        self,
        open_capture: Callable[[], OpenMicrophone] = Capture,
        tell: Callable[[Transition], None] = lambda transition: None,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        wait: bool = False,
        channel: int | None = None,
    ) -> None:
        self._channel = channel
        self._open = open_capture
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._wait = wait
        self._closed = False
        self._present: StreamSource | None = None
        self._opened = 0
        self.health = MicrophoneHealth(
            48_000, self._clock.now().boottime_s, tell
        )  # the rate is known with the first capture

    def streams(self) -> Iterator[StreamSource]:
        """Open the microphone again and again until `close`; the next one when the caller asks for it.

        Raises
        ------
        DeviceError
            The first opening failed, and `wait` is False.
        """
        delay_s = FIRST_DELAY_S
        while not self._closed:
            try:
                opened = self._open()
            except DeviceError as error:
                if not self._opened and not self._wait:
                    raise
                self.health.lost(str(error), self._clock.now().boottime_s)
            else:
                self._opened += 1
                yield from self._attended(opened)
                if self.health.good_s >= GOOD_S:
                    delay_s = FIRST_DELAY_S
            self._pause(delay_s)
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)

    def close(self) -> None:
        """End the present stream after what it has heard, and open no other. Safe in a signal handler; idempotent."""
        self._closed = True
        if self._present is not None:
            self._present.close()

    def _attended(self, opened: OpenMicrophone) -> Iterator[StreamSource]:
        self.health.reopened(self._clock.now().boottime_s, opened.rate_hz)
        opened.on_waiting = lambda: self.health.tick(self._clock.now().boottime_s)
        opened.on_channels = lambda faults: self.health.channels(faults, self._clock.now().boottime_s)
        self._present = stream = StreamSource(
            opened,
            self.health,
            self._clock,
            device_id=opened.device_id,
            backend=opened.backend,
            timeline=opened.timeline,
            lost=lambda: opened.dropped_samples,
            channel=self._channel,
        )
        if self._closed:  # while it was being opened
            stream.close()
        try:
            yield stream
        finally:
            stream.close()
            self._present = None
        if not self._closed and self.health.state is not State.LOST:
            # The caller left off in the middle; the time until the next capture is not heard.
            self.health.lost(stream.end_reason or "given up", self._clock.now().boottime_s)

    def _pause(self, seconds: float) -> None:
        while seconds > 0 and not self._closed:
            self._sleep(min(SLICE_S, seconds))
            seconds -= SLICE_S
