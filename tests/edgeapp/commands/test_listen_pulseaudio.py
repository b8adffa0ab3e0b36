"""Through a real sound server: what is played into a speaker is heard at the microphone and lands in the journal."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from edgeapp.audio.file import FileSource
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.microphones.capture import Capture
from edgeapp.pack.format import Pack
from edgeapp.paths import STARTER_PACK
from edgeapp.recognition.recogniser import Recogniser, Tally
from tests.conftest import PROJECT
from tests.edgeapp import pulse_server
from tests.edgeapp import toy_pack as toy

pytestmark = pytest.mark.skipif(bool(pulse_server.missing()), reason=pulse_server.missing())

ARECORD = shutil.which("arecord")
REAL_RECORDINGS = 2


@pytest.fixture
def listen_while_playing(sound_server, tmp_path, forks):
    """Play a recording while a real `listen` listens; its detections in full, and what it told."""

    def call(recording: Path, *words: object, codes: tuple[int, ...] = (0,)) -> tuple[list[sqlite3.Row], str]:
        server = sound_server.another()
        journal = recording.with_suffix(".sqlite")
        command = [*forks.python(), "-m", "edgeapp", "listen", "--journal", str(journal), *map(str, words)]
        environment = {**server.environment, "PYTHONPATH": str(PROJECT), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as listener:
            try:
                server.wait_for_listener()
                server.play(recording)
                _, told = listener.communicate(timeout=300)
            finally:
                listener.kill()
        assert listener.returncode in codes, told
        with closing(sqlite3.connect(journal)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute("SELECT * FROM detections_in_full ORDER BY id").fetchall(), told

    return call


def test_tones_that_are_played_are_heard_as_their_species_in_their_order(listen_while_playing, toy_pack, tmp_path):
    recording = tmp_path / "song.wav"
    rate_hz = pulse_server.RATE_HZ
    song = [
        np.zeros(2 * rate_hz, np.float32),
        toy.tone(1000, seconds=8.0, rate_hz=rate_hz),
        toy.tone(3000, seconds=8.0, rate_hz=rate_hz),
    ]
    soundfile.write(recording, np.concatenate(song), rate_hz)

    rows, told = listen_while_playing(recording, "--pack", toy_pack, "--hop", 1, "--duration", 19)

    heard = {row["scientific_name"]: row for row in rows if row["taxon_rank"] == "species"}
    assert list(heard) == ["Parus major", "Cuculus canorus"] and len(rows) == 2  # no going back
    assert all(row["windows"] >= 3 for row in heard.values())
    assert heard["Parus major"]["end_s"] < heard["Cuculus canorus"]["end_s"]
    assert {row["source"] for row in rows} == {"default"}
    assert dropped(told) < rate_hz / 2  # none on an idle machine; a starved one may lose some, and says so
    assert "ALSA" not in told and "jack" not in told.lower()


def test_the_silence_of_a_server_is_no_species_and_no_microphone(listen_while_playing, toy_pack, tmp_path):
    recording = tmp_path / "silence.wav"
    soundfile.write(recording, np.zeros(pulse_server.RATE_HZ, np.float32), pulse_server.RATE_HZ)

    rows, told = listen_while_playing(recording, "--pack", toy_pack, "--duration", 20, "--hop", 5, codes=(1,))

    assert rows == []
    assert "silent (constant value" in told
    assert told.splitlines()[-1].startswith("3 windows: 3 silent")


@pytest.mark.parametrize("backend", ["portaudio", pytest.param("arecord", marks=pytest.mark.slow)])
def test_a_server_that_dies_and_returns_costs_only_the_time_between(tmp_path, toy_pack, backend, forks):
    if backend == "arecord" and not ARECORD:
        pytest.skip("arecord is not installed (Debian: alsa-utils)")
    song = tmp_path / "song.wav"
    soundfile.write(song, toy.tone(1000, seconds=11.0, rate_hz=pulse_server.RATE_HZ), pulse_server.RATE_HZ)
    journal = tmp_path / "j.sqlite"
    folder = tmp_path / "server"
    command = [*forks.python(), "-m", "edgeapp", "listen", "--pack", str(toy_pack), "--device", "pulse", "--stall", "2"]
    command += ["--backend", backend, "--journal", str(journal), "--format", "ndjson"]

    def begin() -> AbstractContextManager[pulse_server.PulseServer]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return pulse_server.pulse_server(folder)

    with begin() as server:
        environment = {**server.environment, "PYTHONPATH": str(PROJECT), "XDG_CONFIG_HOME": str(tmp_path)}
        listener = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        server.wait_for_listener()
        server.play(song)
    try:
        with begin() as server:
            server.wait_for_listener()
            server.play(song)
            listener.send_signal(signal.SIGINT)
            shown, told = listener.communicate(timeout=300)
    finally:
        listener.kill()

    assert listener.returncode == 0, told
    states = [event["state"] for line in shown.splitlines() if (event := json.loads(line))["event"] == "microphone"]
    assert [state for state in states if state in ("lost", "back", "hearing")][-3:] == ["lost", "back", "hearing"]
    with closing(sqlite3.connect(journal)) as connection:
        heard = connection.execute(
            "SELECT stream, sum(windows) FROM detections WHERE scientific_name = 'Parus major' GROUP BY stream"
        ).fetchall()
        [(reason,)] = connection.execute("SELECT end_reason FROM streams WHERE id = 1").fetchall()
    assert [stream for stream, _ in heard] == [1, 2] and all(n >= 1 for _, n in heard)
    assert reason not in ("closed", "ended")


@pytest.mark.slow  # each window of one is compared below
def test_real_recordings_get_the_species_that_identify_gives_them(listen_while_playing, starter_pack, shared, tmp_path):
    """The windows of the stream lie elsewhere than those of the file, so the surest of the stream is compared."""
    recogniser = Recogniser(Pack.load(STARTER_PACK))  # the starter pack, as `listen` takes it when none is named

    def species_heard(path: Path) -> str:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        silence = np.zeros((2 * rate_hz, samples.shape[1]), np.float32)
        played = tmp_path / f"{path.stem}.wav"
        soundfile.write(played, np.concatenate([silence, samples]), rate_hz)
        rows, told = listen_while_playing(played, "--hop", 1, "--duration", 3 + len(samples) / rate_hz)
        assert dropped(told) < pulse_server.RATE_HZ / 2
        return max((row for row in rows if row["taxon_rank"] == "species"), key=lambda row: row["confidence"])[
            "scientific_name"
        ]

    named = dict(named_recordings(recogniser, shared / "starter"))
    with ThreadPoolExecutor() as pool:  # each through its own speaker and microphone, all at once
        assert dict(zip(named, pool.map(species_heard, named))) == named


def test_every_window_that_is_played_holds_what_it_holds_in_its_file(
    sound_server, monkeypatch, starter_pack, shared, tmp_path
):
    """The same samples, once from a file and once through a speaker and its microphone, cut at the same places."""
    server = sound_server.another()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    recogniser = Recogniser(Pack.load(STARTER_PACK), threads=1)
    path, species = named_recordings(recogniser, shared / "starter")[0]
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    song = soxr.resample(samples.mean(axis=1), rate_hz, pulse_server.RATE_HZ)
    played = tmp_path / "played.wav"
    silence = np.zeros(pulse_server.RATE_HZ, np.float32)  # a sound server swallows the very beginning
    soundfile.write(played, np.concatenate([silence, song, silence]), pulse_server.RATE_HZ, subtype="FLOAT")
    from_file = windows_of(recogniser, song)
    assert species in {name for names, _ in from_file for name in names}

    captures = [Capture("pulse", backend) for backend in ("portaudio", "arecord") if backend != "arecord" or ARECORD]
    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(lambda capture=capture: list(capture.blocks())) for capture in captures]
        server.play(played)
        for capture in captures:
            capture.close()
    if lost := [capture.dropped_samples for capture in captures if capture.dropped_samples]:
        pytest.skip(f"the machine was too busy to hear: {lost} samples lost")

    for reader in readers:
        there = np.concatenate([block.samples for block in reader.result()])
        at = int(np.argmax(signal_correlation(there, song)))
        through = windows_of(recogniser, there[at : at + len(song)])
        assert [names for names, _ in through] == [names for names, _ in from_file]
        for (_, one), (_, other) in zip(through, from_file, strict=True):
            np.testing.assert_allclose(one, other, atol=0.02)


def windows_of(recogniser: Recogniser, samples: np.ndarray) -> list[tuple[list[str], np.ndarray]]:
    """Detections and confidences of every window."""
    source = MemorySource(samples, pulse_server.RATE_HZ, live=True)
    return [
        ([one.scientific_name for one in found.detections], found.confidences)
        for found in recogniser.windows(source, 2.5)
    ]


def signal_correlation(long: np.ndarray, short: np.ndarray) -> np.ndarray:
    """How well the short sound fits at each place of the long one."""
    n = len(long) + len(short)
    spectrum = np.fft.rfft(long, n) * np.conj(np.fft.rfft(short, n))
    return np.fft.irfft(spectrum, n)[: len(long) - len(short) + 1]


def dropped(told: str) -> int:
    """The count of the summary line, which is silent about none."""
    lost = re.search(r"; (\d+) samples lost$", told.splitlines()[-1])
    return int(lost[1]) if lost else 0


def named_recordings(recogniser: Recogniser, folder: Path) -> list[tuple[Path, str]]:
    """Some recordings of more than one window that `identify` is sure of, with the species it names."""
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as manifest:
        candidates = sorted(
            row["path"] for row in csv.DictReader(manifest) if row["duration_s"] and 10 < float(row["duration_s"]) < 16
        )
    found: list[tuple[Path, str]] = []
    for path in candidates[:: max(1, len(candidates) // 24)]:
        source = FileSource(folder / path)
        tally = Tally(recogniser.vocabulary)
        for window in recogniser.windows(source, 1.0):
            tally.add(window)
        [likeliest] = tally.species(1)
        if likeliest.confidence > 0.8:
            found.append((folder / path, likeliest.scientific_name))
        if len(found) == REAL_RECORDINGS:
            return found
    raise AssertionError(f"identify was sure of {len(found)} recordings only")
