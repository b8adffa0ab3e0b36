"""The log of the station: without repeats, rotated, in UTC, and no reason to stop."""

from __future__ import annotations

import errno
import io
import logging
import re
import sys
import threading
from pathlib import Path

import pytest

from edgeapp.config.sections import Log
from edgeapp.station.logs import UtcFormatter, station_log
from edgeapp.station.repeats import ALL, KINDS_KEPT, PERIOD_S, SAME_PLACE, SAME_TEXT, Repeats

log = logging.getLogger("edgeapp.test")


class Hands:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Hands:
    return Hands()


def test_a_repeated_line_is_told_a_few_times_and_then_counted(clock):
    err = io.StringIO()
    with station_log(Log(), err, clock, {}):
        for _ in range(SAME_TEXT + 240):
            log.warning("microphone %s: no samples", "USB")
        told = err.getvalue().splitlines()
        assert len(told) == SAME_TEXT
        clock.s = PERIOD_S
        log.info("something else")
        told = err.getvalue().splitlines()
        assert told[-2].endswith("microphone USB: no samples … 240 times more in the last hour")
        assert told[-1].endswith("something else")
        log.warning("microphone %s: no samples", "USB")
        assert err.getvalue().splitlines()[-1].endswith("microphone USB: no samples")


def test_lines_that_differ_in_their_numbers_alone_are_no_way_around(clock):
    err = io.StringIO()
    with station_log(Log(), err, clock, {}):
        for n in range(1000):
            log.warning("no samples for %d ms", n)
        assert len(err.getvalue().splitlines()) == SAME_PLACE
    assert (
        err.getvalue()
        .splitlines()[-1]
        .endswith(f"no samples for 999 ms … {1000 - SAME_PLACE} times more in the last 1 min")
    )


def test_a_flood_of_many_voices_ends_too_and_takes_no_memory(clock, caplog):
    repeats = Repeats(clock)
    written = 0
    for n in range(3 * ALL):
        record = logging.LogRecord("x", logging.ERROR, f"file{n}.py", n, f"text {n}", (), None)
        written += repeats.filter(record)
        assert len(repeats._kinds) <= KINDS_KEPT + 2
    assert written == ALL
    with caplog.at_level(logging.ERROR):
        repeats.finish()
    assert caplog.messages == [f"{2 * ALL} lines suppressed in the last 1 min: too many"]


def test_a_line_whose_arguments_do_not_fit_is_written_as_it_is(clock):
    record = logging.LogRecord("x", logging.WARNING, "file.py", 1, "%d samples", ("many",), None)
    assert Repeats(clock).filter(record)
    assert UtcFormatter().format(record).endswith("Z WARNING x: %d samples")


def test_what_was_held_back_is_told_at_the_end(clock):
    err = io.StringIO()
    with station_log(Log(), err, clock, {}):
        for _ in range(SAME_TEXT + 1):
            log.error("again")
    assert err.getvalue().splitlines()[-1].endswith("again … once more in the last 1 min")


def test_the_file_rotates_and_only_so_many_are_kept(tmp_path, clock):
    path = tmp_path / "logs" / "station.log"
    with station_log(Log(file=path, max_mb=0.001, keep=2), io.StringIO(), clock, {}):
        for n in range(200):
            clock.s += PERIOD_S
            log.info("line %d of a station that runs for a year", n)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["station.log", "station.log.1", "station.log.2"]
    assert all(file.stat().st_size <= 1000 for file in files)
    assert "line 199 " in path.read_text()


def test_times_are_utc_in_the_file_and_a_traceback_is_there_alone(tmp_path):
    path, err = tmp_path / "station.log", io.StringIO()
    with station_log(Log(file=path), err, environment={}):
        try:
            raise OSError("gone\nfor good")
        except OSError:
            log.exception("two\nlines")
    first, *rest = path.read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ERROR edgeapp.test: two lines", first)
    assert rest[0].startswith("Traceback")
    [line] = err.getvalue().splitlines()
    assert re.fullmatch(r"\S+Z error: two lines \(OSError: gone\)", line)


def test_journald_gets_the_weight_and_keeps_the_time_itself():
    err = io.StringIO()
    with station_log(Log(), err, environment={"JOURNAL_STREAM": "8:1"}):
        log.warning("lost")
    assert err.getvalue() == "<4>lost\n"


def test_the_level_is_kept_and_everything_is_as_before_afterwards():
    err, root = io.StringIO(), logging.getLogger()
    before = (root.level, list(root.handlers))
    with station_log(Log(level="warning"), err, environment={}):
        log.info("not this")
        log.warning("this")
    assert len(err.getvalue().splitlines()) == 1
    assert (root.level, list(root.handlers)) == before


class Full(io.StringIO):
    """A file on a full disk."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_full_disk_is_told_once_an_hour_and_stops_nothing(tmp_path, clock, monkeypatch):
    path, err = tmp_path / "station.log", io.StringIO()
    monkeypatch.setattr("edgeapp.station.logs.LogFile._open", lambda self: Full())
    with station_log(Log(file=path), err, clock, {}):
        for n in range(30):
            log.info("line %d", n)
        assert err.getvalue().count("cannot be written") == 1
        assert "No space left on device" in err.getvalue()
        clock.s += PERIOD_S
        log.info("later")
        assert err.getvalue().count("cannot be written") == 2
        monkeypatch.undo()  # somebody made room
        log.info("written again")
    assert path.read_text().splitlines()[0].endswith("written again")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_that_is_really_full_stops_nothing_either(clock):
    err = io.StringIO()
    with station_log(Log(file=Path("/dev/full"), max_mb=1e-6), err, clock, {}):
        log.info("one")
        log.info("two")
    assert err.getvalue().count("cannot be written") == 1


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path, clock):
    (tmp_path / "file").write_text("")
    err = io.StringIO()
    with station_log(Log(file=tmp_path / "file" / "station.log"), err, clock, {}):
        log.info("on")
    assert "cannot be written" in err.getvalue()
    assert err.getvalue().splitlines()[0].endswith("info: on")


def test_a_closed_standard_error_stops_nothing(tmp_path):
    err = io.StringIO()
    path = tmp_path / "station.log"
    with station_log(Log(file=path), err, environment={}):
        err.close()
        log.info("on")
    assert path.read_text().endswith("on\n")


def test_several_threads_lose_no_line_and_mix_none(tmp_path, clock):
    path = tmp_path / "station.log"

    def speak(voice: int) -> None:
        for n in range(10):
            logging.getLogger(f"voice{voice}").info("voice %d says %d", voice, n)

    with station_log(Log(file=path), io.StringIO(), clock, {}):
        threads = [threading.Thread(target=speak, args=(voice,)) for voice in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(path.read_text().splitlines()) == 40


def test_lines_go_where_standard_error_is_now(monkeypatch):
    """A live table takes its place while it is drawn."""
    before, after = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", before)
    with station_log(Log()):
        logging.getLogger("edgeapp").warning("one")
        monkeypatch.setattr(sys, "stderr", after)
        logging.getLogger("edgeapp").warning("two")
    assert ("one" in before.getvalue(), "two" in before.getvalue(), "two" in after.getvalue()) == (True, False, True)
