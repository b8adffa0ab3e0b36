"""A microphone that is lost is opened again, in a fresh process, for ever, and what happens meanwhile is told."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from edgeapp.audio.microphones.capture import Capture
from edgeapp.audio.source import Block
from edgeapp.audio.timeline import Timeline
from edgeapp.clock.system import Moment
from edgeapp.errors import DeviceError
from edgeapp.station.microphone_health import State, Transition
from edgeapp.station.reconnector import Reconnector
from edgeapp.station.stream_source import CLOSED
from tests.edgeapp import pulse_server

RATE_HZ = 16000
RNG = np.random.default_rng(3)


class Clock:
    boot_id = "test"

    def __init__(self) -> None:
        self.boottime_s = 0.0

    def now(self) -> Moment:
        return Moment(datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=self.boottime_s), self.boottime_s)

    def sleep(self, seconds: float) -> None:
        self.boottime_s += seconds


class FakeCapture:
    """Gives some seconds of noise and is then lost."""

    name = device_id = "usb-path:1-1.2"
    backend = "portaudio"
    rate_hz = RATE_HZ
    dropped_samples = 7
    live = True
    notes: tuple[str, ...] = ()
    fault = None

    def __init__(self, clock: Clock, seconds: int, ending: str | None = "No such device", stalled_s: int = 0) -> None:
        self._clock, self._seconds, self._ending, self._stalled_s = clock, seconds, ending, stalled_s
        self.timeline = Timeline(RATE_HZ, clock)
        self.closed = False
        self.on_waiting = lambda: None

    def blocks(self):
        for second in range(self._seconds):
            if self.closed:
                return
            self._clock.boottime_s += 1.0
            yield Block(second * RATE_HZ, RNG.normal(0, 0.01, RATE_HZ).astype(np.float32))
        for _ in range(self._stalled_s):
            self._clock.boottime_s += 1.0
            self.on_waiting()
        if self._ending:
            raise DeviceError(self._ending, "check its cable")

    def close(self) -> None:
        self.closed = True


class Desk:
    """A source of microphones that a test hands out one by one, and what it told."""

    def __init__(self, *plan, wait: bool = False) -> None:
        self.clock = Clock()
        self.told: list[Transition] = []
        self.tries_s: list[float] = []
        self._plan = iter(plan)
        self.source = Reconnector(self._open, self.told.append, clock=self.clock, sleep=self.clock.sleep, wait=wait)

    def _open(self) -> FakeCapture:
        self.tries_s.append(round(self.clock.boottime_s, 3))
        step = next(self._plan, None)
        if step is None:
            self.source.close()
            step = "the plan has ended"
        if isinstance(step, str):
            raise DeviceError(step)
        return FakeCapture(self.clock, **step)

    def run(self) -> list:
        captures = []
        for capture in self.source.streams():
            heard = sum(len(block.samples) for block in capture.blocks())
            captures.append((heard / RATE_HZ, capture.end_reason))
        return captures

    @property
    def states(self) -> list[str]:
        return [transition.state.value for transition in self.told]


def test_a_microphone_that_is_lost_is_opened_again_as_a_new_capture():
    desk = Desk({"seconds": 5}, {"seconds": 3, "ending": "no samples for 10 s"})

    assert desk.run() == [(5.0, "No such device"), (3.0, "no samples for 10 s")]
    assert desk.states == ["hearing", "lost", "back", "hearing", "lost"]
    assert [transition.why for transition in desk.told if transition.state is State.LOST] == [
        "No such device",
        "no samples for 10 s",
    ]


def test_tries_that_fail_are_further_and_further_apart_up_to_a_minute():
    desk = Desk({"seconds": 5}, *["Device or resource busy"] * 9)
    desk.run()

    assert np.diff(desk.tries_s[1:]).round().tolist() == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert desk.tries_s[1] == 5 + 1
    assert desk.states == ["hearing", "lost"]
    assert desk.source.health.why.startswith("the plan")


def test_a_minute_of_good_sound_makes_the_next_loss_the_first():
    short = Desk({"seconds": 5}, "busy", "busy", {"seconds": 59}, {"seconds": 1})
    long = Desk({"seconds": 5}, "busy", "busy", {"seconds": 61}, {"seconds": 1})
    short.run()
    long.run()

    assert short.tries_s[4] - short.tries_s[3] == pytest.approx(59 + 8)
    assert long.tries_s[4] - long.tries_s[3] == pytest.approx(61 + 1)


def test_a_first_opening_that_fails_is_an_error():
    with pytest.raises(DeviceError, match="no microphone found"):
        Desk("no microphone found").run()


def test_a_station_that_waits_hears_when_the_microphone_comes():
    desk = Desk("no microphone found", "no microphone found", {"seconds": 2}, wait=True)

    assert desk.run() == [(2.0, "No such device")]
    assert desk.states == ["lost", "back", "hearing", "lost"]


def test_a_recorder_that_gives_nothing_is_stalled_before_it_is_lost():
    desk = Desk({"seconds": 2, "stalled_s": 10, "ending": "no samples for 10 s"})
    desk.run()

    assert desk.states == ["hearing", "stalled", "lost"]
    assert desk.told[1].at_s == pytest.approx(5.0)


def test_closing_ends_the_capture_and_opens_no_other():
    desk = Desk({"seconds": 100}, {"seconds": 100})
    reasons = []
    for capture in desk.source.streams():
        for block in capture.blocks():
            if block.end == 5 * RATE_HZ:
                desk.source.close()
                desk.source.close()
        reasons.append(capture.end_reason)

    assert reasons == [CLOSED]
    assert len(desk.tries_s) == 1
    assert desk.states == ["hearing"]


def test_closing_ends_the_wait_for_a_microphone():
    desk = Desk({"seconds": 1}, *["busy"] * 20)
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) > 20:
            desk.source.close()

    desk.source._sleep = sleep
    desk.run()

    assert sum(slept) < 21
    assert len(desk.tries_s) < 7


LACKING = pulse_server.missing() or ("" if shutil.which("arecord") else "arecord is not installed (Debian: alsa-utils)")


@pytest.mark.skipif(bool(LACKING), reason=LACKING)
@pytest.mark.parametrize("backend", ["portaudio", "arecord"])
def test_a_sound_server_that_returns_is_heard_by_a_fresh_recorder(tmp_path: Path, monkeypatch, backend):
    told: list[Transition] = []
    source = Reconnector(lambda: Capture("pulse", backend, stall_s=5.0), told.append)
    captures = source.streams()

    def serve(name: str):
        folder = tmp_path / name
        folder.mkdir()
        server = pulse_server.pulse_server(folder)
        started = server.__enter__()
        for key in ("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "PULSE_SERVER"):
            monkeypatch.setenv(key, started.environment[key])
        return server

    server = serve("first")
    first = next(captures)
    blocks = first.blocks()
    next(blocks)
    server.__exit__(None, None, None)
    list(blocks)
    assert first.end_reason and source.health.state is State.LOST

    server = serve("second")
    try:
        second = next(captures)
        blocks = second.blocks()
        assert next(blocks).start == 0
        os.kill(second._source.pid, signal.SIGSTOP)  # the recorder, or the shell that watches over it
        source.close()
        list(blocks)
        assert second.end_reason == CLOSED
        assert [transition.state.value for transition in told][-2:] == ["lost", "back"]
    finally:
        server.__exit__(None, None, None)
    assert list(captures) == []
