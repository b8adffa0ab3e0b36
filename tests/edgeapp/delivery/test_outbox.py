"""A message stays until its target has it, and one fault does not become another's."""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
from datetime import timedelta

import pytest

from edgeapp.clock.system import SystemClock
from edgeapp.delivery.outbox import Outbox
from edgeapp.delivery.target import NotSent, Refused
from edgeapp.delivery.target_queue import CHECK_S, TRIES
from edgeapp.journal import Journal, Message
from tests.edgeapp.delivery.message_stores import START, MemoryStore, SqliteStore, SteppedClock


class Recorder:
    """A target that takes what it is not told to fail at."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.down: Exception | None = None
        self.bad: dict[int, Exception] = {}
        self.closed = False
        self.tried = 0

    def ready(self) -> bool:
        return False

    def send(self, payload) -> None:
        self.tried += 1
        if self.down is not None:
            raise self.down
        if payload["n"] in self.bad:
            raise self.bad[payload["n"]]
        self.got.append(payload["n"])

    def close(self) -> None:
        self.closed = True


@pytest.fixture(params=[MemoryStore, SqliteStore])
def store(request, tmp_path):
    return MemoryStore() if request.param is MemoryStore else SqliteStore(tmp_path / "messages.sqlite")


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def target():
    return Recorder()


def test_the_journal_is_a_store(tmp_path, clock, target):
    other = Recorder()
    other.down = NotSent("away")
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        journal.queue([Message("b", {"n": n}) for n in range(200)] + [Message("a", {"n": n}) for n in range(3)])
        outbox = outbox_of(journal, clock, a=target, b=other)
        assert outbox.turn("b") == 5.0
        outbox.turn("a")
        assert target.got == [0, 1, 2]
        assert [outbox.states()[name].waiting for name in "ab"] == [0, 200]
        assert [message.attempts for message in journal.due(math.inf, 2)] == [1, 0], "kept, for other times"
        other.down = None
        clock.pass_time(5.0)
        outbox.turn("b")
        assert other.got == list(range(200)) and journal.queue_length() == 0


def outbox_of(store, clock, jitter=lambda: 0.0, **targets) -> Outbox:
    return Outbox(store, targets, clock, jitter=jitter)


def fill(store, numbers, target="a", **fields) -> list[int]:
    return [store.queue(target, {"n": n, "id": f"id-{n}", **fields}) for n in numbers]


def test_messages_arrive_in_their_order_and_are_marked(store, clock, target):
    ids = fill(store, range(120))
    outbox_of(store, clock, a=target).turn("a")
    assert target.got == list(range(120))
    assert store.sent_ids == ids and store.queue_length() == 0


def test_a_target_that_is_down_is_tried_less_often_and_loses_nothing(store, clock, target):
    fill(store, range(3))
    outbox = outbox_of(store, clock, a=target)
    target.down = NotSent("the broker is away")
    waits = []
    for _ in range(13):
        waits.append(outbox.turn("a"))
        assert outbox.turn("a") == pytest.approx(waits[-1]), "woken too early, it does not try"
        clock.pass_time(waits[-1])
    assert waits == [min(5.0 * 2**n, 3600.0) for n in range(13)]
    assert target.tried == 13, "one message a try: the others wait behind it"
    assert store.errors[1] == "the broker is away"
    target.down = None
    outbox.turn("a")
    assert target.got == [0, 1, 2]
    assert outbox.states()["a"].state == "ok" and outbox.states()["a"].last_error == "the broker is away"


def test_jitter_spreads_the_tries(store, clock, target):
    fill(store, [1])
    target.down = NotSent("away")
    assert outbox_of(store, clock, jitter=lambda: 0.5, a=target).turn("a") == pytest.approx(4.5)


def test_a_target_that_asks_for_time_gets_it(store, clock, target):
    fill(store, [1])
    target.down = NotSent("busy", retry_after_s=120.0)
    assert outbox_of(store, clock, a=target).turn("a") == 120.0
    target.down = NotSent("busy", retry_after_s=1e9)
    assert outbox_of(store, clock, a=target).turn("a") == 86400.0


def test_a_target_that_is_down_does_not_hold_the_other_up(store, clock, target):
    fill(store, range(200), "b")
    fill(store, range(3), "a")
    other = Recorder()
    other.down = NotSent("away")
    outbox = outbox_of(store, clock, a=target, b=other)
    outbox.turn("b")
    outbox.turn("a")
    assert target.got == [0, 1, 2]
    states = outbox.states()
    assert (states["a"].state, states["a"].waiting, states["a"].sent) == ("ok", 0, 3)
    assert (states["b"].state, states["b"].waiting, states["b"].last_error) == ("down", 200, "away")


def test_one_bad_message_is_dropped_with_its_reason_and_holds_nobody_up(store, clock, target, caplog):
    fill(store, range(3))
    target.bad[1] = Refused("the hook answers 400 Bad Request")
    outbox = outbox_of(store, clock, a=target)
    outbox.turn("a")
    assert target.got == [0, 2], "the one behind it is not held up"
    for n in range(TRIES):
        clock.pass_time(3600.0)
        outbox.turn("a")
        assert store.queue_length() == 1 or n >= TRIES - 2
    assert store.dropped == {2: f"refused {TRIES} times: the hook answers 400 Bad Request"}
    assert [r.getMessage() for r in caplog.records if "id-1" in r.getMessage()], "named in the log"
    assert outbox.states()["a"].dropped == 1 and outbox.states()["a"].state == "ok"


def test_a_refusal_is_told_at_once_and_once(store, clock, target, caplog):
    fill(store, range(2))
    target.bad = {n: Refused("the hook answers 413") for n in range(2)}
    outbox = outbox_of(store, clock, a=target)
    outbox.turn("a")
    assert [one.getMessage() for one in caplog.records] == ["a: the hook answers 413; the message is tried again"]


def test_a_target_that_refuses_everything_loses_nothing(store, clock, target):
    fill(store, range(10))
    target.bad = {n: Refused("400") for n in range(11)}
    outbox = outbox_of(store, clock, a=target)
    for _ in range(200):
        clock.pass_time(outbox.turn("a"))
    assert outbox.states()["a"].state == "down"
    assert store.queue_length() == 10 and store.dropped == {}
    assert target.tried < 300
    target.bad = {}
    clock.pass_time(3600.0)
    outbox.turn("a")
    assert sorted(target.got) == list(range(10))


def test_a_target_that_is_there_and_takes_nothing_stays_down(store, clock, target, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    fill(store, range(2))
    monkeypatch.setattr(target, "ready", lambda: True)
    target.down = NotSent("not authorized")
    outbox = outbox_of(store, clock, a=target)
    waits = []
    for _ in range(4):
        waits.append(outbox.turn("a"))
        assert outbox.states()["a"].state == "down"
        clock.pass_time(waits[-1])
    assert waits == [5.0, 10.0, 20.0, 40.0]
    assert [record.message for record in caplog.records] == [
        "a: not authorized; messages are queued until it accepts them"
    ]
    target.down = None
    outbox.turn("a")
    assert target.got == [0, 1] and outbox.states()["a"].state == "ok"


def test_a_refused_message_that_was_dropped_meanwhile_is_forgotten(store, clock, target):
    fill(store, [1])
    target.bad[1] = Refused("400")
    outbox = outbox_of(store, clock, a=target)
    outbox.turn("a")
    store.drop_message(1, "by another", clock.now())
    clock.pass_time(10.0)
    assert outbox.turn("a") == CHECK_S, "its thread would turn without rest"


def test_a_message_that_was_taken_is_not_sent_again_unmarked(store, clock, target, caplog):
    fill(store, range(2))
    outbox = outbox_of(store, clock, a=target)
    mark, store.sent = store.sent, broken
    assert outbox.turn("a") == 5.0
    assert "the journal: OperationalError" in caplog.text
    clock.pass_time(5.0)
    outbox.turn("a")
    store.sent = mark
    clock.pass_time(5.0)
    outbox.turn("a")
    assert target.got == [0, 1] and store.queue_length() == 0


def broken(*_):
    raise sqlite3.OperationalError("database is locked")


def test_messages_that_grow_old_while_their_target_is_down_are_dropped(store, clock, target, caplog):
    fill(store, [1])
    fill(store, [2], "gone")
    target.down = NotSent("away")
    outbox = outbox_of(store, clock, a=target)
    outbox.turn("a")
    clock.pass_time(29 * 86400)
    outbox.turn("a")
    assert store.dropped == {}
    clock.pass_time(1.1 * 86400)
    outbox.turn("a")
    assert store.dropped == {1: "not sent in 30 days", 2: "not sent in 30 days"}
    assert outbox.states()["a"].dropped == 1
    assert "2 messages dropped, not sent in 30 days" in caplog.text


def test_an_old_message_is_sent_when_its_target_is_there(store, clock, target):
    fill(store, [1])
    clock.pass_time(90 * 86400)
    outbox_of(store, clock, a=target).turn("a")
    assert target.got == [1]


@pytest.mark.parametrize("days", [-400, 400])
def test_a_wall_clock_that_is_set_neither_ages_nor_stops_messages(store, clock, target, days):
    fill(store, [1])
    target.down = NotSent("away")
    outbox = outbox_of(store, clock, a=target)
    outbox.turn("a")
    clock.set_wall(timedelta(days=days))
    clock.pass_time(6.0)
    outbox.turn("a")
    assert target.tried == 2 and store.dropped == {}
    clock.pass_time(11.0)
    target.down = None
    outbox.turn("a")
    assert target.got == [1]


def test_a_message_from_before_the_clock_was_set_has_no_age(store, clock, target):
    store.queue("a", {"n": 1, "clock_set": False}, START - timedelta(days=400))
    store.queue("a", {"n": 2, "clock_set": True}, START - timedelta(days=400))
    target.down = NotSent("away")
    outbox_of(store, clock, a=target).turn("a")
    assert list(store.dropped) == [2]


def test_too_long_a_queue_loses_its_oldest_and_says_it_once(store, clock, target, caplog):
    target.down = NotSent("away")
    outbox = Outbox(store, {"a": target}, clock, max_messages=10, jitter=lambda: 0.0)
    fill(store, range(12))
    outbox.turn("a")
    fill(store, range(12, 15))
    outbox.turn("a")
    assert sorted(store.dropped) == [1, 2, 3, 4, 5] and store.queue_length() == 10
    assert set(store.dropped.values()) == {"more than 10 messages were waiting"}
    assert outbox.states()["a"].dropped == 5
    assert sum("the oldest are dropped" in record.getMessage() for record in caplog.records) == 1


def test_a_failure_is_said_once_and_so_is_its_end(store, clock, target, caplog):
    caplog.set_level(logging.INFO)
    fill(store, [1])
    outbox = outbox_of(store, clock, a=target)
    for error in (NotSent("away"), NotSent("away"), NotSent("wrong password"), NotSent("wrong password"), None):
        target.down = error
        clock.pass_time(outbox.turn("a"))
        clock.pass_time(3600)
    texts = [record.getMessage() for record in caplog.records]
    assert texts == ["a: away; messages are queued until it accepts them", "a: wrong password", "a: reachable again"]


def test_an_error_that_nobody_foresaw_shows_its_type_alone(store, clock, target, caplog):
    fill(store, [1])
    target.down = RuntimeError("token=secret")
    outbox = outbox_of(store, clock, a=target)
    outbox.turn("a")
    assert "secret" not in caplog.text and "secret" not in str(store.errors) + str(outbox.states())
    assert outbox.states()["a"].last_error == "RuntimeError" and store.queue_length() == 1


def test_the_state_is_told_when_the_journal_cannot_be_read(clock, target):
    store = MemoryStore()
    store.queue_length = broken
    assert outbox_of(store, clock, a=target).states()["a"].waiting == -1


def test_what_was_queued_before_a_restart_is_sent_after_it(tmp_path, clock):
    path = tmp_path / "messages.sqlite"
    before, away = SqliteStore(path), Recorder()
    away.down = NotSent("away")
    fill(before, range(3))
    outbox_of(before, clock, a=away).turn("a")
    before.close()
    after, there = SqliteStore(path), Recorder()
    clock.set_wall(timedelta(days=-100))  # the next boot does not know the time
    outbox_of(after, SteppedClock(), a=there).turn("a")
    assert there.got == [0, 1, 2] and after.queue_length() == 0


def test_a_message_is_sent_when_the_outbox_is_woken(store):
    arrived = threading.Event()

    class Bell(Recorder):
        def send(self, payload) -> None:
            super().send(payload)
            arrived.set()

    target = Bell()
    outbox = Outbox(store, {"a": target}, SystemClock())
    outbox.start()
    fill(store, [7])
    assert arrived.wait(5.0)
    outbox.close()
    assert target.got == [7] and target.closed


def test_closing_sends_what_it_can_and_waits_for_no_hung_target(store):
    hangs, entered = threading.Event(), threading.Event()

    class Hanging(Recorder):
        def send(self, payload) -> None:
            entered.set()
            hangs.wait(20.0)

    target = Recorder()
    outbox = Outbox(store, {"a": target, "b": Hanging()}, SystemClock())
    fill(store, [1], "b")
    outbox.start()
    assert entered.wait(5.0)
    fill(store, range(5))
    outbox.close(timeout=1.0)
    assert target.got == list(range(5)) and target.closed
    assert store.queue_length() == 1, "what hangs is still there"
    hangs.set()
