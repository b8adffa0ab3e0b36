"""The soak itself, in short: nothing is lost but what a fault may take, and what is lost is found."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from benchmarks.soak.accelerated import Soak
from benchmarks.soak.account import Account, account
from benchmarks.soak.pieces import keep
from benchmarks.soak.plan import Plan
from benchmarks.soak.power import Power, compiler
from benchmarks.soak.process import Run, Stream, Told, environment
from benchmarks.soak.receivers import mosquitto
from benchmarks.soak.server import missing
from benchmarks.soak.sound import RATE_HZ, Song
from tests.conftest import PROJECT
from tests.edgeapp import toy_pack as toy

SONGS = {"Parus major": 1000, "Cuculus canorus": 3000}


@pytest.fixture
def song_words(tmp_path) -> list[str]:
    words = []
    for taxon, hertz in SONGS.items():
        path = tmp_path / f"{hertz}.wav"
        soundfile.write(path, toy.tone(hertz, seconds=10.0, rate_hz=RATE_HZ), RATE_HZ)
        words += ["--song", f"{taxon}={path}"]
    return words


@pytest.fixture
def soak(toy_pack, song_words, tmp_path):
    def call(*words: object) -> tuple[int, dict]:
        command = [sys.executable, PROJECT / "benchmarks" / "soak", "--json", "--pack", toy_pack, *song_words, *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=400)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    return call


@pytest.mark.slow
def test_nothing_is_lost_but_the_window_that_was_computed_at_a_kill(soak):
    code, told = soak("--hours", 0.25, "--every", 9, "--seed", 3)

    figures, kinds = told["figures"], [fault["kind"] for fault in told["faults"]]
    assert (code, told["losses"]) == (0, [])
    assert {"kill", "lock", "disk", "webhook", "clock", "slow"} <= set(kinds)
    assert (
        figures["songs detected"] + figures["songs interrupted by a kill or a lost source and not detected"]
        == figures["songs played"]
        > 10
    )
    assert figures["windows due"] - figures["windows in the journal"] == len(told["named"]) <= 2 * kinds.count("kill")
    if mosquitto():
        assert "broker" in kinds and figures["mqtt: received"] == figures["mqtt: queued"] >= figures["songs detected"]


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_the_sound_of_a_microphone_that_was_away_is_all_that_is_lost(soak):
    code, told = soak("--pulse", "--minutes", 0.6, "--every", 4, "--hop", 2, "--faults", "unplug,kill-recorder")

    assert (code, told["losses"]) == (0, [])
    assert {fault["kind"] for fault in told["faults"]} == {"unplug", "kill-recorder"}
    assert told["figures"]["streams"] == len(told["faults"]) + 1
    assert told["figures"]["seconds not recorded while the microphone was unavailable"] > 5.0


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_the_station_and_its_recorder_are_measured_together(toy_pack):
    script = PROJECT / "benchmarks" / "station.py"
    command = [sys.executable, script, "--minutes", "0.15", "--pack", toy_pack, "--json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)

    told = json.loads(done.stdout)
    processes = [name for name in told["figures"] if name.startswith("process ")]
    assert len(processes) == 2, done.stderr
    assert 0.0 < told["figures"]["CPU, % of one core"] < 100.0
    assert told["figures"]["  most"] >= told["figures"]["memory, MB (PSS) at the start"] > 20.0
    assert done.returncode == (not told["within"])


# what is lost is found


@pytest.fixture(scope="module")
def quiet(toy_pack, tmp_path_factory):
    """A soak without a fault, and its account."""
    songs = [Song(taxon, (toy.tone(hertz, rate_hz=RATE_HZ) * 32_767).astype("int16")) for taxon, hertz in SONGS.items()]
    plan = Plan(0.05, 1, 1000, ("slow",), toy_pack, toy.WINDOW_S, 5.0)
    soaked = Soak(plan, tmp_path_factory.mktemp("quiet"), songs, print)
    try:
        soaked.soak()
        yield soaked
    finally:
        soaked.close()


@pytest.fixture
def tampered(quiet):
    """The account after something was done to the journal, which is then put back."""
    path = quiet.done.journal
    whole = path.read_bytes()
    assert not path.with_name(f"{path.name}-wal").exists()

    def call(sql: str) -> Account:
        with closing(sqlite3.connect(path)) as journal:
            journal.execute("PRAGMA foreign_keys = ON")
            assert journal.execute(sql).rowcount > 0
            journal.commit()
        return account(quiet)

    yield call
    path.write_bytes(whole)


ONE = "(SELECT min(id) FROM detections)"


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        (f"DELETE FROM detections WHERE id = {ONE}", "was reported and is not in the journal"),
        (f"UPDATE detections SET windows = windows + 1 WHERE id = {ONE}", "is in the journal with"),
        (f"UPDATE detections SET end_s = end_s + 5 WHERE id = {ONE}", "is in the journal with"),
        ("UPDATE window_counts SET n = n - 1 WHERE verdict = 'nothing'", "windows were due"),
        ("UPDATE window_counts SET n = n - 1 WHERE verdict = 'detection'", "windows with detections were reported"),
        ("DELETE FROM messages WHERE id = (SELECT min(id) FROM messages)", "detections without a message"),
        ("UPDATE messages SET sent_utc = NULL", "given up or still waiting"),
        (f"UPDATE detections SET clip = NULL WHERE id = {ONE}", "1 detections have no clip"),
        (f"UPDATE detections SET time_utc = '2026-01-01T00:00:00.000Z' WHERE id = {ONE}", "a time that no clock had"),
        (f"UPDATE detections SET clock_set = 0 WHERE id = {ONE}", "from before the clock was set"),
    ],
)
def test_a_row_that_is_missing_or_wrong_is_found(tampered, sql, found):
    assert any(found in loss for loss in tampered(sql).losses)


def test_a_run_goes_on_in_its_folder_and_is_one_account(toy_pack, tmp_path):
    songs = [Song("Parus major", (toy.tone(1000, rate_hz=RATE_HZ) * 32_767).astype("int16"))]
    for hours in (0.015, 0.03):
        plan = Plan(hours, 1, 1000, ("slow",), toy_pack, toy.WINDOW_S, 5.0, between_s=(3.0, 6.0))
        soaked = Soak(plan, tmp_path, songs, print)
        try:
            soaked.soak()
            keep(soaked)
            made = account(soaked)
        finally:
            soaked.close()
        assert (made.losses, made.named) == ([], [])
    figures = made.figures
    assert (figures["pieces"], figures["processes"], figures["streams"]) == (2, 2, 2)
    assert figures["windows due"] == figures["windows in the journal"] > 18
    assert figures["webhook: received"] == figures["clips present (detections)"] > 1


def test_without_a_fault_nothing_is_lost_and_nothing_is_named(quiet):
    made = account(quiet)
    assert (made.losses, made.named) == ([], [])
    assert (
        made.figures["windows due"] == made.figures["windows reported"] == made.figures["windows in the journal"] > 30
    )


def test_a_message_that_never_arrived_is_found(quiet, monkeypatch):
    some = dict(list(quiet.webhook.ids.items())[1:])
    monkeypatch.setattr(quiet.webhook, "ids", some)
    assert any("messages that were not received: 1" in loss for loss in account(quiet).losses)


def test_a_song_that_nobody_told_is_found(quiet, monkeypatch):
    [[stream]] = [run.streams for run in quiet.done.runs]
    untold = [replace(one, taxa=()) if "Parus major" in one.taxa else one for one in stream.told]
    monkeypatch.setattr(stream, "told", untold)
    assert any("Parus major sang" in loss for loss in account(quiet).losses)


def test_the_station_takes_no_setting_of_the_user_who_soaks(monkeypatch, tmp_path):
    monkeypatch.setenv("BIOVITA_STATION_HOP", "1")
    found = environment(tmp_path)
    assert not any(name.startswith("BIOVITA_") for name in found)
    assert Path(found["XDG_CONFIG_HOME"]).parent == tmp_path


WRITER = """
import os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.write(file, b"a" * 4096 * 64)
os.fsync(file)
os.write(file, b"b" * 4096 * 64)
os.open(sys.argv[1] + ".new", os.O_RDWR | os.O_CREAT)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(compiler() is None, reason="no C compiler (Debian: gcc)")
def test_a_power_cut_keeps_what_was_synchronised_and_some_of_the_rest(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    power = Power(disk, tmp_path / "power")
    file = disk / "file"
    extra = {**environment(tmp_path), **power.environment}
    subprocess.run([sys.executable, "-c", WRITER, file], env=extra)

    unsure, arrived = power.cut(random.Random(1))

    content = file.read_bytes()
    assert content[: 4096 * 64] == b"a" * 4096 * 64
    assert unsure == 4096 * 64 > arrived == content.count(b"b") > 0
    assert content.count(b"\0") == unsure - arrived
    assert not (disk / "file.new").exists()


def test_a_power_cut_costs_only_counts_since_the_last_detection():
    told = [
        Told(5.0 * n, 5.0 * n + 5, verdict, (), 0.0) for n, verdict in enumerate(("nothing", "detection", "nothing"))
    ]

    stream = Stream("standard input", told=told)
    assert Run(ended="power cut", streams=[stream], told=told).forgotten(stream) == 1
    assert Run(ended="killed", streams=[stream], told=told).forgotten(stream) == 0


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C compiler (Debian: gcc)")
def test_a_journal_outlives_power_cuts_and_changes_of_summer_time(soak):
    code, told = soak("--hours", 0.2, "--every", 8, "--seed", 5, "--faults", "power,dst,clock")

    assert (code, told["losses"]) == (0, [])
    assert {"power", "dst"} <= {fault["kind"] for fault in told["faults"]}


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_two_microphones_and_a_stream_lose_nothing_but_what_was_away(soak):
    pytest.importorskip("av")
    faults = "unplug,drop,recorder,sound-server,kill"
    code, told = soak("--microphones", "--hours", 0.07, "--every", 14, "--seed", 2, "--faults", faults)

    figures = told["figures"]
    assert told["losses"] == [] and code == 0
    assert figures["sources"] == 3 and figures["windows reported"] > 100
    assert {fault["kind"] for fault in told["faults"]} & {"unplug", "drop", "recorder", "sound-server"}
