"""Recordings that appear in a folder are heard once each, at their own times, however often the station is killed."""

from __future__ import annotations

import io
import re
import sqlite3
import threading
import time
from contextlib import closing
from datetime import datetime, timezone, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import soundfile

from edgeapp.clock.system import SystemClock
from edgeapp.config.sections import Log
from edgeapp.detections.verdict import Verdict
from edgeapp.station.folder import FolderSource
from edgeapp.station.logs import station_log
from edgeapp.station.repeats import SAME_PLACE
from tests.edgeapp import toy_pack as toy
from tests.edgeapp.station.listening import CARD_HZ, Listening


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "recorder").mkdir()
    return tmp_path / "recorder"


@pytest.fixture
def watch(recogniser, journal, folder):
    """Watch the folder until so many windows were told, or for some seconds; the station and its listening."""

    def call(windows: int, within_s: float = 20.0, break_after: int | None = None, zone: tzinfo = timezone.utc):
        listening = Listening(recogniser, journal)
        station = listening.station()
        sources = []

        def make(tell):
            sources.append(FolderSource(folder, journal, listening.clock, tell, 0.0, zone, poll_s=0.05))
            return sources[0]

        worker = listening.worker(station, make)

        class Broken(BaseException):
            pass

        if break_after is not None:
            show = listening.screen.show

            def breaking(seen, station):
                show(seen, station)
                if len(listening.screen.seen) == break_after:
                    raise Broken

            listening.screen.show = breaking

        def close_in_time():
            end = time.monotonic() + within_s
            while time.monotonic() < end and len(listening.screen.seen) < windows and not sources[0]._closed:
                time.sleep(0.02)
            sources[0].close()

        closer = threading.Thread(target=close_in_time)
        closer.start()
        try:
            station.run([worker])
        except Broken:
            pass
        finally:
            sources[0].close()
            closer.join()
        return listening.screen.seen

    return call


def sing(path, frequency: float = 1000, seconds: float = 20.0):
    soundfile.write(path, toy.tone(frequency, seconds=seconds, rate_hz=CARD_HZ), CARD_HZ)
    return path


def rows(journal, sql):
    with closing(sqlite3.connect(journal.path)) as connection:
        return connection.execute(sql).fetchall()


def test_recordings_are_heard_once_with_the_times_in_their_names(watch, folder, journal):
    sing(folder / "20260501_040000.WAV")
    (folder / "card2").mkdir()
    sing(folder / "card2" / "20260501_050000.flac", 3000)

    first = watch(6)
    again = watch(1, within_s=1.0)

    assert len(first) == 6 and again == []
    heard = [(row["time_utc"][:19], row["scientific_name"], row["windows"]) for row in journal.detections()]
    assert heard == [
        ("2026-05-01T04:00:00", "Parus major", 3),
        ("2026-05-01T05:00:00", "Cuculus canorus", 3),
    ]
    assert [row["clock_set"] for row in journal.detections()] == [1, 1]
    assert rows(journal, "SELECT count(*), count(stream) FROM files") == [(2, 2)]
    assert rows(journal, "SELECT backend, end_reason FROM streams") == [("file", "ended")] * 2


def test_a_recording_that_a_crash_cut_off_is_resumed(watch, folder, journal):
    sing(folder / "20260501_040000.wav", seconds=60.0)

    before = watch(100, break_after=4)
    assert rows(journal, "SELECT count(*) FROM files") == [(0,)]
    after = watch(11 - 4)

    starts = [seen.result.start_s for seen in before] + [seen.result.start_s for seen in after]
    assert starts[:4] == [0.0, 5.0, 10.0, 15.0]
    assert sorted(set(starts)) == [5.0 * n for n in range(11)]
    told = [(row["start_s"], row["end_s"], row["windows"]) for row in journal.detections()]
    assert told == [(0.0, 25.0, 4), (20.0, 60.0, 7)]  # no window twice
    assert rows(journal, "SELECT count(*) FROM files") == [(1,)]


def test_a_recording_that_changed_is_heard_anew(watch, folder, journal):
    path = sing(folder / "20260501_040000.wav")
    watch(3)
    sing(path, 3000, seconds=25.0)

    assert [seen.detected[0].scientific_name for seen in watch(4)] == ["Cuculus canorus"] * 4


def test_a_file_that_is_no_recording_is_named_and_the_others_are_heard(watch, folder, journal, caplog):
    (folder / "20260501_030000.wav").write_bytes(b"no sound at all")
    sing(folder / "20260501_040000.wav")

    assert len(watch(3)) == 3
    assert "20260501_030000.wav" in caplog.text
    assert rows(journal, "SELECT path LIKE '%040000.wav' FROM files") == [(1,)]


def test_every_recording_that_is_refused_is_named_however_many_there_are(folder, journal):
    names = [f"{number:03}.wav" for number in range(2 * SAME_PLACE)]
    for name in names:
        (folder / name).write_bytes(b"no sound at all")
    source = FolderSource(folder, journal, SystemClock(), settled_s=0.0, poll_s=0.01)

    class Told(io.StringIO):
        def write(self, text: str) -> int:
            if names[-1] in text:
                source.close()
            return super().write(text)

    with station_log(Log(), told := Told(), environment={}):
        assert list(source.streams()) == []
    assert re.findall(r"/(\d+\.wav): is not readable audio", told.getvalue()) == names


def test_samples_beyond_reason_end_only_their_own_recording(watch, folder, journal, caplog):
    path = sing(folder / "20260501_030000.wav")
    sound, rate_hz = soundfile.read(path, dtype="float32")
    sound[len(sound) // 2] = -1.4e37
    soundfile.write(path, sound, rate_hz, subtype="FLOAT")
    sing(folder / "20260501_040000.wav")

    watch(4, within_s=10.0)
    assert "20260501_030000.wav: the sample at 10.000 s is -1.4e+37" in caplog.text
    assert (1,) in rows(journal, "SELECT path LIKE '%040000.wav' FROM files")


def test_a_recording_of_zeros_is_heard_as_silence(watch, folder, journal):
    soundfile.write(folder / "20260501_040000.wav", np.zeros(20 * CARD_HZ, np.float32), CARD_HZ)

    assert [seen.verdict for seen in watch(3)] == [Verdict.SILENT] * 3


def test_a_recording_without_a_time_ends_when_its_file_was_written(watch, folder, journal):
    path = sing(folder / "song.wav")
    written = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)

    first = watch(3)[0]
    assert abs((written - first.moment.utc).total_seconds() - 20.0) < 0.01


def test_documents_say_where_the_start_of_a_recording_was_read(watch, folder, journal):
    sing(folder / "20191027_023000.WAV")

    watch(3, zone=ZoneInfo("Europe/Berlin"))

    [row] = journal.detections()
    source = journal.document(row)["source"]
    assert source["file"] == str(folder / "20191027_023000.WAV")
    assert source["recorded_at"] == "2019-10-27T00:30:00.000Z"
    assert (source["recorded_at_origin"], source["recorded_at_doubt"]) == ("name", "repeated hour")
