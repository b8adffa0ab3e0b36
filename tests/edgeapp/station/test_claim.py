"""A second station is told who has the journal, the clips or the microphone, and a killed one holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.errors import DeviceError, UsageError
from edgeapp.station import claim
from edgeapp.station.claim import Claims
from gallery import locks
from tests.conftest import PROJECT

CARD = SoundDevice(f"USB Audio {os.getpid()}", card=2, pcm=0, usb_path=f"usb-path:test-{os.getpid()}")
OTHER = """
import sys
from pathlib import Path
from edgeapp.audio.microphones.sound_device import SoundDevice
from edgeapp.station.claim import Claims
claims = Claims("north\\x1b[31m")
claims.journal(Path(sys.argv[1]) / "journal.sqlite")
claims.clips(Path(sys.argv[1]) / "clips")
claims.device(SoundDevice(sys.argv[2], card=2, pcm=0, usb_path=sys.argv[3]))
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_station(folder):
    """Another process that has everything."""
    words = [sys.executable, "-c", OTHER, str(folder), CARD.name, CARD.usb_path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=environment, **pipes) as other:
        assert other.stdout.readline() == "ready\n"
        try:
            yield other
        finally:
            other.kill()


def test_a_hard_link_of_a_journal_is_the_journal(tmp_path):
    (tmp_path / "journal.sqlite").touch()
    with other_station(tmp_path), Claims("south") as claims:
        os.link(tmp_path / "journal.sqlite", tmp_path / "link.sqlite")
        with pytest.raises(UsageError, match="link.sqlite: the journal is used by station north"):
            claims.journal(tmp_path / "link.sqlite")


def test_a_status_file_is_one_stations(tmp_path):
    with Claims("north") as north, Claims("south") as south:
        north.file(tmp_path / "status.json", "the status file", "--status")
        with pytest.raises(UsageError, match=r"the status file is used by station north .*give another --status"):
            south.file(tmp_path / "status.json", "the status file", "--status")


def take_all(claims, folder):
    claims.journal(folder / "journal.sqlite")
    claims.clips(folder / "clips")
    claims.device(CARD)


def test_who_comes_second_is_told_who_has_what(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with other_station(tmp_path) as other, Claims("south") as claims:
        who = rf"is used by station north.\[31m \(process {other.pid}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\)"
        with pytest.raises(UsageError, match=rf"journal.sqlite: the journal {who}; stop that one, or give another"):
            claims.journal(link / "journal.sqlite")
        with pytest.raises(UsageError, match=rf"clips: the folder of clips {who}"):
            claims.clips(link / "clips")
        with pytest.raises(DeviceError, match=rf"microphone USB Audio \d+ {who}; stop that one, or choose another"):
            claims.device(CARD)


def test_a_killed_station_holds_nothing(tmp_path):
    with other_station(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        with Claims("south") as claims:
            take_all(claims, tmp_path)


def test_what_was_given_back_can_be_taken_and_one_may_take_its_own_again(tmp_path):
    with Claims("south") as claims:
        take_all(claims, tmp_path)
        take_all(claims, tmp_path)
    with Claims("north") as claims:
        take_all(claims, tmp_path)
    assert (tmp_path / ".journal.sqlite.lock").read_text() == ""


@pytest.mark.parametrize("fault", [OSError("no locks available"), None])
def test_where_nothing_can_be_locked_a_station_is_taken_at_its_word(tmp_path, monkeypatch, fault):
    if fault is not None:

        class Broken:
            LOCK_EX = LOCK_NB = LOCK_UN = 0

            @staticmethod
            def flock(handle, how):
                raise fault

        monkeypatch.setattr(locks, "fcntl", Broken)
    (tmp_path / "a file").touch()
    folder = tmp_path if fault is not None else tmp_path / "a file"
    for _ in range(2):
        Claims("south").journal(folder / "journal.sqlite")


@pytest.mark.parametrize("variable", ["PULSE_SERVER", "PULSE_SOURCE"])
def test_another_sound_server_or_default_source_is_another_device(tmp_path, monkeypatch, variable):
    pulse = SoundDevice(f"pulse {os.getpid()}")
    first, second = Claims("south"), Claims("north")
    first.device(pulse)
    with pytest.raises(DeviceError, match="is used by station south"):
        second.device(pulse)
    monkeypatch.setenv(variable, str(tmp_path))
    second.device(pulse)
    first.close()
    second.close()


def test_the_lock_of_a_device_is_for_all_users_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "SHARED", tmp_path)
    before = os.umask(0o077)
    try:
        with Claims("south") as claims:
            take_all(claims, tmp_path / "own")
    finally:
        os.umask(before)
    [shared] = tmp_path.glob("biovita-edge-*.lock")
    assert shared.stat().st_mode & 0o777 == 0o666
    assert all(lock.stat().st_mode & 0o777 == 0o600 for lock in (tmp_path / "own").rglob(".*lock"))


def test_a_lock_that_another_user_made_is_not_made_anew(tmp_path, monkeypatch):
    """Linux forbids that in a folder of all users (fs.protected_regular)."""
    monkeypatch.setattr(claim, "SHARED", tmp_path)
    with Claims("north") as claims:
        claims.device(CARD)
    real = os.open

    def guarded(path, flags, *more, **others):
        if flags & os.O_CREAT and os.path.exists(path):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *more, **others)

    monkeypatch.setattr(os, "open", guarded)
    with Claims("north") as first, Claims("south") as second:
        first.device(CARD)
        with pytest.raises(DeviceError, match="is used by"):
            second.device(CARD)
