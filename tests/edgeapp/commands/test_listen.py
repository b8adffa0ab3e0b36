"""The command: what a person types, sees and gets back, with sound from a pipe and from a card that sings."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import textwrap
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from rich.console import Console

from edgeapp.commands.listen import StopRequest
from edgeapp.detections.verdict import Verdict
from edgeapp.station.microphone_health import State, Transition
from edgeapp.station.observation import Observation
from edgeapp.station.screens import Lines, LiveTable, NdJson
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.station.listening import Listening

CARD_HZ = 48_000


@pytest.fixture
def listen(forks, tmp_path, toy_pack):
    """Run `listen -` as a process that is fed some sound; its result, and the rows of its journal."""
    path = tmp_path / "heard.sqlite"

    def call(samples: np.ndarray, *words: object) -> subprocess.CompletedProcess[str]:
        command = ("listen", "-", "--pack", toy_pack, "--journal", path, *map(str, words))
        raw = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        done = forks.run(command, tmp_path, environment(tmp_path), raw)
        return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    call.rows = lambda sql: rows(path, sql)
    return call


def environment(folder: Path, *paths: Path) -> dict[str, str]:
    """A user's folders of the test's own, and nothing of the real ones."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (*paths, PROJECT))),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
    }


def rows(path: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def tit(seconds: float) -> np.ndarray:
    return toy.tone(1000, seconds=seconds, rate_hz=CARD_HZ)


# the command


def test_listening_fills_the_journal_and_sums_up(listen):
    done = listen(tit(21.0), "--duration", 20, "--latitude", 52.5, "--longitude", 13.4)

    assert done.returncode == 0, done.stderr
    assert [line.count("Great Tit (Parus major)") for line in done.stdout.splitlines()] == [1]
    assert done.stderr.splitlines()[-1] == "3 windows: 3 with detections; 1 detection"
    columns = "start_s, end_s, windows, scientific_name, source, backend, latitude"
    assert listen.rows(f"SELECT {columns} FROM detections_in_full") == [
        (0.0, 20.0, 3, "Parus major", "standard input", "pcm", 52.5)
    ]


def test_ndjson_writes_windows_detections_and_changes_and_nothing_else(listen):
    silence = np.zeros(11 * CARD_HZ, np.float32)
    cuckoo = toy.tone(3000, seconds=10.0, rate_hz=CARD_HZ)
    done = listen(np.concatenate([silence, cuckoo]), "--hop", 11, "--format", "ndjson")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    quiet, loud = (event for event in events if event["event"] == "window")

    assert {event["event"] for event in events} == {"window", "detection", "microphone"}
    assert (quiet["verdict"], quiet["level_dbfs"], quiet["detections"]) == ("silent", None, [])
    [found] = loud["detections"]
    assert (loud["verdict"], found["verdict"], found["taxon"]["scientific_name"]) == (
        "detection",
        "detection",
        "Cuculus canorus",
    )
    [document] = [event for event in events if event["event"] == "detection"]
    assert (document["taxon"], document["confidence"]) == (found["taxon"], found["confidence"])
    assert (document["start_s"], document["end_s"], document["source"]["device"]) == (11.0, 21.0, "standard input")
    assert (loud["start_s"], loud["end_s"], loud["source"]) == (11.0, 21.0, "standard input")


def test_the_settings_reach_the_detections(listen):
    done = listen(tit(20.0), "--threshold", "Parus=0.5", "--confirm", 2, "--only", "Paridae", "--hop", 10)

    assert done.stderr.splitlines()[-1] == "2 windows: 2 with detections; 1 detection"
    [(thresholds,)] = listen.rows("SELECT thresholds FROM deployments")
    kept = json.loads(thresholds)
    assert (kept["thresholds"], kept["confirm"], kept["only"]) == ({"Parus": 0.5}, 2, ["Paridae"])


def test_settings_come_from_a_file_too_and_flags_win(listen, tmp_path):
    (tmp_path / "station.toml").write_text('[station]\nhop = 2.0\n[thresholds]\n"Parus major" = 1.0\n')
    done = listen(tit(20.0), "--config", tmp_path / "station.toml", "--hop", 10)

    assert done.stderr.splitlines()[-1] == "2 windows: 2 below threshold; 0 detections"
    assert listen.rows("SELECT hop_s, json_extract(thresholds, '$.thresholds.\"Parus major\"') FROM deployments") == [
        (10.0, 1.0)
    ]


def test_windows_of_three_seconds_give_rows_and_clips_of_their_length(listen, short_pack, tmp_path):
    """A call of one window stays unconfirmed by two; one of two windows is confirmed, and its clip is as long as it."""

    def quiet(seconds: float) -> np.ndarray:
        return 0.01 * toy.noise(seconds, rate_hz=CARD_HZ)

    sound = np.concatenate([quiet(9.0), tit(3.0), quiet(24.0), tit(6.0), quiet(24.0)])
    clips = tmp_path / "clips"
    words = ("--pack", short_pack, "--clips", clips, "--privacy", "keep", "--confirm-within", 6)
    done = listen(sound, *words, "--confirm", 2)

    assert done.returncode == 0, done.stderr
    columns = "round(start_s, 3), round(end_s, 3), windows, confirmed"
    assert listen.rows(f"SELECT {columns} FROM detections ORDER BY start_s") == [(9.0, 12.0, 1, 0), (36.0, 42.0, 2, 1)]
    assert listen.rows("SELECT hop_s FROM deployments") == [(3.0,)]
    [clip] = clips.rglob("*.flac")
    assert soundfile.info(clip).duration == pytest.approx(2.0 + 6.0 + 2.0)


def test_a_detection_of_three_seconds_has_a_clip_of_three_with_its_rolls(listen, short_pack, tmp_path):
    noise = 0.01 * toy.noise(24.0, rate_hz=CARD_HZ)
    clips = tmp_path / "clips"
    words = ("--pack", short_pack, "--clips", clips, "--privacy", "keep", "--pre-roll", 1, "--post-roll", 0.5)
    listen(np.concatenate([noise[: 9 * CARD_HZ], tit(3.0), noise]), *words)

    assert listen.rows("SELECT start_s, end_s, windows, confirmed FROM detections") == [(9.0, 12.0, 1, 1)]
    [clip] = clips.rglob("*.flac")
    assert soundfile.info(clip).duration == pytest.approx(1.0 + 3.0 + 0.5)


def test_the_status_file_says_in_the_end_that_nobody_listens(listen, tmp_path):
    listen(tit(10.0))
    status = json.loads((tmp_path / "heard.status.json").read_text())
    assert (status["state"], status["windows"]) == ("ended", {"detection": 1})


def test_a_run_that_heard_nothing_but_flat_zeros_ends_with_1(listen):
    done = listen(np.zeros(60 * CARD_HZ, np.float32))

    assert done.returncode == 1
    assert "silent" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("11 silent; 0 detections")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "usb"], "standard input excludes other sources"),
        (["--hop", "0"], "--hop"),
        (["--latitude", "52.5"], "a location needs both coordinates"),
        (["--latitude", "152.5", "--longitude", "0"], "--latitude"),
        (["--modalities", "smell"], "smell"),
        (["--duration", "inf"], "--duration"),
        (["--format", "wav"], "--format"),
        (["--threshold", "Parus major"], "Parus major"),
        (["--threshold", "Parus majo=0.5"], "Parus majo"),
        (["--confirm", "9"], "9 non-overlapping windows"),
        (["--species-list", "nowhere.txt"], "nowhere.txt"),
        (["--range-table", "nowhere.csv"], "needs a location"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_a_setting_that_cannot_be_carried_out_is_one_line_and_exit_2(listen, words, told):
    done = listen(np.zeros(0), *words)

    assert done.returncode == 2
    assert told in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_recording_is_not_listened_to(run, tmp_path):
    done = run("listen", "song.wav", "--journal", tmp_path / "j.sqlite")
    assert done.exit_code == 2 and "biovita-edge identify" in done.stderr


# a card that sings


SINGING = """
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


@pytest.fixture
def card(tmp_path):
    """Environment in which PortAudio's card sings at 20 times the speed of time."""
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "sounddevice.py").write_text(textwrap.dedent(SINGING))
    return environment(tmp_path, tmp_path / "card", Path(__file__).parent)


@pytest.fixture
def process(request, tmp_path, toy_pack, card, forks):
    """A real `listen` at that card, with the options that the test gives."""
    journal = tmp_path / "heard.sqlite"
    command = [*forks.python(), "-m", "edgeapp", "listen", "--pack", str(toy_pack), "--journal", str(journal)]
    with subprocess.Popen(
        [*command, "--device", "usb", *getattr(request, "param", ())],
        env=card,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        started.journal = journal
        yield started
        started.kill()


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_cleanly_with_the_journal_closed_and_a_summary(process, wish):
    first = process.stdout.readline()
    process.send_signal(wish)
    rest, told = process.communicate(timeout=300)

    assert process.returncode == 0
    lines = [first, *rest.splitlines()]
    assert all("Great Tit (Parus major)" in line for line in lines)
    [(windows,)] = rows(process.journal, "SELECT sum(n) FROM window_counts, deployments WHERE ended_utc IS NOT NULL")
    assert told.splitlines()[-1] == f"{windows} windows: {windows} with detections; 1 detection".replace(
        "1 windows", "1 window"
    )
    assert rows(process.journal, "SELECT count(*), sum(windows) FROM detections") == [(len(lines), windows)]
    assert not process.journal.with_name("heard.sqlite-wal").exists()  # closed, not abandoned


def test_a_signal_before_the_first_window_is_no_fault(process):
    process.stderr.readline()  # "journal …"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=300)

    assert process.returncode in (0, 1)  # 1 when it had not heard anything yet
    assert " window" in told.splitlines()[-1]


@pytest.mark.parametrize("process", [("--format", "ndjson")], indirect=True)
def test_a_reader_that_leaves_does_not_cost_the_rows_that_were_heard(process):
    process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=300)

    assert process.returncode == 141
    assert rows(process.journal, "SELECT count(*) > 0, ended_utc IS NOT NULL FROM deployments, detections") == [(1, 1)]


def test_the_microphones_are_listed_with_the_names_that_stay(card, forks):
    done = subprocess.run(
        [*forks.python(), "-m", "edgeapp", "listen", "--list-devices"], env=card, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "USB PnP Sound Device: Audio (hw:2,0)" in done.stdout


def test_a_microphone_that_does_not_exist_is_one_line_and_exit_2(card, toy_pack, tmp_path, forks):
    command = [*forks.python(), "-m", "edgeapp", "listen", "--device", "loudspeaker", "--pack", str(toy_pack)]
    done = subprocess.run(
        [*command, "--journal", str(tmp_path / "j.sqlite")], env=card, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2
    assert "no microphone matches 'loudspeaker'" in done.stderr.splitlines()[-1]


def test_a_wish_to_end_while_the_encoder_loads_is_kept():
    ending, station = StopRequest(), SimpleNamespace(closed=False)
    station.close = lambda: setattr(station, "closed", True)
    ending.request()

    ending.attach(station)

    assert station.closed


def test_only_the_first_signal_is_a_wish_so_that_a_second_one_kills():
    before = signal.getsignal(signal.SIGTERM)
    ending, station = StopRequest(), SimpleNamespace(closed=False)
    station.close = lambda: setattr(station, "closed", True)
    ending.attach(station)

    with ending.on_signals():
        signal.raise_signal(signal.SIGTERM)

        assert station.closed
        assert signal.getsignal(signal.SIGTERM) == before


# what a person sees


@pytest.fixture
def observations(recogniser, tmp_path) -> list[Observation]:
    from edgeapp.journal import Journal

    parts = [np.zeros(12 * CARD_HZ), tit(18.0), toy.noise(14.0, rate_hz=CARD_HZ, level=0.02)]
    song = np.concatenate([*parts, toy.tone(3000, seconds=21.3, rate_hz=CARD_HZ)]).astype(np.float32)
    with Journal.open(tmp_path / "seen.sqlite") as journal:
        listening = Listening(recogniser, journal)
        listening.hear(song, hop_s=1.0)
    return listening.screen.seen


def station(lost: int = 0, workers: int = 1, **counts: int) -> SimpleNamespace:
    """As much of a station as a screen sees."""
    counted = Counter({Verdict(name): n for name, n in counts.items()})
    return SimpleNamespace(counts=counted, detections=1, lost_samples=lost, workers=[None] * workers)


def test_plain_lines_tell_a_taxon_nothing_and_silence_when_they_begin(observations):
    stream = io.StringIO()
    screen = Lines(stream)
    for seen in observations:
        screen.show(seen, station())
    lines = stream.getvalue().splitlines()

    verdicts = [seen.verdict for seen in observations]
    assert verdicts.count(Verdict.SILENT) > 1 and verdicts.count(Verdict.NOTHING) > 1
    assert sum("nothing heard" in line for line in lines) == 1
    found = [line for line in lines if "confidence" in line]
    assert verdicts.count(Verdict.DETECTION) > 2 == len(found)
    assert "Great Tit (Parus major)" in found[0] and "Common Cuckoo (Cuculus canorus)" in found[1]


def test_plain_lines_tell_lost_samples_once_with_the_microphone(observations, capsys):
    stream = io.StringIO()
    screen = Lines(stream)
    for seen in observations[:3]:
        screen.show(seen, station(lost=4800, workers=2))

    assert capsys.readouterr().err.count("4800 samples lost") == 1
    assert "microphone" in stream.getvalue()


def test_a_terminal_shows_a_table_of_windows_and_the_microphone(observations):
    stream = io.StringIO()
    screen = LiveTable(Console(file=stream, force_terminal=True, width=100), "garden [1]")
    screen.microphone("Card [hw:1]", Transition(0.0, State.HEARING, State.SILENT, "flat zeros for 30 s"))
    before = len(stream.getvalue())
    drawn = []
    for seen in observations:
        screen.show(seen, station(lost=7, detection=1))
        drawn.append(len(stream.getvalue()) - before)
    screen.close()

    assert drawn == sorted(set(drawn))  # every window redraws
    last = stream.getvalue()[before + drawn[-2] : before + drawn[-1]]
    assert last.count("Common Cuckoo (Cuculus canorus)") == last.count("Great Tit (Parus major)") == 1
    assert "7 samples lost" in stream.getvalue()
    assert "Card [hw:1]: silent (flat zeros for 30 s)" in stream.getvalue()


def test_programs_are_told_of_the_microphone_as_well(observations):
    stream = io.StringIO()
    screen = NdJson(stream)
    screen.microphone("Card", Transition(0.0, State.HEARING, State.LOST, "is gone"))
    screen.show(observations[-1], station())
    lost, window = map(json.loads, stream.getvalue().splitlines())

    assert lost == {"event": "microphone", "source": "Card", "state": "lost", "why": "is gone"}
    assert window["verdict"] == observations[-1].verdict.value
