"""`config set` and SIGHUP: a station takes what it can while it listens, and says what waits for the next start."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import PROJECT

COMMENTED = '# the station in the garden\n[station]\nname = "garden"  # by the pond\n'
SLOW_S = 60.0


def until(what: Callable[[], object]) -> None:
    """Wait for something; no test is about how long it takes."""
    end = time.monotonic() + SLOW_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Running:
    """A station that listens to a pipe that stays open."""

    def __init__(self, folder: Path, pack: Path, *more: object, **how: object) -> None:
        self.config = folder / "station.toml"
        self.journal = folder / "journal.sqlite"
        self.status_file = folder / "journal.status.json"
        self.config.write_text(f'{COMMENTED}pack = "{pack}"\njournal = "{self.journal}"\n')
        words = ("listen", "-", "--config", self.config, "--longest-clip", "30", *more)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgeapp", *map(str, words)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE if not how else None,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            **how,
        )
        until(lambda: self.status().get("state") == "listening")

    def status(self) -> dict:
        try:
            return json.loads(self.status_file.read_text())
        except (OSError, ValueError):
            return {}

    def thresholds(self) -> list[float]:
        """Of each deployment."""
        with closing(sqlite3.connect(self.journal)) as db:
            rows = db.execute("SELECT json_extract(thresholds, '$.min_confidence') FROM deployments ORDER BY id")
            return [value for (value,) in rows]

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(SLOW_S)


@pytest.fixture(scope="module")
def station(toy_pack, tmp_path_factory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("garden"), toy_pack)
    yield running
    running.end()


def test_a_running_station_takes_a_change_at_once(station, run):
    done = run("config", "set", "detections.min_confidence", 0.25, "--config", station.config)
    assert done.exit_code == 0, done.output
    pid = station.process.pid
    assert done.stdout.splitlines() == [
        f"detections.min_confidence: set in {station.config}",
        f"process {pid}: detections.min_confidence takes effect",
    ]
    assert station.thresholds()[-1] == 0.25
    assert station.config.read_text().startswith(COMMENTED)
    assert station.process.poll() is None


def test_what_cannot_change_while_it_runs_waits_and_stays_told(station, run):
    done = run("config", "set", "station.hop", 2, "--config", station.config)
    assert "station.hop waits for the next start" in done.stdout
    assert station.status()["settings"]["waiting"] == ["station.hop"]
    with closing(sqlite3.connect(station.journal)) as db:  # windows are cut as before, and the journal says so
        assert {hop for (hop,) in db.execute("SELECT hop_s FROM deployments")} == {5.0}
    run("config", "unset", "station.hop", "--config", station.config)
    assert station.status()["settings"]["waiting"] == []


def test_a_station_is_found_though_its_status_file_is_another_now(station, run, tmp_path):
    done = run("config", "set", "station.status", tmp_path / "other.json", "--config", station.config)
    assert "station.status waits for the next start" in done.stdout
    assert (
        "detections.confirm takes effect"
        in run("config", "set", "detections.confirm", 2, "--config", station.config).stdout
    )
    run("config", "unset", "detections.confirm", "--config", station.config)
    assert "station.status" in run("config", "unset", "station.status", "--config", station.config).stdout


def test_a_threshold_of_a_taxon_comes_and_goes(station, run):
    done = run("config", "set", "thresholds.Parus  major", 0.9, "--config", station.config)
    assert "thresholds.Parus major takes effect" in done.stdout
    assert '"Parus major" = 0.9' in station.config.read_text()
    assert "takes effect" in run("config", "unset", "thresholds.Parus major", "--config", station.config).stdout


def test_a_flag_of_the_station_stays_as_it_was_given(station, run):
    done = run("config", "set", "clips.longest", 40, "--config", station.config)
    assert "no setting has changed" in done.stdout


def test_a_reading_without_a_change_begins_nothing_anew(station):
    def written() -> list[tuple]:
        with closing(sqlite3.connect(station.journal)) as db:
            sql = "SELECT 'd', id, ended_utc FROM deployments UNION SELECT 's', id, ended_utc FROM streams"
            return db.execute(sql).fetchall()

    before, count = written(), station.status()["settings"]["read_again"]
    station.process.send_signal(signal.SIGHUP)
    until(lambda: station.status()["settings"]["read_again"] > count)
    assert station.status()["settings"]["taken"] == "no setting has changed"
    assert written() == before


def test_a_faulty_file_leaves_the_station_as_it_is(station):
    """As SIGHUP meets it: a person has edited the file."""
    good, before = station.config.read_text(), station.status()["settings"]["read_again"]
    station.config.write_text(good + "[input]\nfolders = 3\n")
    station.process.send_signal(signal.SIGHUP)
    until(lambda: station.status()["settings"]["read_again"] > before)
    told = station.status()["settings"]
    assert "input.folders: unknown setting" in told["error"] and told["taken"] is None
    assert station.process.poll() is None
    station.config.write_text(good)


def test_a_pipe_in_place_of_the_file_is_not_waited_for(station):
    good, before = station.config.read_text(), station.status()["settings"]["read_again"]
    station.config.unlink()
    os.mkfifo(station.config)
    station.process.send_signal(signal.SIGHUP)
    until(lambda: station.status()["settings"]["read_again"] > before)
    assert "is no regular file" in station.status()["settings"]["error"]
    station.config.unlink()
    station.config.write_text(good)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("set", "clips.pre_rol", 3), "there is no setting 'clips.pre_rol'; did you mean 'clips.pre_roll'?"),
        (("set", "hop", 3), "there is no setting 'hop'; write station.hop"),
        (("set", "clips.pre_roll", "-3"), "clips.pre_roll: is -3"),
        (("set", "clips.pre_roll", 3, 4), "takes one value, not 2"),
        (("set", "clips.pre_roll", ""), "is '', not a number"),
        (("set", "mqtt.password", "hunter2"), "mqtt.password is a secret"),
        (("set", "input.recorder_zone", "Mars/One"), "there is no time zone 'Mars/One'"),
        (("set", "mqtt.topic", "a/#"), "MQTT topic 'a/#' cannot be used"),
        (("set", "station.hop", 2, "--config", "none.toml"), "none.toml: is not there"),
    ],
)
def test_what_cannot_be_set_changes_nothing(words, told, run, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(COMMENTED)
    words = words if "--config" in words else (*words, "--config", config)
    done = run("config", *words)
    assert done.exit_code == 2 and told in done.output
    assert config.read_text() == COMMENTED and "hunter2" not in done.output


def test_a_secret_comes_through_standard_input(run, tmp_path, toy_pack):
    config = tmp_path / "config.toml"
    config.write_text("")
    done = run("config", "set", "mqtt.password", "-", "--config", config, input=b"hunter2\n")
    assert done.exit_code == 0 and "hunter2" not in done.output
    assert 'password = "hunter2"' in config.read_text()
    assert "no station runs with this file" in done.stdout


def test_a_link_to_the_settings_stays_one(run, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "used").mkdir()
    real, link = tmp_path / "kept" / "config.toml", tmp_path / "used" / "config.toml"
    real.write_text(COMMENTED)
    link.symlink_to("../kept/config.toml")
    assert run("config", "set", "clips.pre_roll", 3, "--config", link).exit_code == 0
    assert link.is_symlink() and real.read_text().startswith(COMMENTED) and "pre_roll = 3" in real.read_text()


def test_lists_and_paths_are_written_as_they_are_meant(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etc").mkdir()
    config = tmp_path / "etc" / "config.toml"
    config.write_text("")
    run("config", "set", "station.only", "Aves", "Amphibia", "--config", config)
    run("config", "set", "clips.folder", "clips", "--config", config)
    alone = run("config", "set", "detections.longitude", "-70.5", "--config", config)
    assert "a location needs both coordinates" in alone.output
    both = run("config", "set", "detections.latitude=-1.5", "detections.longitude=-70.5", "--config", config)
    assert both.exit_code == 0 and "longitude = -70.5" in config.read_text()
    assert 'only = ["Aves", "Amphibia"]' in config.read_text()
    assert f'folder = "{tmp_path / "clips"}"' in config.read_text()


def test_a_secret_from_a_pipe_is_there_at_every_reading(toy_pack, tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"hunter2\n")
    os.close(writing)
    log = tmp_path / "log"
    broker = ("--mqtt-host", "127.0.0.1", "--mqtt-port", free_port(), "--mqtt-username", "garden")
    secret = ("--mqtt-password-file", f"/dev/fd/{reading}")
    station = Running(tmp_path, toy_pack, *broker, *secret, "--log-file", log, pass_fds=(reading,))
    os.close(reading)
    for count in (1, 2):
        station.process.send_signal(signal.SIGHUP)
        until(lambda count=count: station.status()["settings"]["read_again"] == count)
        told = station.status()["settings"]
        assert (told["error"], told["taken"]) == (None, "no setting has changed")
    station.end()
    assert log.read_text().count("can be read only once") == 1 and "hunter2" not in log.read_text()


def test_the_hang_up_of_a_closed_terminal_stops_the_station(toy_pack, tmp_path):
    controller, terminal = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        import fcntl
        import termios

        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    station = Running(tmp_path, toy_pack, preexec_fn=take_terminal)
    os.close(terminal)
    station.process.send_signal(signal.SIGHUP)  # the terminal is there: somebody asks for the settings
    until(lambda: station.status()["settings"]["read_again"] == 1)
    os.close(controller)
    assert station.process.wait(SLOW_S) is not None
    assert station.status()["state"] == "ended"
