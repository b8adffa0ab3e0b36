"""A wall clock is trusted when a source confirms it: a service, GPS, a clock with a battery, or the settings."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest

from edgeapp.clock import sources, system
from edgeapp.clock.sources import BUILT_UTC, Judgement, Sources, chrony_is_synchronised, gps_time, rtc_judgement
from edgeapp.clock.system import SystemClock

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=timezone.utc)


@contextmanager
def chronyd(leap: int = 0, version: int = 6, status: int = 0):
    """What a chronyd answers to a request for its tracking: candm.h of chrony 4."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as serving:
        serving.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                request, who = serving.recvfrom(1024)
                if request == b"end":
                    return
                asked, kind, _, _, command, _, sequence = struct.unpack("!BBBBHHI", request[:12])
                assert (asked, kind, command, len(request)) == (6, 1, 33, 104)
                head = struct.pack("!BBBBHHHHHHIII", version, 2, 0, 0, command, 5, status, 0, 0, 0, sequence, 0, 0)
                address = bytes([192, 0, 2, 1]).ljust(16, b"\0") + struct.pack("!HH", 1, 0)
                body = struct.pack("!I", 0xC0000201) + address + struct.pack("!HH", 3, leap) + bytes(12 + 9 * 4)
                serving.sendto(head + body, who)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield serving.getsockname()
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
                ending.sendto(b"end", serving.getsockname())
            thread.join()


@contextmanager
def gpsd(*reports: dict):
    """What gpsd tells who watches it, a line of JSON a report."""
    with socket.create_server(("127.0.0.1", 0)) as serving:

        def serve() -> None:
            while True:
                line, _ = serving.accept()
                with line:
                    line.sendall(b'{"class":"VERSION","release":"3.25","proto_major":3,"proto_minor":15}\r\n')
                    asked = line.recv(1024)
                    if not asked:
                        return
                    assert asked == b'?WATCH={"enable":true,"json":true};\n'
                    for report in reports:
                        if report.get("time") == "now":
                            report = {**report, "time": datetime.now(timezone.utc).isoformat()}
                        line.sendall(json.dumps(report).encode() + b"\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield serving.getsockname()
        finally:
            socket.create_connection(serving.getsockname()).close()
            thread.join()


@pytest.fixture
def nobody():
    """Addresses at which nobody answers."""
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        places = {"gpsd": tcp.getsockname(), "chrony": udp.getsockname()}
    return places


@pytest.fixture
def alone(tmp_path, nobody):
    """A machine on which nothing confirms the clock."""
    return Sources(root=tmp_path, kernel=False, **nobody)


def put(root, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def rtc(root, told: datetime, hctosys: int = 1, name: str = "rtc0") -> None:
    put(root, **{f"sys__class__rtc__{name}__since_epoch": f"{told.timestamp():.0f}\n"})
    put(root, **{f"sys__class__rtc__{name}__hctosys": f"{hctosys}\n"})


@pytest.mark.parametrize(
    ("answer", "synchronised"), [({}, True), ({"leap": 3}, False), ({"version": 5}, False), ({"status": 2}, False)]
)
def test_chrony_says_whether_it_is_synchronised(answer, synchronised):
    with chronyd(**answer) as address:
        assert chrony_is_synchronised(address) is synchronised


def test_gps_gives_the_time_of_a_fix_and_nothing_without(nobody):
    old = {"class": "TPV", "mode": 1, "time": "2019-01-01T00:00:00.000Z"}
    with gpsd({"class": "DEVICES"}, old, {"class": "TPV", "mode": 3, "time": "2026-06-01T12:00:00.000Z"}) as address:
        found = gps_time(address)
        assert found is not None and found[0] == NOW
    with gpsd(old, {"class": "TPV", "mode": 2}) as address:
        assert gps_time(address) is None
    assert gps_time(nobody["gpsd"]) is None


def test_what_confirms_the_clock_is_named(alone, tmp_path):
    assert not alone.asked(BUILT_UTC).is_set
    with chronyd() as chrony:
        assert Sources(root=tmp_path, kernel=False, gpsd=alone.gpsd, chrony=chrony).asked(BUILT_UTC).source == "chrony"
    for report, source in (({"time": "now"}, "gpsd"), ({"time": "2019-01-01T00:00:00Z"}, "")):
        with gpsd({"class": "TPV", "mode": 3, **report}) as gps:
            found = Sources(root=tmp_path, kernel=False, gpsd=gps, chrony=alone.chrony).asked(BUILT_UTC)
            assert found.source == source
    assert "off the time of GPS; let chrony or ntpd set it" in found.why
    assert Sources(trusted=True, root=tmp_path, kernel=False).quick().source == "trusted"
    put(tmp_path, run__systemd__timesync__synchronized="")
    assert alone.quick().source == "timesyncd"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (NOW + timedelta(seconds=20), ""),
        (NOW + timedelta(minutes=5), "says 2026-06-01 12:05 UTC"),
        (datetime(1970, 1, 3, tzinfo=timezone.utc), "lost its time: it says 1970-01-03 00:00 UTC"),
        (NOW - timedelta(days=30), "lost its time: it says 2026-05-02 12:00 UTC"),
    ],
)
def test_a_real_time_clock_is_trusted_when_it_kept_its_time(tmp_path, told, why):
    rtc(tmp_path, told)
    found = rtc_judgement(tmp_path, NOW - timedelta(days=1), NOW)
    assert found.is_set == (not why) and (why in found.why)


def test_the_clock_that_set_the_system_is_the_one_that_is_judged(tmp_path):
    rtc(tmp_path, datetime(1970, 1, 1, tzinfo=timezone.utc), hctosys=0)
    rtc(tmp_path, NOW, hctosys=1, name="rtc1")
    assert rtc_judgement(tmp_path, BUILT_UTC, NOW) == Judgement("rtc", "the real-time clock rtc1 kept its time")


def test_a_real_time_clock_in_local_time_is_understood(tmp_path, monkeypatch):
    put(tmp_path, etc__adjtime="0.0 0 0.0\n0\nLOCAL\n")
    rtc(tmp_path, NOW + (NOW.astimezone().utcoffset() or timedelta(0)))
    assert rtc_judgement(tmp_path, BUILT_UTC, NOW).is_set


def test_a_battery_that_is_empty_is_seen(tmp_path, monkeypatch):
    rtc(tmp_path, NOW)
    put(tmp_path, dev__rtc0="")
    monkeypatch.setattr("fcntl.ioctl", lambda file, request, flags: flags.__setitem__(0, 4))
    found = rtc_judgement(tmp_path, BUILT_UTC, NOW)
    assert not found.is_set and "its battery is empty" in found.why


def test_a_machine_without_any_clock_says_so(tmp_path):
    assert "there is no real-time clock" in rtc_judgement(tmp_path, BUILT_UTC, NOW).why


def test_a_clock_that_was_set_stays_so_and_one_that_is_not_is_asked_again(alone, tmp_path, monkeypatch):
    monkeypatch.setattr(system, "ASKED_S", 0.01)
    clock = SystemClock(alone)
    assert not clock.now().clock_set
    rtc(tmp_path, datetime.now(timezone.utc))
    while not clock.now().clock_set:
        pass
    assert clock.judged.source == sources.RTC
    put(tmp_path, run__systemd__timesync__synchronized="")
    assert clock.judged.source == sources.TIMESYNCD, "a better source takes the place of the other"
    (tmp_path / "run/systemd/timesync/synchronized").unlink()
    assert clock.now().clock_set
