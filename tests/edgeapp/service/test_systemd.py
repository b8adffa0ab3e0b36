"""What systemd would hear on its socket."""

from __future__ import annotations

import os
import socket
import sys
import uuid

import pytest

from edgeapp.service.systemd import Notifier, Watchdog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path):
    """The socket, and its name as systemd gives it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@biovita-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        listener.settimeout(2)
        yield listener, name


def heard(listener) -> str:
    return listener.recv(4096).decode()


def test_systemd_hears_what_it_is_told(systemd):
    listener, name = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier.ready() and heard(listener) == "READY=1"
    assert notifier.status("hears\n12 birds, Zürich") and heard(listener) == "STATUS=hears 12 birds, Zürich"
    assert notifier.stopping() and heard(listener) == "STOPPING=1"


def test_the_watchdog_speaks_only_when_the_loop_lives_and_not_often(systemd):
    listener, name = systemd
    now = [100.0]
    watchdog = Watchdog(Notifier({"NOTIFY_SOCKET": name}), {"WATCHDOG_USEC": "60000000"}, lambda: now[0])
    assert watchdog.interval_s == 30.0
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        heard(listener)  # nobody said that the loop lives
    assert watchdog.alive() and heard(listener) == "WATCHDOG=1"
    now[0] += 10.0
    assert not watchdog.alive()
    with pytest.raises(BlockingIOError):
        heard(listener)
    now[0] += 10.0
    assert watchdog.alive() and heard(listener) == "WATCHDOG=1"


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}])
def test_nobody_watches(environment):
    watchdog = Watchdog(Notifier({}), environment)
    assert watchdog.interval_s is None and not watchdog.alive()


def test_another_process_is_watched():
    other = {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid() + 1)}
    assert Watchdog(Notifier({}), other).interval_s is None
    assert Watchdog(Notifier({}), other | {"WATCHDOG_PID": str(os.getpid())}).interval_s == 0.5


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/at/all"])
def test_a_station_without_systemd_is_not_disturbed(name):
    assert not Notifier({"NOTIFY_SOCKET": name}).ready()
