"""What a station does beside listening: it corrects what was written by a clock that was wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from edgeapp.clock.sources import KERNEL, NONE, RTC, TRUSTED, Judgement
from edgeapp.journal import Journal
from edgeapp.station.periodic import WatchClock
from tests.edgeapp.delivery.message_stores import SteppedClock
from tests.edgeapp.journal.samples import GREAT_TIT, begin

TRUTH = "2026-05-01T04:00"


@pytest.fixture
def station(tmp_path):
    """A station of which only the clock and the journal are there."""
    clock = SteppedClock()
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        writing = SimpleNamespace(write=lambda *steps: [step() for step in steps])
        yield SimpleNamespace(clock=clock, journal=journal, write_queue=writing)


def heard(station, moment=None) -> None:
    """A detection of this moment, or of another, is written now."""
    at = moment or station.clock.now()
    station.journal.record(begin(station.journal, at, station.clock.boot_id), replace(GREAT_TIT, time=at))


def times(station) -> list[tuple[str, int]]:
    return [(row["time_utc"][:16], row["clock_set"]) for row in station.journal.detections()]


def test_what_is_written_long_after_the_clock_was_set_is_corrected_too(station):
    watch = WatchClock()
    station.clock.set_wall(timedelta(days=-1000), clock_set=False)
    waited = station.clock.now()
    watch(station)
    heard(station)
    station.clock.set_wall(timedelta(days=1000))
    watch(station)
    heard(station, waited)
    watch(station)
    assert times(station) == [(TRUTH, 2), (TRUTH, 2)]


@pytest.mark.parametrize(
    ("source", "then", "told"),
    [
        (RTC, KERNEL, [(TRUTH, 2)]),
        (RTC, RTC, [("2026-05-01T01:00", 1)]),
        (TRUSTED, TRUSTED, [("2026-05-01T01:00", 1)]),
        (KERNEL, KERNEL, [("2026-05-01T01:00", 1)]),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_real_time_clock_that_turns_out_wrong_is_corrected(station, source, then, told, late):
    judged = Judgement(source, "")
    watch = WatchClock(lambda: judged)
    station.clock.set_wall(timedelta(hours=-3))
    watch(station)
    heard(station)
    station.clock.set_wall(timedelta(hours=3))
    if late:  # the service says so only a while after it set the clock
        watch(station)
    judged = Judgement(then, "")
    watch(station)
    assert times(station) == told


def test_a_clock_that_is_not_set_is_told_with_what_waits_for_it(station, caplog):
    station.clock.set_wall(timedelta(0), clock_set=False)
    WatchClock(lambda: Judgement(NONE, "there is no real-time clock"), ("clips are not deleted", "eBird waits"))(
        station
    )
    assert "the clock is not set (there is no real-time clock)" in caplog.text
    assert "clips are not deleted; eBird waits" in caplog.text
