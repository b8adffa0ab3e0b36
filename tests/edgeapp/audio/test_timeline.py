"""A window has the time at which it was heard, whatever the clock, the card and the machine do meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from edgeapp.audio.timeline import Timeline
from edgeapp.clock.system import Moment

START = datetime(2026, 6, 7, 4, 0, tzinfo=timezone.utc)
RATE_HZ = 48000


class Clock:
    boot_id = "test"

    def __init__(self) -> None:
        self.boottime_s = 1000.0
        self.step_s = 0.0

    def now(self) -> Moment:
        return Moment(START + timedelta(seconds=self.boottime_s - 1000.0 + self.step_s), self.boottime_s)


def record(timeline: Timeline, clock: Clock, seconds: float, begin: int = 0, crystal: float = 1.0, late=lambda s: 0.0):
    """Let a card give ``seconds`` of sound, a block each 0.1 s; the position after them."""
    origin = clock.boottime_s
    position = begin
    for block in range(1, round(seconds * 10) + 1):
        clock.boottime_s = origin + block / 10 + late(block / 10)
        position = begin + round(block / 10 * RATE_HZ * crystal)
        timeline.arrived(position)
    return position


def test_a_position_is_dated_from_the_start_of_the_sound():
    clock = Clock()
    timeline = Timeline(RATE_HZ, clock)
    record(timeline, clock, 60)

    moment = timeline.moment_of(12.5)

    assert moment.boottime_s == pytest.approx(1012.5, abs=1e-3)
    assert abs(moment.utc - (START + timedelta(seconds=12.5))) < timedelta(milliseconds=1)


def test_a_reader_that_is_held_up_dates_no_window_late():
    clock = Clock()
    timeline = Timeline(RATE_HZ, clock)
    record(timeline, clock, 60, late=lambda s: 0.0 if int(s) % 4 else 0.4)

    assert timeline.moment_of(55.0).boottime_s == pytest.approx(1055.0, abs=0.01)


def test_a_late_reader_dates_by_its_most_punctual_arrivals():
    clock = Clock()
    timeline = Timeline(RATE_HZ, clock)
    record(timeline, clock, 60, late=lambda s: 0.3 * abs(np.sin(s * 7.3)) + (0.5 if s > 54 else 0.0))

    assert timeline.moment_of(55.0).boottime_s == pytest.approx(1055.0, abs=0.03)


def test_a_window_judged_late_has_the_time_at_which_it_was_heard():
    clock = Clock()
    timeline = Timeline(RATE_HZ, clock)
    record(timeline, clock, 20)
    clock.boottime_s += 7.0  # the encoder was busy

    assert timeline.moment_of(10.0).boottime_s == pytest.approx(1010.0, abs=1e-3)


def test_a_crystal_that_drifts_for_a_day_does_not_add_up():
    clock = Clock()
    timeline = Timeline(RATE_HZ, clock)
    position = record(timeline, clock, 3600 * 3, crystal=1 + 1e-4)  # 100 ppm: 1.08 s in three hours

    assert timeline.moment_of(position / RATE_HZ).boottime_s == pytest.approx(clock.boottime_s, abs=0.01)


@pytest.mark.parametrize("step_s", [86400.0, -86400.0])
def test_a_wall_clock_that_is_set_leaves_the_boot_clock_alone(step_s):
    clock = Clock()
    timeline = Timeline(RATE_HZ, clock)
    record(timeline, clock, 30)
    clock.step_s = step_s

    moment = timeline.moment_of(20.0)

    assert moment.boottime_s == pytest.approx(1020.0, abs=1e-3)
    assert abs(moment.utc - (START + timedelta(seconds=20.0 + step_s))) < timedelta(milliseconds=1)


def test_a_machine_that_slept_dates_rightly_again_soon():
    clock = Clock()
    timeline = Timeline(RATE_HZ, clock)
    position = record(timeline, clock, 30)
    clock.boottime_s += 3600.0
    position = record(timeline, clock, 11, begin=position)

    assert timeline.moment_of(position / RATE_HZ).boottime_s == pytest.approx(clock.boottime_s, abs=0.01)


def test_a_source_that_gave_nothing_yet_is_dated_now():
    clock = Clock()

    assert Timeline(RATE_HZ, clock).moment_of(0.0) == clock.now()
