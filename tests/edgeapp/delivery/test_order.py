"""What was sent and has changed is sent again; what was not sent yet is right when it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from edgeapp.clock.system import Moment
from edgeapp.delivery.order import BATCH, LONGEST_QUIET_S, QUIET_S
from edgeapp.delivery.outbox import Outbox
from edgeapp.delivery.target import NotSent, Refused
from edgeapp.delivery.target_queue import CHECK_S, TRIES
from edgeapp.journal import Clip, Journal, Message, Review
from tests.edgeapp.delivery.message_stores import SteppedClock
from tests.edgeapp.journal.samples import GREAT_TIT, MICROPHONE, begin


class Taker:
    """A target that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[dict] = []
        self.down: Exception | None = None

    def ready(self) -> bool:
        return False

    def send(self, payload) -> None:
        if self.down is not None:
            raise self.down
        self.got.append(dict(payload))

    def close(self) -> None:
        pass

    @property
    def told(self) -> list[tuple[str, bool]]:
        return [(one["id"], one["updated"]) for one in self.got]


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def target():
    return Taker()


def heard(journal: Journal, clock: SteppedClock, stream: int = 0, *targets: str) -> int:
    """Record a detection that targets are to be told of."""
    now = clock.now()
    at = replace(GREAT_TIT, time=now)
    messages = [Message(one, created=now) for one in targets or ("a",)]
    return journal.record(stream or begin(journal), at, lambda: messages)


def quiet(outbox: Outbox, clock: SteppedClock, seconds: float = QUIET_S) -> None:
    """Let time pass in which nothing changes."""
    outbox.turn("a")
    clock.pass_time(seconds)
    outbox.turn("a")


def clip_of(journal: Journal, stream: int, detection: int) -> None:
    made = Clip("/clips/2026/05/tit.flac", "flac", 0.0, 10.0, stream, 9, Moment(GREAT_TIT.time.utc, 5.0))
    journal.add_clip(made, [detection])


def test_a_time_corrected_before_a_message_is_sent_is_right_in_it(journal, clock, target):
    clock.set_wall(timedelta(days=-1000), clock_set=False)
    heard(journal, clock)
    target.down = NotSent("away")
    outbox = Outbox(journal, {"a": target}, clock, jitter=lambda: 0.0)
    outbox.turn("a")
    clock.set_wall(timedelta(days=1000))
    journal.correct_times(MICROPHONE.boot_id, clock.now().utc_of_boot)
    clock.pass_time(60.0)
    outbox.turn("a")
    assert target.got == [] and journal.queue_length() == 1, "its age is not that of the wrong clock"
    target.down = None
    clock.pass_time(60.0)
    outbox.turn("a")
    [message] = target.got
    assert (message["time"], message["clock"], message["updated"]) == ("2026-05-01T04:00:00.000Z", "corrected", False)


def test_a_correction_reaches_who_got_the_wrong_time(journal, clock, target):
    clock.set_wall(timedelta(days=-1000), clock_set=False)
    heard(journal, clock)
    outbox = Outbox(journal, {"a": target}, clock)
    outbox.turn("a")
    clock.set_wall(timedelta(days=1000))
    journal.correct_times(MICROPHONE.boot_id, clock.now().utc_of_boot)
    quiet(outbox, clock)
    before, after = target.got
    assert (before["clock"], after["clock"], after["updated"]) == ("unset", "corrected", True)
    assert before["id"] == after["id"] and after["time"] == "2026-05-01T04:00:00.000Z"


def test_a_review_of_any_program_is_an_update_and_so_is_its_withdrawal(journal, clock, target):
    detection = heard(journal, clock)
    outbox = Outbox(journal, {"a": target}, clock)
    outbox.turn("a")
    with Journal.open(journal.path) as other:
        review = other.add_review(Review(detection, "corrected", "ana", "Parus minor"))
    quiet(outbox, clock)
    with Journal.open(journal.path) as other:
        other.remove_review(review)
    quiet(outbox, clock)
    verdicts = [one["review"] and one["review"]["scientific_name"] for one in target.got]
    assert verdicts == [None, "Parus minor", None] and [one["updated"] for one in target.got] == [False, True, True]


def test_growth_clip_and_review_are_one_update(journal, clock, target):
    stream = begin(journal)
    detection = heard(journal, clock, stream)
    outbox = Outbox(journal, {"a": target}, clock)
    assert outbox.turn("a") == CHECK_S
    for n in range(1, 4):
        clock.pass_time(5.0)
        journal.extend(detection, replace(GREAT_TIT, end_s=GREAT_TIT.end_s + 5 * n, windows=1 + n))
        outbox.turn("a")
    clip_of(journal, stream, detection)
    journal.add_review(Review(detection, "confirmed", "ana"))
    quiet(outbox, clock, QUIET_S - 0.1)
    assert len(target.got) == 1
    clock.pass_time(0.1)
    outbox.turn("a")
    quiet(outbox, clock)
    _, update = target.got
    assert update["end_s"] == GREAT_TIT.end_s + 15 and update["clip"] == "2026/05/tit.flac"
    assert update["review"]["verdict"] == "confirmed"


def test_a_detection_that_never_stops_changing_is_told_of_all_the_same(journal, clock, target):
    detection = heard(journal, clock)
    outbox = Outbox(journal, {"a": target}, clock)
    outbox.turn("a")
    for _ in range(round(LONGEST_QUIET_S / 10.0) + 2):
        journal.add_review(Review(detection, "confirmed", "ana"))
        outbox.turn("a")
        clock.pass_time(10.0)
    assert len(target.got) == 2


def test_new_detections_go_before_thousands_of_updates(journal, clock, target):
    stream = begin(journal)
    clock.set_wall(timedelta(days=-1000), clock_set=False)
    many = [heard(journal, clock, stream) for _ in range(BATCH + 10)]
    outbox = Outbox(journal, {"a": target}, clock)
    outbox.turn("a")
    clock.set_wall(timedelta(days=1000))
    journal.correct_times(MICROPHONE.boot_id, clock.now().utc_of_boot)
    outbox.turn("a")
    clock.pass_time(QUIET_S)
    heard(journal, clock, stream)
    outbox.turn("a")
    sent = [one["updated"] for one in target.got]
    assert sent == [False] * (len(many) + 1) + [True] * BATCH, "and not all at once"
    quiet(outbox, clock)
    assert len(target.got) == 2 * len(many) + 1 and len(set(target.told)) == len(target.told)


def test_a_change_while_a_message_is_on_its_way_is_not_missed(journal, clock, target):
    detection = heard(journal, clock)
    send = target.send

    def reviewed_meanwhile(payload) -> None:
        if not payload["updated"]:
            journal.add_review(Review(detection, "rejected", "ana"))
        send(payload)

    target.send = reviewed_meanwhile
    outbox = Outbox(journal, {"a": target}, clock)
    outbox.turn("a")
    quiet(outbox, clock)
    assert [one["review"] and one["review"]["verdict"] for one in target.got] == [None, "rejected"]


def test_an_update_outlives_the_station_and_one_that_ends_does_not_wait(journal, clock, target):
    detection = heard(journal, clock)
    Outbox(journal, {"a": target}, clock).turn("a")
    journal.add_review(Review(detection, "confirmed", "ana"))
    outbox = Outbox(journal, {"a": target}, clock)
    outbox.start()
    outbox.close()
    assert [one["updated"] for one in target.got] == [False, True]


def test_an_update_that_is_refused_is_given_up_and_the_next_one_is_not(journal, clock, target):
    stream = begin(journal)
    detection = heard(journal, clock, stream)
    outbox = Outbox(journal, {"a": target}, clock)
    outbox.turn("a")
    send, bad = target.send, True

    def refuses_updates(payload) -> None:
        if payload["updated"] and bad:
            raise Refused("400")
        send(payload)

    target.send = refuses_updates
    journal.add_review(Review(detection, "confirmed", "ana"))
    for _ in range(3 * TRIES):
        heard(journal, clock, stream)
        quiet(outbox, clock, 3600.0)
    assert outbox.states()["a"].dropped == 1 and not any(one["updated"] for one in target.got)
    bad = False
    journal.add_review(Review(detection, "rejected", "ana"))
    quiet(outbox, clock)
    assert [one["review"]["verdict"] for one in target.got if one["updated"]] == ["rejected"]


def test_who_wants_no_updates_gets_a_message_once_with_its_clip(journal, clock, target):
    stream = begin(journal)
    detection = heard(journal, clock, stream)
    outbox = Outbox(journal, {"a": target}, clock, once=["a"], clip_wait_s=120.0)
    assert outbox.turn("a") == CHECK_S and target.got == []
    clock.pass_time(30.0)
    clip_of(journal, stream, detection)
    outbox.turn("a")
    journal.add_review(Review(detection, "rejected", "ana"))
    quiet(outbox, clock)
    assert [one["clip"] for one in target.got] == ["2026/05/tit.flac"]
    assert journal.changed() == [], "nor later, when it wants them again"


@pytest.mark.parametrize("ends", ["time", "stream"])
def test_a_message_waits_for_its_clip_no_longer_than_it_can_come(journal, clock, target, ends):
    stream = begin(journal)
    heard(journal, clock, stream)
    outbox = Outbox(journal, {"a": target}, clock, once=["a"], clip_wait_s=120.0)
    outbox.turn("a")
    clock.pass_time(119.0 if ends == "stream" else 120.0)
    if ends == "stream":
        journal.close_stream(stream, clock.now(), "unplugged", 0)
    outbox.turn("a")
    assert [one["clip"] for one in target.got] == [None]


def test_a_waiting_clip_holds_no_other_message_up(journal, clock, target):
    waiting, over = begin(journal), begin(journal)
    heard(journal, clock, waiting)
    heard(journal, clock, over)
    journal.close_stream(over, clock.now(), "ended", 0)
    outbox = Outbox(journal, {"a": target}, clock, once=["a"], clip_wait_s=120.0)
    outbox.turn("a")
    assert len(target.got) == 1 and journal.queue_length() == 1


def test_a_message_whose_detection_is_gone_is_not_sent(journal, clock, target):
    heard(journal, clock)
    journal._connection.execute("PRAGMA foreign_keys = OFF")
    journal._connection.execute("DELETE FROM detections")
    Outbox(journal, {"a": target}, clock).turn("a")
    assert target.got == [] and journal.queue_length() == 0
