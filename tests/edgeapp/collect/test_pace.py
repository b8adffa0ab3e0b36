"""How fast hosts are asked."""

from __future__ import annotations

import threading

import pytest

from edgeapp.clock.retry_after import asked_pause_s
from edgeapp.collect.pace import HOUR_S, LONGEST_PAUSE_S, LongPause, Manners, Pace, Stopped
from tests.edgeapp.collect.archive_server import http_date


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_host_is_asked_no_faster_than_it_bears(clock):
    pace = Pace(per_s=2.0, clock=clock)
    pace.wait("a")
    assert pace.delay_s("a") == pytest.approx(0.5)
    assert pace.delay_s("b") == 0.0


def test_what_hosts_ask_for_is_known():
    assert Pace().manners("api.inaturalist.org").per_s == 1.0
    assert Pace(per_s=9.0).manners("static.inaturalist.org") == Manners(9.0, 2, 4.5e9)
    assert Pace().manners("www.xeno-canto.org") == Pace().manners("xeno-canto.org")
    assert Pace().manners("de.wikipedia.org") == Pace().manners("en.wikipedia.org") != Manners()


def test_pauses_double_until_the_host_answers(clock):
    pace = Pace(per_s=1e9, pause_s=1.0, clock=clock)
    assert [pace.refused("a", None) for _ in range(4)] == [1.0, 2.0, 4.0, 8.0]
    pace.answered("a")
    assert pace.refused("a", None) == 1.0
    assert max(pace.refused("a", None) for _ in range(20)) == LONGEST_PAUSE_S


def test_a_pause_that_is_asked_for_is_kept(clock):
    pace = Pace(per_s=1e9, clock=clock)
    assert pace.refused("a", 30.0) == 30.0
    assert pace.delay_s("a") == 30.0


def test_an_hours_quota_is_kept(clock):
    pace = Pace(per_s=1e9, clock=clock)
    pace.took("static.inaturalist.org", 4_400_000_000)
    assert pace.delay_s("static.inaturalist.org") == 0.0
    clock.now_s += 600.0
    pace.took("static.inaturalist.org", 200_000_000)
    assert pace.delay_s("static.inaturalist.org") == pytest.approx(HOUR_S - 600.0)
    clock.now_s += HOUR_S
    pace.took("static.inaturalist.org", 10)
    assert pace.delay_s("static.inaturalist.org") == 0.0


def test_who_has_a_turn_does_not_wait_for_a_pause_of_a_day():
    pace = Pace(per_s=1.0)
    pace.wait("a", longest_s=900.0)
    threading.Timer(0.05, pace.refused, ("a", 86400.0)).start()  # while somebody waits for the next turn
    with pytest.raises(LongPause):
        pace.wait("a", longest_s=900.0)


def test_who_waits_ends_with_the_run():
    stop = threading.Event()
    pace = Pace(per_s=0.001, stop=stop)
    pace.wait("a")
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Stopped):
        pace.wait("a")


@pytest.mark.parametrize(
    ("retry_after", "date", "seconds"),
    [
        ("7", "", 7.0),
        ("2.5", "", 2.5),
        (http_date(1090), http_date(1000), 90.0),
        (http_date(1090), "", 40.0),
        (http_date(1000), http_date(1090), 0.0),
        ("-3", "", 0.0),
        ("soon", "", None),
        ("inf", "", None),
        ("nan", "", None),
        ("", "", None),
    ],
)
def test_pauses_are_read_as_seconds_or_a_date(retry_after, date, seconds):
    assert asked_pause_s(retry_after, date, now_s=lambda: 1050.0) == seconds
