"""A station hears what `identify` hears, writes before it shows, and loses nothing that a disk or a cable can cost."""

from __future__ import annotations

import json
import queue
import sqlite3
from contextlib import closing
from datetime import timedelta

import numpy as np
import pytest

from edgeapp.audio.file import FileSource
from edgeapp.clips.clip_file import ClipFolder
from edgeapp.clips.recorder import Clips, ClipSettings
from edgeapp.detections.confirmation import Confirmation
from edgeapp.detections.filters import Filters, SpeciesList
from edgeapp.detections.verdict import Verdict
from edgeapp.errors import DeviceError
from edgeapp.journal import Journal, JournalError, Message
from edgeapp.station.microphone_health import State
from edgeapp.station.periodic import CheckJournal, Every, WatchClock
from edgeapp.station.source_worker import Cutting, Ear, Ended
from edgeapp.station.station import Keeping
from edgeapp.station.status import StatusFile, describing
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.station.listening import (
    CARD_HZ,
    NOON,
    Endless,
    Listening,
    Passing,
    Unplugged,
    deployment,
    piped,
    reopened,
    since_noon,
)


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def listening(recogniser, journal):
    return Listening(recogniser, journal)


@pytest.fixture
def rows(journal):
    def ask(sql: str) -> list[tuple]:
        with closing(sqlite3.connect(journal.path)) as connection:
            return connection.execute(sql).fetchall()

    return ask


def tit(seconds: float) -> np.ndarray:
    return toy.tone(1000, seconds=seconds, rate_hz=CARD_HZ)


def cuckoo(seconds: float) -> np.ndarray:
    return toy.tone(3000, seconds=seconds, rate_hz=CARD_HZ)


@pytest.fixture(scope="module")
def dawn_chorus() -> np.ndarray:
    """65 s at the card's rate: silence, a great tit, noise, a cuckoo, a tail that fills no hop."""
    parts = [np.zeros(12 * CARD_HZ), tit(18.0), toy.noise(14.0, rate_hz=CARD_HZ, level=0.02), cuckoo(21.3)]
    return np.concatenate(parts).astype(np.float32)


# the same decisions as identify


@pytest.mark.parametrize("hop_s", [5.0, 2.0])
def test_a_recording_is_decided_in_the_station_as_from_its_file(listening, recogniser, record, dawn_chorus, hop_s):
    from_file = list(recogniser.windows(FileSource(record("chorus.wav", dawn_chorus, CARD_HZ, subtype="FLOAT")), hop_s))

    listening.hear(dawn_chorus, hop_s=hop_s)
    live = [seen.result for seen in listening.screen.seen]

    assert [(w.start_s, w.end_s, w.heard) for w in live] == [(w.start_s, w.end_s, w.heard) for w in from_file]
    assert [w.decision and (w.decision.rank, w.decision.name) for w in live] == [
        w.decision and (w.decision.rank, w.decision.name) for w in from_file
    ]
    assert {w.decision.name for w in live if w.decision} >= {"Parus major", "Cuculus canorus"}
    for one, other in zip(live, from_file, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)


def test_the_journal_has_the_detections_that_identify_names(listening, journal, record, run, dawn_chorus):
    document = json.loads(run("identify", record("c.wav", dawn_chorus, CARD_HZ), "--format", "json").stdout)

    listening.hear(dawn_chorus)
    heard = [(row["start_s"], row["species"]) for row in journal.detections()]

    named = {window["start_s"]: window["species"] for window in document["windows"]}
    assert (15.0, "Parus major") in heard and (45.0, "Cuculus canorus") in heard
    assert all(named[start_s][0]["scientific_name"] == species for start_s, species in heard)


# every window ends in one way


def test_every_window_is_counted_once(listening, journal, rows, dawn_chorus):
    counts = listening.hear(dawn_chorus).counts

    assert sum(counts.values()) == len(listening.screen.seen) == 13
    assert counts[Verdict.SILENT] == 1 and counts[Verdict.NOTHING] >= 1
    assert counts[Verdict.DETECTION] == len(list(journal.detections()))
    assert journal.counts(1) == {verdict: n for verdict, n in counts.items() if n}


def test_silence_is_never_a_species(listening, journal):
    counts = listening.hear(np.zeros(30 * CARD_HZ, np.float32)).counts

    assert counts == {Verdict.SILENT: 5}
    assert list(journal.detections()) == []


def test_decisions_under_their_threshold_are_counted_and_not_kept(listening, recogniser, journal):
    unsure = tit(10.0) + 0.88 * cuckoo(10.0)
    strict = Filters(tuple(recogniser.taxa), least_probability=0.95)

    counts = listening.hear(np.concatenate([tit(10.0), unsure]), filters=strict, hop_s=10.0).counts

    assert counts == {Verdict.DETECTION: 1, Verdict.BELOW: 1}
    assert [row["start_s"] for row in journal.detections()] == [0.0]
    assert "under 0.95" in listening.screen.seen[1].why


def test_a_species_that_is_not_listed_is_counted_and_becomes_no_other(listening, recogniser, journal, tmp_path):
    (tmp_path / "list.txt").write_text("Cuculus canorus\n")
    listed = SpeciesList.read(tmp_path / "list.txt", recogniser.taxa)

    counts = listening.hear(tit(10.0), filters=Filters(tuple(recogniser.taxa), species_list=listed)).counts

    assert counts == {Verdict.UNLISTED: 1}
    assert list(journal.detections()) == []


class Talk:
    """A speech detector that hears a voice wherever the sound is loud enough."""

    threshold = 0.5

    def probability(self, samples: np.ndarray, rate_hz: int) -> float:
        return 0.9 if np.abs(samples).max() > 0.15 else 0.1


def test_a_window_in_which_somebody_speaks_is_counted_and_not_kept(listening, journal):
    counts = listening.hear(np.concatenate([tit(10.0), 3 * tit(10.0)]), speech=Talk(), hop_s=10.0).counts

    assert counts == {Verdict.DETECTION: 1, Verdict.SPEECH: 1}
    [kept] = journal.detections()
    assert (kept["start_s"], kept["speech"]) == (0.0, 0.1)


def test_a_decision_above_species_keeps_the_ranking_of_species(listening, journal):
    listening.hear(toy.tone(1000, 2000, seconds=10.0, rate_hz=CARD_HZ))
    (row,) = journal.detections()

    assert (row["rank"], row["name"]) == ("genus", "Parus")
    assert row["species"] in {"Parus major", "Parus minor"}
    assert [score["rank"] for score in journal.scores(row["id"])] == [1, 2, 3, 4]


# confirmation


def test_what_is_confirmed_later_is_a_detection_from_then_on(listening, journal, rows):
    sent = []

    def messages(number, seen):
        sent.append(number)
        return [Message("hook", {"id": number})]

    keeping = Keeping(lambda: Confirmation(2, 60.0, 10.0, 5.0), messages)
    station = listening.hear(tit(20.0), keeping=keeping)

    assert [seen.verdict for seen in listening.screen.seen] == [Verdict.UNCONFIRMED] * 2 + [Verdict.DETECTION]
    assert station.counts[Verdict.DETECTION] == 3 and station.counts[Verdict.UNCONFIRMED] == 0
    assert journal.counts(1)[Verdict.DETECTION] == 3
    assert [row["start_s"] for row in journal.detections()] == [0.0, 5.0, 10.0]
    assert sorted(sent) == [1, 2, 3] and journal.queue_length() == 3


def test_a_confirmation_that_is_counted_in_two_tries_is_counted_once(listening, journal, rows, monkeypatch):
    count, tries = journal.count, []

    def stubborn(stream, verdict, n=1):
        if n == 1 and verdict is Verdict.DETECTION and rows("SELECT 1 FROM window_counts WHERE n < 1"):
            tries.append(n)  # an earlier window has just left the unconfirmed
            if len(tries) == 1:
                raise JournalError("the disk is full", "make room")
        count(stream, verdict, n)

    monkeypatch.setattr(journal, "count", stubborn)
    counts = listening.hear(tit(20.0), confirm=2, hop_s=10.0).counts

    assert len(tries) == 2
    assert (counts[Verdict.DETECTION], counts[Verdict.UNCONFIRMED]) == (2, 0)
    assert rows("SELECT verdict, n FROM window_counts WHERE n") == [("detection", 2)]


def test_one_call_in_two_overlapping_windows_is_not_confirmed(listening, journal, rows):
    call = np.concatenate([0.01 * toy.noise(5.0, rate_hz=CARD_HZ), tit(5.0), 0.01 * toy.noise(5.0, rate_hz=CARD_HZ)])

    counts = listening.hear(call, confirm=2).counts

    assert counts[Verdict.DETECTION] == 0 and counts[Verdict.UNCONFIRMED] == 2
    assert list(journal.detections()) == []
    assert rows("SELECT count(*), sum(confirmed) FROM detections") == [(2, 0)]


# the journal comes first


def test_a_row_is_committed_before_it_is_shown(listening, rows, dawn_chorus):
    class Auditor:
        shown = 0

        def show(self, seen, station):
            self.shown += seen.verdict is Verdict.DETECTION
            assert rows("SELECT count(*) FROM detections") == [(self.shown,)]

        def microphone(self, name, transition):
            pass

        def close(self):
            pass

    listening.screen = Auditor()
    assert listening.hear(dawn_chorus).counts[Verdict.DETECTION] > 3


def stubborn(journal: Journal) -> sqlite3.Connection:
    """Make the journal refuse detections; the connection that can take the refusal back."""
    connection = sqlite3.connect(journal.path)
    connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON detections WHEN NEW.start_s > 20"
        " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    connection.commit()
    return connection


def test_what_the_journal_refuses_is_not_shown_and_told_at_the_end(listening, journal, rows, dawn_chorus):
    with closing(stubborn(journal)), pytest.raises(JournalError, match=r"disk is full.*: \d+ writes are lost"):
        listening.hear(dawn_chorus)

    assert max(seen.result.start_s for seen in listening.screen.seen if seen.verdict is Verdict.DETECTION) <= 20


def test_what_was_heard_while_the_disk_was_full_is_written_later(listening, journal, dawn_chorus):
    connection = stubborn(journal)

    def make_room(station):
        if len(station.ledger) > 10:
            connection.execute("DROP TRIGGER IF EXISTS full")
            connection.commit()

    with closing(connection):
        counts = listening.hear(dawn_chorus, duties=[make_room]).counts

    assert sum(counts.values()) == len(listening.screen.seen) == 13
    assert counts[Verdict.DETECTION] == len(list(journal.detections()))
    assert [row["start_s"] for row in journal.detections()][-1] > 40


# microphones come and go


def test_a_microphone_that_comes_back_starts_a_stream_and_loses_no_sound(listening, journal, rows, caplog):
    clock = listening.clock
    station = listening.station()
    first, second = Unplugged(tit(17.3), clock), Unplugged(cuckoo(10.0), clock)
    ear = listening.ear(station, reopened([first, second], clock))
    station.run([ear])

    assert [(seen.result.start_s, seen.result.decision.name) for seen in listening.screen.seen] == [
        (0.0, "Parus major"),
        (5.0, "Parus major"),
        (pytest.approx(7.3), "Parus major"),
        (0.0, "Cuculus canorus"),
    ]
    assert rows("SELECT id, end_reason, lost_samples FROM streams ORDER BY id") == [
        (1, "microphone microphone is gone", 0),
        (2, "microphone microphone is gone", 0),
    ]
    states = [state for _, state in listening.screen.states]
    assert "WARNING" in caplog.text and "microphone: lost (microphone microphone is gone)" in caplog.text
    assert states[:5] == ["hearing", "lost", "back", "hearing", "lost"]
    assert ear.streams == 2 and ear.hearing.state is State.LOST
    # 17.3 s of sound, a second's wait for the microphone, and then the cuckoo
    [cuckoo_row] = [row for row in journal.detections() if row["species"] == "Cuculus canorus"]
    assert cuckoo_row["time_utc"] == "2026-06-01T12:00:18.300Z"


def test_a_microphone_that_is_not_there_ends_the_station_with_one_error(listening, rows):
    def absent(tell):
        from edgeapp.station.reconnector import MicrophoneKeeper

        def refuse():
            raise DeviceError("no microphone is called 'usb'", "see the list")

        return MicrophoneKeeper(refuse, tell, clock=listening.clock)

    station = listening.station()
    endless = Endless(tit(1.0), listening.clock)
    with pytest.raises(DeviceError, match="no microphone is called 'usb'"):
        station.run([listening.ear(station, absent), listening.ear(station, piped(endless, listening.clock))])

    assert endless.closed
    assert rows("SELECT ended_utc IS NOT NULL FROM deployments") == [(1,)]


def test_a_station_that_is_closed_before_it_began_ends_at_once(listening, rows):
    station = listening.station()
    endless = Endless(tit(1.0), listening.clock)
    station.close()
    station.run([listening.ear(station, piped(endless, listening.clock))])

    assert sum(station.counts.values()) <= 1
    assert rows("SELECT ended_utc IS NOT NULL FROM deployments") == [(1,)]


def test_two_microphones_have_a_stream_each_and_every_window_is_counted(listening, journal, rows):
    station = listening.station()
    clock = listening.clock
    ears = [
        listening.ear(station, piped(Passing(tit(20.0), clock, "north"), clock)),
        listening.ear(station, piped(Passing(cuckoo(20.0), clock, "south"), clock)),
    ]
    station.run(ears)

    heard = {(row["source"], row["species"]) for row in journal.detections()}
    assert heard == {("north", "Parus major"), ("south", "Cuculus canorus")}
    assert sum(station.counts.values()) == 6
    assert rows("SELECT count(*) FROM streams") == [(2,)]


def test_lost_samples_are_counted_and_keep_their_place(listening, rows):
    station = listening.station()
    source = Passing(tit(10.0), listening.clock)
    ear = listening.ear(station, piped(source, listening.clock))
    ear._keeper._capture._opened.dropped_samples = 480
    station.run([ear])

    assert station.lost_samples == 480
    assert rows("SELECT lost_samples FROM streams") == [(480,)]


@pytest.mark.parametrize("seconds", [0.2, 0.0])
def test_too_little_sound_for_a_window_is_no_fault(listening, seconds):
    assert sum(listening.hear(tit(seconds)).counts.values()) == 0


def drained(events: queue.Queue) -> list:
    """What an ear says until its end."""
    found = [events.get(timeout=10.0)]
    while not isinstance(found[-1], Ended):
        found.append(events.get(timeout=10.0))
    return found


def test_the_duration_counts_sound_to_the_sample(listening, recogniser):
    events: queue.Queue = queue.Queue()
    ear = Ear("m", piped(Passing(tit(5.0), listening.clock), listening.clock), Cutting(recogniser.cut), events, 1.2345)
    ear.start()
    opened, *_, last = drained(events)

    assert isinstance(last, Ended) and last.error is None
    assert opened.ring.end_s * CARD_HZ == round(1.2345 * CARD_HZ)


# time


def test_times_are_those_at_which_the_sound_was_heard(listening, journal):
    listening.hear(np.concatenate([np.zeros(12 * CARD_HZ, np.float32), tit(18.0)]))

    assert [since_noon(seen.moment) for seen in listening.screen.seen] == pytest.approx([0, 5, 10, 15, 20], abs=0.2)
    assert [row["time_utc"][:19] for row in journal.detections()][-1] == "2026-06-01T12:00:20"


def test_rows_from_before_the_clock_was_set_are_marked_and_corrected(listening, journal, rows):
    clock = listening.clock
    clock._moment = listening.clock.now().__class__(NOON - timedelta(days=300), 50.0, False)
    marked = []

    def network(station):
        if len(list(journal.detections())) >= 2 and not marked:  # more on a busy machine
            marked.extend(rows("SELECT clock_set FROM detections"))
            clock.is_set(NOON)

    watch = WatchClock()
    listening.hear(tit(25.0), duties=[network, watch])

    assert len(marked) >= 2 and set(marked) == {(0,)}
    assert {row["clock_set"] for row in list(journal.detections())[: len(marked)]} == {2}
    times = [row["time_utc"] for row in journal.detections()]
    assert times == sorted(times) and times[0] >= "2026-06-01T11:59"
    assert all(written < "2026" for (written,) in rows("SELECT written_utc FROM detections WHERE clock_set = 2"))


# clips, status, duties


def test_the_sound_of_a_detection_is_kept_beside_it(listening, journal, tmp_path):
    folder = ClipFolder(tmp_path / "clips", print)
    settings = ClipSettings(tmp_path / "clips", "wav", 1.0, 1.0, 30.0)

    def clips(ring, stream):
        return Clips(settings, ring, journal, folder, listening.clock)

    listening.hear(
        np.concatenate([0.01 * toy.noise(12.0, rate_hz=CARD_HZ), tit(10.0), 0.01 * toy.noise(30.0, rate_hz=CARD_HZ)]),
        keeping=Keeping(clips=clips),
    )
    kept = list(journal.clips())

    assert len(kept) == 1 and kept[0].species == "Parus major"
    assert all(row["clip"] == kept[0].id for row in journal.detections())


def test_the_status_file_tells_what_the_station_does(listening, recogniser, tmp_path, dawn_chorus):
    file = StatusFile(tmp_path / "status.json")
    describe = describing("garden", deployment(recogniser), None)

    station = listening.hear(dawn_chorus, duties=[lambda station: file.write(describe(station))])
    status = json.loads(file.path.read_text())

    assert status["microphones"][0]["name"] == "microphone"
    assert status["microphones"][0]["state"] == "hearing"
    assert status["windows"] == {verdict.value: n for verdict, n in station.counts.items()}
    assert status["last_detection"]["name"] == "Cuculus canorus"
    assert status["journal"]["waiting"] == 0 and status["journal"]["trouble"] is None


def test_a_duty_is_done_at_once_and_then_after_its_time(listening):
    done = []
    every = Every(10.0, lambda station: done.append(listening.clock.now().boottime_s))
    later = Every(10.0, lambda station: done.append("later"), at_once=False)
    station = listening.station()
    for _ in range(25):
        every(station)
        listening.clock.passes(1.0)
    assert done == [1000.0, 1010.0, 1020.0]
    later(station)
    assert "later" not in done
    listening.clock.passes(10.0)
    later(station)
    assert done[-1] == "later"


def test_a_damaged_journal_is_told_once_a_day_and_the_station_goes_on(listening, journal, monkeypatch, caplog):
    def damaged():
        raise JournalError("journal.sqlite: is damaged", "move it away")

    monkeypatch.setattr(journal, "daily_check", damaged)
    check = CheckJournal()
    counts = listening.hear(tit(10.0), duties=[Every(86_400.0, check)]).counts

    assert "is damaged" in check.damage and caplog.text.count("is damaged") == 1
    assert counts == {Verdict.DETECTION: 1}
