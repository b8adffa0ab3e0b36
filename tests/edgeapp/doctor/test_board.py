"""Disk, memory, temperature, power and clock: right on a healthy board, and told in time on others."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple
from datetime import datetime, timezone

import pytest

from edgeapp.config.sections import Clips, Log, Station
from edgeapp.doctor import board, recognition
from edgeapp.doctor.finding import State
from tests.edgeapp.doctor.conftest import Hands

MEMORY = "MemTotal: {total} kB\nMemFree: 100 kB\nMemAvailable: {available} kB\n"
Usage = namedtuple("Usage", "total used free")


def states(findings) -> list[State]:
    return [finding.state for finding in findings]


def test_folders_that_are_not_there_yet_are_looked_for_above_and_not_made(context, tmp_path):
    told = list(board.disk(context(clips=Clips(folder=tmp_path / "clips"), log=Log(file=tmp_path / "logs" / "a.log"))))
    assert states(told) == [State.OK] * 3
    assert "journal and status in " in told[0].what
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("free", "state"), [(50e6, State.ERROR), (400e6, State.WARNING), (501e6, State.OK), (5e9, State.OK)]
)
def test_little_room_is_told(context, monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(64e9, 64e9 - free, free))
    assert states(board.disk(context())) == [state]


@pytest.mark.parametrize(("number", "remedy"), [(errno.ENOSPC, "make room"), (errno.EACCES, "right to write")])
def test_a_folder_that_cannot_be_written_is_an_error_with_a_remedy(context, monkeypatch, number, remedy):
    def refuse(*args, **kwargs):
        raise OSError(number, "no")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    [told] = board.disk(context())
    assert told.state is State.ERROR and remedy in told.remedy


def test_a_file_in_the_place_of_a_folder_is_told(context, tmp_path):
    (tmp_path / "data").write_text("")
    [told] = board.disk(context())
    assert told.state is State.ERROR and "is not a folder" in told.what


@pytest.mark.parametrize(
    ("online", "machine_of", "version", "state"),
    [
        ("0-3", "aarch64", "1.23.2 (onnxruntime)", State.WARNING),
        ("0-3", "aarch64", "1.26.0 (onnxruntime-gpu)", State.WARNING),
        ("0-3", "aarch64", "1.27.0 (onnxruntime)", State.OK),
        ("0-3", "aarch64", "not installed", State.OK),
        ("0-3", "x86_64", "1.23.2 (onnxruntime)", State.OK),
        ("0-5", "aarch64", "1.23.2 (onnxruntime)", State.OK),
    ],
)
def test_cores_that_are_off_are_told_where_they_do_harm(
    context, machine, monkeypatch, toy_pack, online, machine_of, version, state
):
    machine({f"{board.CORES}/online": f"{online}\n", f"{board.CORES}/present": "0-5\n"})
    monkeypatch.setattr("platform.machine", lambda: machine_of)
    monkeypatch.setattr(board, "onnxruntime_version", lambda: version)
    [told] = board.cores(context())
    assert (told.state, online in told.what) == (state, True)
    if state is State.WARNING:  # and no session is made, which would end this process
        named = context(station=Station(pack=str(toy_pack)))
        monkeypatch.setattr(recognition, "AudioEncoder", None)
        assert list(recognition.recognition(named))[-1].what.startswith("skipped")


def test_a_system_that_does_not_tell_of_cores_is_no_finding(context):
    assert states(board.cores(context())) == [State.SKIPPED]


@pytest.mark.parametrize(
    ("available", "alive", "state"),
    [
        (90_000, False, State.ERROR),
        (200_000, False, State.WARNING),
        (300_000, False, State.OK),
        (90_000, True, State.OK),  # the station has its own already
        (40_000, True, State.WARNING),
    ],
)
def test_memory_is_judged_by_what_a_station_needs(context, machine, journal, available, alive, state):
    machine({"proc/meminfo": MEMORY.format(total=4_000_000, available=available)})
    (journal.parent / "journal.status.json").write_text('{"pid": 5}')
    assert states(board.memory(context(alive=alive))) == [state]


def test_the_limit_of_a_container_counts_and_none_does_not(context, machine):
    machine({"proc/meminfo": MEMORY.format(total=4_000_000, available=3_000_000), "sys/fs/cgroup/memory.max": "max\n"})
    assert states(board.memory(context())) == [State.OK]
    machine({"sys/fs/cgroup/memory.max": "300000000\n", "sys/fs/cgroup/memory.current": "250000000\n"})
    [told] = board.memory(context())
    assert (told.state, told.what) == (State.ERROR, "50 MB of 300 MB available")


def zone(number: int, name: str, milli: int, **trips: int) -> dict[str, str]:
    folder = f"sys/class/thermal/thermal_zone{number}"
    files = {f"{folder}/type": f"{name}\n", f"{folder}/temp": f"{milli}\n"}
    for n, (kind, at) in enumerate(trips.items()):
        files |= {f"{folder}/trip_point_{n}_type": f"{kind}\n", f"{folder}/trip_point_{n}_temp": f"{at}\n"}
    return files


@pytest.mark.parametrize(
    ("files", "state", "words"),
    [
        (zone(0, "cpu-thermal", 61_000, passive=80_000, critical=110_000), State.OK, "cpu-thermal, is at 61"),
        (zone(0, "cpu-thermal", 82_000, passive=80_000, critical=110_000), State.WARNING, "slows down from 80"),
        (zone(0, "cpu-thermal", 108_000, passive=80_000, critical=110_000), State.ERROR, "switches off at 110"),
        (zone(0, "acpitz", 60_000, passive=50_000), State.OK, "is at 60"),  # where only a fan starts
        (zone(0, "x86_pkg_temp", 86_000), State.WARNING, "slows down from 85"),
        (zone(0, "iwlwifi", -127_000) | zone(1, "gpu", 45_000), State.OK, "hottest of 1 sensors, gpu"),
        (zone(0, "off", 0, critical=0), State.SKIPPED, "no readable sensor"),
        ({}, State.SKIPPED, "no readable sensor"),
    ],
    ids=["cool", "slow", "off", "fan", "no-trips", "dead-sensor", "only-dead", "none"],
)
def test_heat_is_judged_by_what_the_board_says_of_itself(context, machine, files, state, words):
    machine(files)
    [told] = board.temperature(context())
    assert told.state is state
    assert words in told.what


@pytest.mark.parametrize(
    ("bits", "state", "words"),
    [
        ("0", State.OK, "never slowed down"),
        ("50005", State.ERROR, "now: the voltage is too low, it is throttled"),
        ("50000", State.WARNING, "since the start: the voltage is too low, it is throttled"),
    ],
)
def test_a_raspberry_pi_tells_of_its_supply(context, machine, bits, state, words):
    machine({board.PI_THROTTLED: f"{bits}\n"})
    [told] = board.power(context())
    assert told.state is state
    assert words in told.what


def test_a_jetson_tells_how_often_its_current_was_too_high(context, machine):
    machine({"sys/class/hwmon/hwmon1/oc1_event_cnt": "0\n", "sys/class/hwmon/hwmon1/oc3_event_cnt": "7\n"})
    told = list(board.power(context()))
    assert states(told) == [State.OK, State.WARNING]
    assert "oc3: 7 times" in told[1].what


def test_a_battery_is_told_when_it_runs_empty_and_a_mouse_is_not(context, machine):
    battery = "sys/class/power_supply/BAT0"
    mouse = "sys/class/power_supply/hid-mouse"
    machine({f"{mouse}/type": "Battery\n", f"{mouse}/scope": "Device\n", f"{mouse}/capacity": "2\n"})
    assert states(board.power(context())) == [State.SKIPPED]
    machine({f"{battery}/type": "Battery\n", f"{battery}/capacity": "9\n", f"{battery}/status": "Discharging\n"})
    assert states(board.power(context())) == [State.WARNING]
    machine({f"{battery}/status": "Charging\n"})
    assert states(board.power(context())) == [State.OK]


@pytest.mark.parametrize(
    ("clock", "state"),
    [
        (Hands(), State.OK),
        (Hands(clock_set=False), State.WARNING),
        (Hands(datetime(1970, 1, 1, tzinfo=timezone.utc), clock_set=False), State.ERROR),
    ],
)
def test_a_clock_that_is_not_set_is_told(context, clock, state):
    assert states(board.clock(context(clock=clock))) == [state]
