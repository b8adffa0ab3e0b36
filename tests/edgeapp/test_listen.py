"""`listen` hears what `identify` hears, writes before it shows, and always ends with its journal closed."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgeapp.audio.file import FileSource
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.microphone import Microphone
from edgeapp.errors import DeviceError
from edgeapp.journal import Journal, JournalError
from edgeapp.listen import Ear, Ending, Listener
from edgeapp.screens import Lines, LiveTable, Observation, Screen
from edgeapp.station.clock import Moment
from edgeapp.station.verdict import Verdict
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.fake_portaudio import FakePortAudio

CARD_HZ = 48_000
NOON = Moment(datetime(2025, 6, 1, 12, 0, tzinfo=timezone.utc), boottime_s=1000.0)


class Watched:
    """A screen that remembers."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def show(self, observation: Observation, counts: Mapping[Verdict, int], lost_samples: int) -> None:
        self.seen.append(observation)

    def close(self) -> None:
        pass


class Closable(MemorySource):
    """A source that knows whether it was closed."""

    def __init__(self) -> None:
        super().__init__(np.zeros(CARD_HZ, np.float32), CARD_HZ, live=True)
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def dawn_chorus() -> np.ndarray:
    """65 s at the card's rate: silence, a great tit, noise, a cuckoo, a tail that fills no hop."""
    parts = [
        np.zeros(12 * CARD_HZ),
        toy.tone(1000, seconds=18.0, rate_hz=CARD_HZ),
        toy.noise(14.0, rate_hz=CARD_HZ, level=0.02),
        toy.tone(3000, seconds=21.3, rate_hz=CARD_HZ),
    ]
    return np.concatenate(parts).astype(np.float32)


@pytest.fixture
def sound_card(monkeypatch):
    """A card that hears some samples at once, and then nothing more."""

    def install(samples: np.ndarray) -> FakePortAudio:
        fake = FakePortAudio("raspberry_pi")
        fake.on_start = lambda stream: [stream.feed(samples[i : i + 4800]) for i in range(0, len(samples), 4800)]
        monkeypatch.setitem(sys.modules, "sounddevice", fake)
        monkeypatch.setattr("edgeapp.listen.Microphone", partial(Microphone, stall_s=0.3, queue_s=120.0))
        return fake

    return install


@pytest.fixture
def listen(run, toy_pack, tmp_path):
    """Run the command; its result, and the rows of its journal."""
    path = tmp_path / "heard.sqlite"

    def call(*words: object):
        return run("listen", "--pack", toy_pack, "--journal", path, *words)

    call.rows = lambda sql: rows(path, sql)
    return call


def rows(path: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def hear(recogniser, samples: np.ndarray, journal: Journal, screen: Screen | None = None, **settings) -> Listener:
    ear = Ear(MemorySource(samples, CARD_HZ, name="microphone", block=4800, live=True))
    listener = Listener(recogniser, ear, journal, screen or Watched(), **settings)
    listener.run()
    return listener


# the same decisions as identify


@pytest.mark.parametrize("hop_s", [5.0, 2.0])
def test_a_recording_gives_the_same_decisions_through_the_microphone_as_from_its_file(
    recogniser, journal, record, dawn_chorus, hop_s
):
    file = FileSource(record("chorus.wav", dawn_chorus, CARD_HZ, subtype="FLOAT"))
    from_file = list(recogniser.windows(file, hop_s))
    screen = Watched()

    hear(recogniser, dawn_chorus, journal, screen, hop_s=hop_s)
    live = [observation.result for observation in screen.seen]

    assert [(w.start_s, w.end_s, w.heard) for w in live] == [(w.start_s, w.end_s, w.heard) for w in from_file]
    assert [w.decision and (w.decision.rank, w.decision.name) for w in live] == [
        w.decision and (w.decision.rank, w.decision.name) for w in from_file
    ]
    assert {w.decision.name for w in live if w.decision} >= {"Parus major", "Cuculus canorus"}
    for one, other in zip(live, from_file, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)


def test_the_journal_has_the_detections_that_identify_names(recogniser, journal, record, run, dawn_chorus):
    document = json.loads(run("identify", record("c.wav", dawn_chorus, CARD_HZ), "--format", "json").stdout)

    hear(recogniser, dawn_chorus, journal)
    heard = [(row["start_s"], row["species"]) for row in journal.detections()]

    named = {window["start_s"]: window["species"] for window in document["windows"]}
    assert (15.0, "Parus major") in heard and (45.0, "Cuculus canorus") in heard
    assert all(named[start_s][0]["scientific_name"] == species for start_s, species in heard)


# counting and thresholds


def test_every_window_is_counted_once(recogniser, journal, dawn_chorus):
    screen = Watched()

    counts = hear(recogniser, dawn_chorus, journal, screen).counts

    assert sum(counts.values()) == len(screen.seen) == 13
    assert counts[Verdict.SILENT] == 1 and counts[Verdict.NOTHING] >= 1
    assert counts[Verdict.DETECTION] == len(list(journal.detections()))
    assert journal.counts(1) == counts


def test_silence_is_never_a_species(recogniser, journal):
    counts = hear(recogniser, np.zeros(30 * CARD_HZ, np.float32), journal).counts

    assert counts == {Verdict.SILENT: 5}
    assert list(journal.detections()) == []


def test_decisions_under_the_least_probability_are_counted_and_not_kept(recogniser, journal):
    sure = toy.tone(1000, seconds=10.0, rate_hz=CARD_HZ)
    unsure = sure + 0.88 * toy.tone(3000, seconds=10.0, rate_hz=CARD_HZ)
    song = np.concatenate([sure, unsure])

    everything = hear(recogniser, song, journal, hop_s=10.0).counts
    screened = hear(recogniser, song, journal, hop_s=10.0, min_probability=0.95).counts
    *_, kept = journal.detections()

    assert everything == {Verdict.DETECTION: 2}
    assert screened == {Verdict.DETECTION: 1, Verdict.BELOW: 1}
    assert kept["start_s"] == 0.0 and kept["mass"] >= 0.95
    assert json.loads(kept["thresholds"])["min_probability"] == 0.95


def test_a_decision_above_species_keeps_its_likeliest_species_and_the_ranking(recogniser, journal):
    both = toy.tone(1000, 2000, seconds=10.0, rate_hz=CARD_HZ)

    hear(recogniser, both, journal)
    (row,) = journal.detections()

    assert (row["rank"], row["name"]) == ("genus", "Parus")
    assert row["species"] in {"Parus major", "Parus minor"}
    assert [score["rank"] for score in journal.scores(row["id"])] == [1, 2, 3, 4]


def test_a_detection_knows_its_pack_gallery_thresholds_and_place(recogniser, journal, dawn_chorus):
    hear(recogniser, dawn_chorus, journal, hop_s=2.0, place=(52.5, 13.4))
    row = next(iter(journal.detections()))

    assert (row["pack"], row["pack_version"], row["space"]) == ("toy", "1.0", "toy")
    assert row["gallery_sha256"] == recogniser.pack.files["gallery.sqlite"]
    assert json.loads(row["thresholds"])["floor"] == 0.7
    assert (row["source"], row["hop_s"], row["latitude"], row["longitude"]) == ("microphone", 2.0, 52.5, 13.4)


# the journal comes first


def test_a_row_is_committed_before_it_is_shown(recogniser, journal, dawn_chorus):
    class Auditor(Watched):
        def show(self, observation: Observation, counts: Mapping[Verdict, int], lost_samples: int) -> None:
            super().show(observation, counts, lost_samples)
            found = rows(journal.path, "SELECT start_s FROM detections")
            shown = [(o.result.start_s,) for o in self.seen if o.verdict is Verdict.DETECTION]
            assert found == shown

    assert hear(recogniser, dawn_chorus, journal, Auditor()).counts[Verdict.DETECTION] > 3


def test_what_the_journal_refuses_is_not_shown_and_ends_the_listening(recogniser, journal, dawn_chorus):
    journal._db.execute(
        "CREATE TRIGGER full BEFORE INSERT ON detections WHEN NEW.start_s > 20"
        " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    screen = Watched()

    with pytest.raises(JournalError, match=r"cannot be written \(database or disk is full\); check .* free space"):
        hear(recogniser, dawn_chorus, journal, screen)

    assert max(o.result.start_s for o in screen.seen if o.verdict is Verdict.DETECTION) <= 20
    assert rows(journal.path, "SELECT ended_utc IS NOT NULL FROM deployments") == [(1,)]


# time


def test_times_are_counted_back_from_the_newest_sample_the_card_has_captured():
    source = MemorySource(np.zeros(CARD_HZ, np.float32), CARD_HZ, live=True)
    source.captured_samples = 30 * CARD_HZ  # 15 s of sound wait in the queue while the encoder is busy
    ear = Ear(source, now=lambda: NOON)

    assert ear.time_of(15.0) == NOON.earlier(15)


def test_the_duration_counts_sound_to_the_sample():
    ear = Ear(MemorySource(np.ones(5 * CARD_HZ, np.float32), CARD_HZ, block=1000, live=True), duration_s=1.2345)

    assert sum(len(block.samples) for block in ear.blocks()) == round(1.2345 * CARD_HZ)


# the command


def test_listening_for_a_while_fills_the_journal_and_sums_up(listen, sound_card):
    sound_card(toy.tone(1000, seconds=21.0, rate_hz=CARD_HZ))

    done = listen("--duration", 20, "--latitude", 52.5, "--longitude", 13.4, "--device", "usb")

    assert done.exit_code == 0
    assert [line.count("Great Tit (Parus major)") for line in done.stdout.splitlines()] == [1, 1, 1]
    assert done.stderr.splitlines()[-1] == "3 windows: 3 detections, 0 nothing, 0 silent, dropped samples 0"
    assert listen.rows("SELECT start_s, species, source, latitude FROM detections_in_full") == [
        (start_s, "Parus major", "USB PnP Sound Device: Audio (hw:2,0)", 52.5) for start_s in (0.0, 5.0, 10.0)
    ]


def test_ndjson_writes_one_event_per_window_and_nothing_else_on_standard_output(listen, sound_card):
    sound_card(np.concatenate([np.zeros(11 * CARD_HZ), toy.tone(3000, seconds=11.0, rate_hz=CARD_HZ)]))

    done = listen("--duration", 21, "--hop", 11, "--format", "ndjson")
    silent, cuckoo = map(json.loads, done.stdout.splitlines())

    assert (silent["verdict"], silent["level_dbfs"], silent["decision"]) == ("silent", None, None)
    assert (cuckoo["verdict"], cuckoo["decision"]["name"]) == ("detection", "Cuculus canorus")
    assert (cuckoo["start_s"], cuckoo["end_s"]) == (11.0, 21.0)
    assert cuckoo["time"].endswith("Z") and cuckoo["time"] > "2025"


def test_only_the_taxa_asked_for_are_matched(listen, sound_card):
    sound_card(toy.tone(3000, seconds=11.0, rate_hz=CARD_HZ))

    done = listen("--duration", 10, "--only", "Paridae")

    assert done.stderr.splitlines()[-1] == "1 windows: 0 detections, 1 nothing, 0 silent, dropped samples 0"
    assert listen.rows(
        "SELECT json_extract(thresholds, '$.only'), json_extract(thresholds, '$.floor') FROM deployments"
    ) == [('["Paridae"]', 0.7)]


def test_a_microphone_that_goes_quiet_is_an_error_with_its_journal_closed_and_its_summary_told(listen, sound_card):
    sound_card(toy.tone(1000, seconds=16.0, rate_hz=CARD_HZ))

    done = listen("--duration", 60)

    assert done.exit_code == DeviceError.exit_code
    summary, error = done.stderr.splitlines()[-2:]
    assert summary == "2 windows: 2 detections, 0 nothing, 0 silent, dropped samples 0"
    assert error.startswith("biovita-edge: microphone default: no samples for 0.3 s; check its cable")
    assert listen.rows("SELECT ended_utc IS NOT NULL, end_reason LIKE '%no samples%' FROM streams") == [(1, 1)]
    assert listen.rows("SELECT verdict, n FROM window_counts") == [("detection", 2)]


def test_the_microphones_are_listed(listen, sound_card):
    sound_card(np.zeros(0))

    done = listen("--list-devices")

    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["2", "7", "11"]
    assert "USB PnP Sound Device: Audio (hw:2,0)" in done.stdout and "48000 Hz" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("default")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "loudspeaker"], "no microphone is called 'loudspeaker'"),
        (["--hop", "0"], "a hop of 0 s goes nowhere"),
        (["--latitude", "52.5"], "a place needs both coordinates"),
        (["--latitude", "152.5", "--longitude", "0"], "--latitude"),
        (["--kinds", "smell"], "there is no kind 'smell'"),
        (["--duration", "inf"], "leave --duration out"),
        (["--format", "wav"], "--format"),
    ],
)
def test_a_setting_that_cannot_be_carried_out_is_one_line_and_exit_2(listen, sound_card, words, told):
    sound_card(np.zeros(0))

    done = listen(*words)

    assert done.exit_code == 2
    assert told in done.stderr and len(done.stderr.splitlines()) == 1


# ending by a signal, on a real process whose card hears a great tit without end


@pytest.fixture
def process(tmp_path, toy_pack):
    """Start a real `listen`, whose card sings at 20 times the speed of time."""
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "sounddevice.py").write_text(
        textwrap.dedent(
            """
            import threading, time
            from tests.edgeapp import toy_pack
            from tests.edgeapp.fake_portaudio import FakePortAudio, PortAudioError

            def sing(stream):
                song = toy_pack.tone(1000, seconds=0.1, rate_hz=48000)
                while not stream.closed:
                    stream.feed(song)
                    time.sleep(0.005)

            card = FakePortAudio("raspberry_pi")
            card.on_start = lambda stream: threading.Thread(target=sing, args=(stream,), daemon=True).start()
            default, InputStream = card.default, card.InputStream
            query_devices, query_hostapis = card.query_devices, card.query_hostapis
            check_input_settings = card.check_input_settings
            """
        )
    )
    here = Path(__file__).parent
    paths = [tmp_path / "card", here, here.parent.parent]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    journal = tmp_path / "heard.sqlite"
    command = [sys.executable, "-m", "edgeapp", "listen", "--pack", str(toy_pack), "--journal", str(journal)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        started.journal = journal
        yield started
        started.kill()


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_cleanly_with_the_journal_closed_and_a_summary(process, wish):
    first = process.stdout.readline()
    process.send_signal(wish)
    rest, told = process.communicate(timeout=30)

    assert process.returncode == 0
    lines = [first, *rest.splitlines()]
    assert all("Great Tit (Parus major)" in line for line in lines)
    assert told.splitlines()[-1].startswith(f"{len(lines)} windows: {len(lines)} detections, 0 nothing, 0 silent")
    assert rows(process.journal, "SELECT n FROM window_counts, deployments WHERE ended_utc IS NOT NULL") == [
        (len(lines),)
    ]
    assert rows(process.journal, "SELECT count(*) FROM detections") == [(len(lines),)]
    assert not process.journal.with_name("heard.sqlite-wal").exists()  # closed, not abandoned


def test_a_signal_before_the_first_window_is_no_fault(process):
    process.stderr.readline()  # "listening to …"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "windows: " in told.splitlines()[-1]


def test_a_reader_that_leaves_does_not_cost_the_rows_that_were_heard(process):
    process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=60)

    assert process.returncode == 1
    assert rows(process.journal, "SELECT count(*) > 0, ended_utc IS NOT NULL FROM deployments, detections") == [(1, 1)]


def test_a_wish_to_end_while_the_encoder_loads_is_kept():
    ending, source = Ending(), Closable()
    ending.wish()

    ending.ends(Ear(source))

    assert source.closed


def test_only_the_first_signal_is_a_wish_so_that_a_second_one_kills():
    before = signal.getsignal(signal.SIGTERM)
    ending, source = Ending(), Closable()
    ending.ends(Ear(source))

    with ending.on_signals():
        signal.raise_signal(signal.SIGTERM)

        assert source.closed
        assert signal.getsignal(signal.SIGTERM) == before


# what a person sees


@pytest.fixture
def observations(recogniser, journal, dawn_chorus) -> list[Observation]:
    screen = Watched()
    hear(recogniser, dawn_chorus, journal, screen, hop_s=1.0)
    return screen.seen


def test_plain_lines_tell_each_detection_but_nothing_and_silence_only_when_they_begin(observations):
    stream = io.StringIO()
    screen = Lines(stream)
    for observation in observations:
        screen.show(observation, {}, 0)
    lines = stream.getvalue().splitlines()

    verdicts = [observation.verdict for observation in observations]
    assert verdicts.count(Verdict.SILENT) > 1 and verdicts.count(Verdict.NOTHING) > 1
    assert sum("nothing heard" in line for line in lines) == 1
    assert sum("probability" in line for line in lines) == verdicts.count(Verdict.DETECTION)


def test_plain_lines_tell_dropped_samples_once(observations, capsys):
    screen = Lines(io.StringIO())
    for observation in observations[:3]:
        screen.show(observation, {}, 4800)

    assert capsys.readouterr().err.count("4800 samples dropped") == 1


def test_a_terminal_shows_a_table_that_follows_the_windows(observations):
    stream = io.StringIO()
    screen = LiveTable(Console(file=stream, force_terminal=True, width=100), "listening to Card [hw:1]")
    before = len(stream.getvalue())
    drawn = []
    for observation in observations:
        screen.show(observation, {Verdict.DETECTION: 1}, 7)
        drawn.append(len(stream.getvalue()) - before)
    screen.close()

    assert drawn == sorted(set(drawn))  # every window redraws
    assert "Common Cuckoo (Cuculus canorus)" in stream.getvalue()
    assert "dropped samples 7" in stream.getvalue()
    assert "Card [hw:1]" in stream.getvalue()


def test_a_wait_for_a_stalled_microphone_ends_at_once_by_a_signal(sound_card, recogniser, journal):
    sound_card(np.zeros(0))
    microphone = Microphone("usb", stall_s=30.0)
    ear = Ear(microphone)
    before = signal.signal(signal.SIGALRM, lambda number, frame: ear.close())
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    begun = time.monotonic()
    try:
        Listener(recogniser, ear, journal, Watched()).run()
    finally:
        signal.signal(signal.SIGALRM, before)

    assert time.monotonic() - begun < 5.0
