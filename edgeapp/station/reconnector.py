"""A microphone that is opened again, in a fresh process, for as long as the station runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Protocol

from edgeapp.audio.capture import Capture
from edgeapp.audio.source import Block
from edgeapp.audio.timeline import Timeline
from edgeapp.clock.system import Clock, SystemClock
from edgeapp.errors import DeviceError
from edgeapp.station.microphone_health import MicrophoneHealth, State, Transition

FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 60.0  # doubled with every try that fails
GOOD_S = 60.0  # good sound after which the next loss counts as the first
SLICE_S = 0.2  # how soon `close` ends a delay

CLOSED = "closed"


class OpenMicrophone(Protocol):
    """What the source needs of a `Capture`; the tests bring their own."""

    name: str
    device_id: str
    backend: str
    rate_hz: int
    captured_samples: int
    dropped_samples: int
    timeline: Timeline
    on_waiting: Callable[[], None]

    def blocks(self) -> Iterator[Block]: ...

    def close(self) -> None: ...


class MicrophoneCapture:
    """One unbroken stretch of a microphone as an `AudioSource`: what the journal calls a stream.

    Its `blocks` end without an error when the microphone is lost; `end_reason` says why.

    Attributes
    ----------
    name, device_id, backend : str
    rate_hz, captured_samples, dropped_samples : int
    timeline : Timeline
    end_reason : str or None
        Why the sound ended, once it has: ``closed``, or what became of the microphone.
    """

    live = True
    skip_windows = 0  # nobody has heard them before

    def __init__(self, opened: OpenMicrophone, health: MicrophoneHealth, clock: Clock) -> None:
        self._opened = opened
        self._health = health
        self._clock = clock
        self.name, self.device_id, self.backend = opened.name, opened.device_id, opened.backend
        self.rate_hz = opened.rate_hz
        self.timeline = opened.timeline
        self.end_reason: str | None = None
        opened.on_waiting = lambda: self._tick()

    @property
    def captured_samples(self) -> int:
        """Position after the newest sample, lost ones counted."""
        return self._opened.captured_samples

    @property
    def dropped_samples(self) -> int:
        """Samples lost, heard as zeros."""
        return self._opened.dropped_samples

    def blocks(self) -> Iterator[Block]:
        """Record until the microphone is lost or `close` is called."""
        try:
            with closing(self._opened.blocks()) as blocks:  # type: ignore[type-var]  # a generator in every source
                for block in blocks:
                    self._health.observe(block.samples, self._clock.now().boottime_s)
                    yield block
        except DeviceError as error:
            self.end_reason = error.what
            self._health.lost(error.what, self._clock.now().boottime_s)
        else:
            self.end_reason = CLOSED

    def close(self) -> None:
        """End the sound after what has been heard so far. May be called from a signal handler, and twice."""
        self._opened.close()

    def kept(self, stream_id: int) -> None:
        """Nothing is left to do when the journal has it all."""

    def _tick(self) -> None:
        self._health.tick(self._clock.now().boottime_s)


class Reconnector:
    """Gives one capture after the other of the same microphone.

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
    ) -> None:
        self._open = open_capture
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._wait = wait
        self._closed = False
        self._present: MicrophoneCapture | None = None
        self._opened = 0
        self.health = MicrophoneHealth(
            48_000, self._clock.now().boottime_s, tell
        )  # the rate is known with the first capture

    def captures(self) -> Iterator[MicrophoneCapture]:
        """Open the microphone again and again until `close`; the next one when the caller asks for it.

        Raises
        ------
        DeviceError
            The first opening failed, and nobody said `wait`.
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
        """End the present capture after what it has heard, and open no other. Safe in a signal handler, and twice."""
        self._closed = True
        if self._present is not None:
            self._present.close()

    def _attended(self, opened: OpenMicrophone) -> Iterator[MicrophoneCapture]:
        self.health.reopened(self._clock.now().boottime_s, opened.rate_hz)
        self._present = capture = MicrophoneCapture(opened, self.health, self._clock)
        if self._closed:  # while it was being opened
            capture.close()
        try:
            yield capture
        finally:
            capture.close()
            self._present = None
        if not self._closed and self.health.state is not State.LOST:
            # The caller left off in the middle; the time until the next capture is not heard.
            self.health.lost(capture.end_reason or "given up", self._clock.now().boottime_s)

    def _pause(self, seconds: float) -> None:
        while seconds > 0 and not self._closed:
            self._sleep(min(SLICE_S, seconds))
            seconds -= SLICE_S
