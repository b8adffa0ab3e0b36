"""A station hears what `identify` hears, writes before it shows, and loses nothing that a disk or a cable can cost."""

from __future__ import annotations

import gc
import json
import queue
import sqlite3
import weakref
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from edgeapp.audio.file import FileSource
from edgeapp.clips.clip_file import ClipFolder
from edgeapp.clips.recorder import Clips
from edgeapp.clips.settings import ClipSettings
from edgeapp.detections.confirmation import Confirmation
from edgeapp.detections.filters import Filters, SpeciesList
from edgeapp.detections.verdict import Verdict
from edgeapp.errors import DeviceError
from edgeapp.journal import Journal, JournalError, Message
from edgeapp.pack.format import Pack
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.microphone_health import State
from edgeapp.station.periodic import Every, WatchClock, check_journal
from edgeapp.station.source_worker import Ended, SourceWorker, Windowing, queue_windows
from edgeapp.station.station import Storage
from edgeapp.station.status import StatusFile, describing
from gallery.vocabulary import Vocabulary
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.station.listening import (
    CARD_HZ,
    NOON,
    Endless,
    Listening,
    Passing,
    Unplugged,
    Watched,
    deployment,
    piped,
    reopened,
    since_noon,
)


@pytest.fixture
def demanding(toy_pack, journal):
    """A pack that names a species only where it is very sure of it."""
    made = Recogniser(Pack.load(toy_pack), threads=1)
    made.vocabulary = Vocabulary(made.index, replace(made.parameters, threshold=0.9999))
    return Listening(made, journal)


def tit(seconds: float) -> np.ndarray:
    return toy.tone(1000, seconds=seconds, rate_hz=CARD_HZ)


def a_parus(seconds: float) -> np.ndarray:
    """Too little of a great tit and of a Japanese tit for a demanding pack."""
    both = toy.tone(1000, 2000, seconds=seconds, rate_hz=CARD_HZ)
    return both + 0.3 * toy.tone(500, seconds=seconds, rate_hz=CARD_HZ)


def cuckoo(seconds: float) -> np.ndarray:
    return toy.tone(3000, seconds=seconds, rate_hz=CARD_HZ)


@pytest.fixture(scope="module")
def dawn_chorus() -> np.ndarray:
    """65 s at the card's rate: silence, a great tit, noise, a cuckoo, a tail that fills no hop."""
    parts = [np.zeros(12 * CARD_HZ), tit(18.0), toy.noise(14.0, rate_hz=CARD_HZ, level=0.02), cuckoo(21.3)]
    return np.concatenate(parts).astype(np.float32)


def named(window) -> list[tuple[str, str]]:
    return [(one.taxon_rank, one.scientific_name) for one in window.detections]


# the same detections as identify


@pytest.mark.parametrize("hop_s", [5.0, 2.0])
def test_a_recording_holds_the_same_through_the_station_as_from_its_file(
    listening, recogniser, record, dawn_chorus, hop_s
):
    from_file = list(recogniser.windows(FileSource(record("chorus.wav", dawn_chorus, CARD_HZ, subtype="FLOAT")), hop_s))

    listening.hear(dawn_chorus, hop_s=hop_s)
    live = [seen.result for seen in listening.screen.seen]

    assert [(w.start_s, w.end_s, w.heard) for w in live] == [(w.start_s, w.end_s, w.heard) for w in from_file]
    assert [named(w) for w in live] == [named(w) for w in from_file]
    assert {name for w in live for _, name in named(w)} >= {"Parus major", "Cuculus canorus"}
    for one, other in zip(live, from_file, strict=True):
        np.testing.assert_allclose(one.confidences, other.confidences, atol=1e-6)


def test_the_journal_has_the_detections_that_identify_names(listening, journal, record, run, dawn_chorus):
    document = json.loads(run("identify", record("c.wav", dawn_chorus, CARD_HZ), "--format", "json").stdout)

    listening.hear(dawn_chorus)
    heard = [journal.document(row) for row in journal.detections()]

    fields = ("start_s", "end_s", "taxon", "confidence")
    assert [[one[field] for field in fields] for one in heard] == [
        [one[field] for field in fields] for one in document["detections"]
    ]
    assert {one["taxon"]["scientific_name"] for one in heard} >= {"Parus major", "Cuculus canorus"}


# every window ends in one way


def test_every_window_is_counted_once(listening, journal, rows, dawn_chorus):
    station = listening.hear(dawn_chorus)
    counts = station.counts

    assert sum(counts.values()) == len(listening.screen.seen) == 13
    assert counts[Verdict.SILENT] == 1 and counts[Verdict.NOTHING] >= 1
    assert counts[Verdict.DETECTION] == sum(row["windows"] for row in journal.detections())
    assert station.detections == journal.detected(1) == len(list(journal.detections())) == 2
    assert journal.counts(1) == {verdict: n for verdict, n in counts.items() if n}


def test_silence_is_never_a_species(listening, journal):
    counts = listening.hear(np.zeros(30 * CARD_HZ, np.float32)).counts

    assert counts == {Verdict.SILENT: 5}
    assert list(journal.detections()) == []


def test_what_is_under_its_threshold_is_counted_and_not_kept(listening, recogniser, journal):
    unsure = tit(10.0) + 0.55 * toy.tone(500, 2000, 3000, seconds=10.0, rate_hz=CARD_HZ)
    strict = Filters(recogniser.taxa, min_confidence=0.95)

    counts = listening.hear(np.concatenate([tit(10.0), unsure]), filters=strict, hop_s=10.0).counts

    assert counts == {Verdict.DETECTION: 1, Verdict.BELOW: 1}
    assert [row["start_s"] for row in journal.detections()] == [0.0]
    assert "under 0.95" in listening.screen.seen[1].why


def test_a_species_that_is_not_listed_is_counted_and_becomes_no_other(listening, recogniser, journal, tmp_path):
    (tmp_path / "list.txt").write_text("Cuculus canorus\n")
    listed = SpeciesList.read(tmp_path / "list.txt", recogniser.taxa)

    counts = listening.hear(tit(10.0), filters=Filters(recogniser.taxa, species_list=listed)).counts

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


def test_a_detection_above_the_species_names_species_only_as_candidates(demanding, journal):
    demanding.hear(a_parus(10.0))
    (row,) = journal.detections()

    assert (row["taxon_rank"], row["scientific_name"], row["common_name"]) == ("genus", "Parus", None)
    assert {one["scientific_name"] for one in journal.candidates(row["id"])} == {"Parus major", "Parus minor"}


# several species at once, and consecutive windows


def test_two_species_in_a_window_are_one_window_and_two_detections(listening, journal):
    station = listening.hear(tit(10.0) + 0.5 * cuckoo(10.0))

    assert station.counts == {Verdict.DETECTION: 1} and station.detections == 2
    assert {row["scientific_name"] for row in journal.detections()} == {"Parus major", "Cuculus canorus"}


def test_each_detection_of_a_window_passes_the_filters_by_itself(listening, recogniser, journal, tmp_path):
    (tmp_path / "list.txt").write_text("Cuculus canorus\n")
    listed = SpeciesList.read(tmp_path / "list.txt", recogniser.taxa)

    both = tit(10.0) + 0.5 * cuckoo(10.0)
    counts = listening.hear(both, filters=Filters(recogniser.taxa, species_list=listed)).counts

    assert counts == {Verdict.DETECTION: 1}
    assert [row["scientific_name"] for row in journal.detections()] == ["Cuculus canorus"]
    [seen] = listening.screen.seen
    assert {(one.detection.scientific_name, one.verdict) for one in seen.outcomes} == {
        ("Parus major", Verdict.UNLISTED),
        ("Cuculus canorus", Verdict.DETECTION),
    }


def test_a_window_whose_detections_are_refused_ends_as_the_surest(listening, recogniser):
    both = tit(10.0) + 0.5 * cuckoo(10.0)
    strict = Filters(recogniser.taxa, 0.0, {"Cuculus": 1.0, "Parus": 1.0})

    counts = listening.hear(both, filters=strict).counts

    assert counts == {Verdict.BELOW: 1}
    [seen] = listening.screen.seen
    assert seen.why == max(seen.outcomes, key=lambda one: one.detection.confidence).why != ""


def test_consecutive_windows_of_a_taxon_are_one_detection(listening, journal):
    station = listening.hear(np.concatenate([tit(30.0), np.zeros(15 * CARD_HZ, np.float32), tit(10.0)]))

    rows = list(journal.detections())
    assert [row["scientific_name"] for row in rows] == ["Parus major"] * 2
    assert rows[0]["start_s"] == 0.0 and 30.0 <= rows[0]["end_s"] < 45.0 <= rows[1]["end_s"]
    assert sum(row["windows"] for row in rows) == station.counts[Verdict.DETECTION]
    confidences = [one.confidence for seen in listening.screen.seen for one in seen.detected]
    assert rows[0]["confidence"] in confidences and max(row["confidence"] for row in rows) == max(confidences)


def test_a_detection_keeps_the_vector_of_its_surest_window(listening, journal):
    listening.hear(np.concatenate([a_parus(10.0), tit(20.0), a_parus(10.0)]))
    vectors = {row["scientific_name"]: journal.vector(row["id"]) for row in journal.detections()}

    assert vectors
    for name, vector in vectors.items():
        heard = [
            (one.confidence, seen.result.vector)
            for seen in listening.screen.seen
            for one in seen.detected
            if one.scientific_name == name
        ]
        surest = max(heard, key=lambda pair: pair[0])[1]
        assert len(heard) > 1 and np.allclose(vector, surest, atol=1e-3)


def test_a_detection_that_goes_on_too_long_ends_and_another_begins(listening, journal):
    listening.hear(tit(60.0), keeping=Storage(longest_s=25.0))

    rows = [(row["start_s"], row["end_s"]) for row in journal.detections()]
    assert rows == [(0.0, 25.0), (20.0, 45.0), (40.0, 60.0)]


def test_a_detection_is_told_once_when_it_is_over_as_the_journal_has_it(listening, journal):
    listening.hear(np.concatenate([tit(20.0), np.zeros(20 * CARD_HZ, np.float32), cuckoo(10.0)]))

    assert listening.screen.documents == [journal.document(row) for row in journal.detections()]
    assert [one["taxon"]["common_name"] for one in listening.screen.documents] == ["Great Tit", "Common Cuckoo"]


def test_a_row_grows_with_every_window_and_is_there_from_the_first(listening, rows):
    class Auditor(Watched):
        def show(self, seen, station):
            super().show(seen, station)
            found = rows("SELECT start_s, end_s, windows FROM detections")
            assert found == [(0.0, seen.result.end_s, len(self.seen))]

    listening.screen = Auditor()
    listening.hear(tit(40.0))

    assert len(listening.screen.seen) == 7


# confirmation


def test_what_is_confirmed_later_is_a_detection_from_then_on(listening, journal, rows):
    sent = []

    def messages():
        sent.append("hook")
        return [Message("hook")]

    keeping = Storage(lambda: Confirmation(2, 60.0, 10.0, 5.0), messages)
    station = listening.hear(tit(20.0), keeping=keeping)

    assert [seen.verdict for seen in listening.screen.seen] == [Verdict.UNCONFIRMED] * 2 + [Verdict.DETECTION]
    assert station.counts[Verdict.DETECTION] == 3 and station.counts[Verdict.UNCONFIRMED] == 0
    assert journal.counts(1)[Verdict.DETECTION] == 3
    [row] = journal.detections()
    assert (row["start_s"], row["end_s"], row["windows"]) == (0.0, 20.0, 3) and station.detections == 1
    [message] = journal.due(0.0)
    assert sent == ["hook"] and journal.composed(message.id).payload == {**journal.document(row), "updated": False}


def test_a_call_that_is_confirmed_after_it_was_over_is_told_then(listening, journal):
    pause = np.zeros(20 * CARD_HZ, np.float32)
    station = listening.hear(np.concatenate([tit(10.0), pause, tit(10.0)]), confirm=2, hop_s=10.0)

    assert [row["start_s"] for row in journal.detections()] == [0.0, 30.0] and station.detections == 2
    assert station.counts == {Verdict.DETECTION: 2, Verdict.UNCONFIRMED: 0, Verdict.SILENT: 2}
    assert [one["start_s"] for one in listening.screen.documents] == [0.0, 30.0]


def test_a_species_confirms_its_genus_and_each_window_is_counted_once(demanding, journal):
    station = demanding.hear(np.concatenate([a_parus(10.0), tit(10.0), tit(10.0)]), confirm=2, hop_s=10.0)

    rows = [(row["scientific_name"], row["windows"]) for row in journal.detections()]
    assert rows == [("Parus", 1), ("Parus major", 2)]
    assert (station.counts[Verdict.DETECTION], station.counts[Verdict.UNCONFIRMED]) == (3, 0)


def test_a_confirmation_that_is_counted_in_two_tries_is_counted_once(listening, journal, rows, monkeypatch):
    count, tries = journal.count, []

    def stubborn(stream, verdict, n=1):
        count(stream, verdict, n)
        if n < 0:  # an earlier window has just left the unconfirmed
            tries.append(n)
            if len(tries) == 1:
                raise JournalError("the disk is full", "make room")

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
    assert rows("SELECT count(*), sum(windows), sum(confirmed) FROM detections") == [(1, 2, 0)]
    assert listening.screen.documents == []


# the journal comes first


def test_a_row_is_committed_before_it_is_shown(listening, rows, dawn_chorus):
    class Auditor:
        shown = 0

        def show(self, seen, station):
            self.shown += seen.verdict is Verdict.DETECTION
            assert rows("SELECT coalesce(sum(windows), 0) FROM detections") == [(self.shown,)]

        def detection(self, document):
            pass

        def microphone(self, name, transition):
            pass

        def close(self):
            pass

    listening.screen = Auditor()
    assert listening.hear(dawn_chorus).counts[Verdict.DETECTION] > 3


def stubborn(journal: Journal) -> sqlite3.Connection:
    """Make the journal refuse detections; the connection that can take the refusal back."""
    connection = sqlite3.connect(journal.path)
    for name, when in (("full", "INSERT"), ("full_too", "UPDATE OF end_s")):
        connection.execute(
            f"CREATE TRIGGER {name} BEFORE {when} ON detections WHEN NEW.end_s > 30"
            " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    connection.commit()
    return connection


def test_what_the_journal_refuses_is_not_shown_and_told_at_the_end(listening, journal, rows, dawn_chorus):
    with closing(stubborn(journal)), pytest.raises(JournalError, match=r"disk is full.*: \d+ records lost"):
        listening.hear(dawn_chorus)

    assert max(seen.result.start_s for seen in listening.screen.seen if seen.verdict is Verdict.DETECTION) <= 20


def test_what_was_heard_while_the_disk_was_full_is_written_later(listening, journal, dawn_chorus):
    connection = stubborn(journal)

    def make_room(station):
        if len(station.write_queue) > 10:
            connection.executescript("DROP TRIGGER IF EXISTS full; DROP TRIGGER IF EXISTS full_too")
            connection.commit()

    with closing(connection):
        counts = listening.hear(dawn_chorus, tasks=[make_room]).counts

    assert sum(counts.values()) == len(listening.screen.seen) == 13
    assert counts[Verdict.DETECTION] == sum(row["windows"] for row in journal.detections())
    assert [row["start_s"] for row in journal.detections()][-1] > 30


# microphones come and go


def test_a_microphone_that_comes_back_starts_a_stream_and_loses_no_sound(listening, journal, rows, caplog):
    clock = listening.clock
    station = listening.station()
    first, second = Unplugged(tit(17.3), clock), Unplugged(cuckoo(10.0), clock)
    worker = listening.worker(station, reopened([first, second], clock))
    station.run([worker])

    assert [(seen.result.start_s, seen.detected[0].scientific_name) for seen in listening.screen.seen] == [
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
    assert worker.streams == 2 and worker.health.state is State.LOST
    # 17.3 s of sound, a second's wait for the microphone, and then the cuckoo
    [cuckoo_row] = [row for row in journal.detections() if row["scientific_name"] == "Cuculus canorus"]
    assert cuckoo_row["time_utc"] == "2026-06-01T12:00:18.300Z"


def test_a_microphone_that_is_not_there_ends_the_station_with_one_error(listening, rows):
    def absent(tell):
        from edgeapp.station.reconnector import Reconnector

        def refuse():
            raise DeviceError("no microphone matches 'usb'", "see the list")

        return Reconnector(refuse, tell, clock=listening.clock)

    station = listening.station()
    endless = Endless(tit(1.0), listening.clock)
    with pytest.raises(DeviceError, match="no microphone matches 'usb'"):
        station.run([listening.worker(station, absent), listening.worker(station, piped(endless, listening.clock))])

    assert endless.closed
    assert rows("SELECT ended_utc IS NOT NULL FROM deployments") == [(1,)]


def test_a_station_that_is_closed_before_it_began_ends_at_once(listening, rows):
    station = listening.station()
    endless = Endless(tit(1.0), listening.clock)
    station.close()
    station.run([listening.worker(station, piped(endless, listening.clock))])

    assert sum(station.counts.values()) <= 1
    assert rows("SELECT ended_utc IS NOT NULL FROM deployments") == [(1,)]


def test_two_microphones_have_a_stream_each_and_every_window_is_counted(listening, journal, rows):
    station = listening.station()
    clock = listening.clock
    workers = [
        listening.worker(station, piped(Passing(tit(20.0), clock, "north"), clock)),
        listening.worker(station, piped(Passing(cuckoo(20.0), clock, "south"), clock)),
    ]
    station.run(workers)

    heard = {(row["source"], row["scientific_name"]) for row in journal.detections()}
    assert heard == {("north", "Parus major"), ("south", "Cuculus canorus")}
    assert sum(station.counts.values()) == 6
    assert rows("SELECT count(*) FROM streams") == [(2,)]


def test_lost_samples_are_counted_and_keep_their_place(listening, rows):
    station = listening.station()
    source = Passing(tit(10.0), listening.clock)
    worker = listening.worker(station, piped(source, listening.clock))
    worker._source._stream._lost = lambda: 480
    station.run([worker])

    assert station.lost_samples == 480
    assert rows("SELECT lost_samples FROM streams") == [(480,)]


@pytest.mark.parametrize("seconds", [0.2, 0.0])
def test_too_little_sound_for_a_window_is_no_fault(listening, seconds):
    assert sum(listening.hear(tit(seconds)).counts.values()) == 0


def drained(events: queue.Queue) -> list:
    """What a worker says until its end."""
    found = [events.get(timeout=60.0)]
    while not isinstance(found[-1], Ended):
        found.append(events.get(timeout=60.0))
    return found


def test_the_duration_counts_sound_to_the_sample(listening, recogniser):
    events: queue.Queue = queue.Queue()
    worker = SourceWorker(
        "m", piped(Passing(tit(5.0), listening.clock), listening.clock), Windowing(recogniser.cut), events, 1.2345
    )
    worker.start()
    opened, *_, last = drained(events)

    assert isinstance(last, Ended) and last.error is None
    assert opened.ring.end_s * CARD_HZ == round(1.2345 * CARD_HZ)


# time


def test_times_are_those_at_which_the_sound_was_heard(listening, journal):
    listening.hear(np.concatenate([np.zeros(12 * CARD_HZ, np.float32), tit(18.0)]))

    assert [since_noon(seen.moment) for seen in listening.screen.seen] == pytest.approx([0, 5, 10, 15, 20], abs=0.2)
    assert [row["time_utc"][:19] for row in journal.detections()] == ["2026-06-01T12:00:05"]


def test_rows_from_before_the_clock_was_set_are_marked_and_corrected(listening, journal, rows):
    clock = listening.clock
    clock._moment = listening.clock.now().__class__(NOON - timedelta(days=300), 50.0, False)
    marked = []

    def network(station):
        if len(list(journal.detections())) >= 2 and not marked:  # more on a busy machine
            marked.extend(rows("SELECT clock_set FROM detections"))
            clock.is_set(NOON)

    watch = WatchClock()
    listening.hear(tit(25.0), tasks=[network, watch], keeping=Storage(longest_s=10.0))

    assert len(marked) >= 2 and set(marked) == {(0,)}
    assert {row["clock_set"] for row in list(journal.detections())[: len(marked)]} == {2}
    times = [row["time_utc"] for row in journal.detections()]
    assert times == sorted(times) and times[0] >= "2026-06-01T11:59"
    assert all(written < "2026" for (written,) in rows("SELECT written_utc FROM detections WHERE clock_set = 2"))


def test_a_minute_of_sound_waits_whatever_the_hop_is():
    assert [queue_windows(hop_s) for hop_s in (10.0, 5.0, 3.0, 1.5)] == [12, 12, 20, 40]


# clips, status, tasks


def test_the_sound_of_a_detection_is_kept_beside_it(listening, journal, tmp_path):
    folder = ClipFolder(tmp_path / "clips", print)
    settings = ClipSettings(tmp_path / "clips", "wav", 1.0, 1.0, 30.0)

    def clips(ring, stream):
        return Clips(settings, ring, journal, folder, listening.clock)

    listening.hear(
        np.concatenate([0.01 * toy.noise(12.0, rate_hz=CARD_HZ), tit(10.0), 0.01 * toy.noise(30.0, rate_hz=CARD_HZ)]),
        keeping=Storage(clips=clips),
    )
    kept = list(journal.clips())

    assert len(kept) == 1 and kept[0].species == "Parus major"
    assert all(row["clip"] == kept[0].id for row in journal.detections())


def test_the_sound_of_a_lost_stream_is_given_back_at_once(listening, monkeypatch):
    kept: list[weakref.ref] = []
    still_there: list[int] = []

    def opened(worker, ring):
        still_there.append(sum(one() is not None for one in kept))
        kept.append(weakref.ref(ring))

    station = listening.station()
    monkeypatch.setattr(station, "_opened", opened)
    sources = [Unplugged(tit(12.0), listening.clock) for _ in range(4)]
    gc.disable()  # it counts objects, and not the memory in them
    try:
        station.run([listening.worker(station, reopened(sources, listening.clock))])
    finally:
        gc.enable()
    assert still_there == [0, 0, 0, 0]


def test_the_status_file_tells_what_the_station_does(listening, recogniser, tmp_path, dawn_chorus):
    file = StatusFile(tmp_path / "status.json")
    describe = describing("garden", deployment(recogniser), None)

    station = listening.hear(dawn_chorus, tasks=[lambda station: file.write(describe(station))])
    status = json.loads(file.path.read_text())

    assert status["microphones"][0]["name"] == "microphone"
    assert status["microphones"][0]["state"] == "hearing"
    assert status["windows"] == {verdict.value: n for verdict, n in station.counts.items()}
    assert status["detections"] == station.detections == 2
    assert status["last_detection"]["taxon"]["scientific_name"] == "Cuculus canorus"
    assert status["journal"]["waiting"] == 0 and status["journal"]["trouble"] is None
    assert status["clock"] == {"set": True, "source": None, "why": "", "waiting": []}


def test_a_status_file_may_be_a_link_into_memory(tmp_path):
    (tmp_path / "status.json").symlink_to("memory/of/it.json")
    StatusFile(tmp_path / "status.json").write({"pid": 1})
    assert (tmp_path / "status.json").is_symlink()
    assert json.loads((tmp_path / "memory" / "of" / "it.json").read_text()) == {"pid": 1}


def test_the_status_file_tells_what_waits_for_the_clock(listening, recogniser):
    describe = describing("garden", deployment(recogniser), None, ["clips are not deleted after 30 days"])
    station = listening.station()
    station.clock = SimpleNamespace(boot_id="boot", now=lambda: replace(listening.clock.now(), clock_set=False))
    assert describe(station)["clock"]["waiting"] == ["clips are not deleted after 30 days"]


def test_a_task_is_done_at_once_and_then_after_its_time(listening):
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
    counts = listening.hear(tit(10.0), tasks=[Every(86_400.0, check_journal)]).counts

    assert caplog.text.count("is damaged") == 1
    assert counts == {Verdict.DETECTION: 1}
