"""Through a real sound server: what is played into a speaker is heard at the microphone and lands in the journal."""

from __future__ import annotations

import csv
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgeapp.audio.file import FileSource
from edgeapp.pack import Pack
from edgeapp.pipeline import Recogniser, summarise
from tests.edgeapp import pulse_server
from tests.edgeapp import toy_pack as toy

pytestmark = pytest.mark.skipif(bool(pulse_server.missing()), reason=pulse_server.missing())

PROJECT = Path(__file__).parents[2]
REAL_RECORDINGS = 2  # each is played at the speed of time


@pytest.fixture
def server(tmp_path: Path) -> Iterator[pulse_server.PulseServer]:
    folder = tmp_path / "pulse"
    folder.mkdir()
    with pulse_server.pulse_server(folder) as started:
        yield started


@pytest.fixture
def listen_while_playing(server, tmp_path):
    """Play a recording while a real `listen` listens; its detections in full, and what it told."""
    journal = tmp_path / "journal.sqlite"

    def call(recording: Path, *words: object) -> tuple[list[sqlite3.Row], str]:
        command = [sys.executable, "-m", "edgeapp", "listen", "--journal", str(journal), *map(str, words)]
        environment = {**server.environment, "PYTHONPATH": str(PROJECT)}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as listener:
            try:
                server.wait_for_listener()
                server.play(recording)
                _, told = listener.communicate(timeout=120)
            finally:
                listener.kill()
        assert listener.returncode == 0, told
        with closing(sqlite3.connect(journal)) as connection:
            connection.row_factory = sqlite3.Row
            newest = "SELECT * FROM detections_in_full WHERE deployment = (SELECT max(id) FROM deployments) ORDER BY id"
            return connection.execute(newest).fetchall(), told

    return call


def test_tones_that_are_played_are_heard_as_their_species_in_their_order(listen_while_playing, toy_pack, tmp_path):
    recording = tmp_path / "song.wav"
    rate_hz = pulse_server.RATE_HZ
    song = [
        np.zeros(2 * rate_hz, np.float32),
        toy.tone(1000, seconds=12.0, rate_hz=rate_hz),
        toy.tone(3000, seconds=12.0, rate_hz=rate_hz),
    ]
    soundfile.write(recording, np.concatenate(song), rate_hz)

    rows, told = listen_while_playing(recording, "--pack", toy_pack, "--hop", 1, "--duration", 27)

    heard = [row["species"] for row in rows if row["rank"] == "species"]
    assert list(dict.fromkeys(heard)) == ["Parus major", "Cuculus canorus"]
    assert heard == sorted(heard, key=["Parus major", "Cuculus canorus"].index)  # no going back
    assert Counter(heard)["Parus major"] >= 3 and Counter(heard)["Cuculus canorus"] >= 3
    assert {row["source"] for row in rows} == {"default"}
    assert dropped(told) < rate_hz / 2  # none on an idle machine; a starved one may lose some, and says so
    assert "ALSA" not in told and "jack" not in told.lower()


def test_the_silence_of_a_quiet_server_is_no_species(listen_while_playing, toy_pack, tmp_path):
    recording = tmp_path / "silence.wav"
    soundfile.write(recording, np.zeros(pulse_server.RATE_HZ, np.float32), pulse_server.RATE_HZ)

    rows, told = listen_while_playing(recording, "--pack", toy_pack, "--duration", 11, "--hop", 1)

    assert rows == []
    assert told.splitlines()[-1].startswith("2 windows: 0 detections, 0 nothing, 2 silent, dropped samples ")


def test_a_server_that_dies_ends_the_listening_with_one_clear_error(tmp_path, toy_pack):
    folder = tmp_path / "dying"
    folder.mkdir()
    command = [sys.executable, "-m", "edgeapp", "listen", "--pack", str(toy_pack), "--device", "pulse"]
    with pulse_server.pulse_server(folder) as server:
        environment = {**server.environment, "PYTHONPATH": str(PROJECT)}
        listener = subprocess.Popen(
            [*command, "--journal", str(tmp_path / "j.sqlite")], env=environment, stderr=subprocess.PIPE, text=True
        )
        server.wait_for_listener()
    _, told = listener.communicate(timeout=60)

    assert listener.returncode == 2
    assert "no samples for 10 s" in told.splitlines()[-1]


def test_real_recordings_get_the_species_that_identify_gives_them(listen_while_playing, starter_pack, shared, tmp_path):
    """The windows of the stream lie elsewhere than those of the file, so the surest of the stream is compared."""
    recogniser = Recogniser(Pack.load())  # the starter pack, as `listen` takes it when none is named

    for path, species in named_recordings(recogniser, shared / "starter"):
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        silence = np.zeros((2 * rate_hz, samples.shape[1]), np.float32)
        played = tmp_path / "played.wav"
        soundfile.write(played, np.concatenate([silence, samples]), rate_hz)

        rows, told = listen_while_playing(played, "--hop", 1, "--duration", 3 + len(samples) / rate_hz)

        assert dropped(told) < pulse_server.RATE_HZ / 2
        heard = max((row for row in rows if row["rank"] == "species"), key=lambda row: row["mass"])
        assert (path.name, heard["species"]) == (path.name, species)


def dropped(told: str) -> int:
    """The count of the summary line."""
    return int(told.splitlines()[-1].rpartition("dropped samples ")[2])


def named_recordings(recogniser: Recogniser, folder: Path) -> list[tuple[Path, str]]:
    """Some recordings of more than one window that `identify` is sure of, with the species it names."""
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as manifest:
        candidates = sorted(
            row["path"] for row in csv.DictReader(manifest) if row["duration_s"] and 10 < float(row["duration_s"]) < 16
        )
    found: list[tuple[Path, str]] = []
    for path in candidates[:: max(1, len(candidates) // 24)]:
        source = FileSource(folder / path)
        decision = summarise(recogniser.windows(source, 1.0), recogniser, path, hop_s=1.0).decision
        if decision is not None and decision.rank == "species" and decision.mass > 0.8:
            found.append((folder / path, decision.name))
        if len(found) == REAL_RECORDINGS:
            return found
    raise AssertionError(f"identify was sure of {len(found)} recordings only")
