"""Times written before the clock was set are corrected from the seconds since boot; what was written first stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from edgeapp.clock.system import Moment
from edgeapp.journal import Clip, JournalError, utc_of, utc_text
from tests.edgeapp.journal.samples import DAWN, GREAT_TIT, begin, rows

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
BOOT = datetime(2025, 5, 1, 4, 0, tzinfo=timezone.utc)
TIMES = "SELECT time_utc, written_utc, clock_set FROM detections ORDER BY id"


def unset(boottime_s: float) -> Moment:
    """On a board that woke up in 1970."""
    return Moment(EPOCH + timedelta(seconds=boottime_s), boottime_s, clock_set=False)


def heard_at(moment: Moment):
    return replace(GREAT_TIT, time=moment)


def test_times_before_the_clock_was_set_are_corrected_and_no_others(journal):
    stream = begin(journal, unset(10.0))
    journal.record(stream, heard_at(unset(70.5)))
    journal.record(stream, heard_at(Moment(BOOT + timedelta(seconds=130), 130.0)))
    assert rows(journal.path, TIMES)[0] == ("1970-01-01T00:01:10.500Z", None, 0)

    assert journal.correct_times("boot-a", BOOT) == 1

    assert rows(journal.path, TIMES) == [
        ("2025-05-01T04:01:10.500Z", "1970-01-01T00:01:10.500Z", 2),
        ("2025-05-01T04:02:10.000Z", None, 1),
    ]
    assert journal.correct_times("boot-a", BOOT + timedelta(hours=1)) == 0  # once


def test_only_the_same_boot_is_corrected(journal):
    before_the_power_cut = begin(journal, unset(10.0), boot_id="boot-a")
    after = begin(journal, unset(10.0), boot_id="boot-b")
    for stream in (before_the_power_cut, after):
        journal.record(stream, heard_at(unset(20.0)))

    journal.correct_times("boot-b", BOOT)

    assert [row[2] for row in rows(journal.path, TIMES)] == [0, 2]
    assert rows(journal.path, "SELECT clock_set FROM streams") == [(0,), (2,)]


def test_the_times_of_streams_deployments_and_clips_are_corrected_too(journal):
    stream = begin(journal, unset(10.0))
    journal.add_clip(Clip("a.flac", "flac", 0.0, 10.0, stream, 1, unset(30.0)), [])
    journal.close_stream(stream, Moment(BOOT + timedelta(seconds=40), 40.0), "ended", 0)  # the clock was set meanwhile
    journal.end(1, unset(41.0))

    journal.correct_times("boot-a", BOOT)

    corrected = [("2025-05-01T04:00:10.000Z", "2025-05-01T04:00:40.000Z", 2)]
    assert rows(journal.path, "SELECT started_utc, ended_utc, clock_set FROM streams") == corrected
    assert rows(journal.path, "SELECT started_utc, ended_utc, clock_set FROM deployments") == [
        ("2025-05-01T04:00:10.000Z", "2025-05-01T04:00:41.000Z", 2)
    ]
    assert [(clip.created_utc, clip.clock_set) for clip in journal.clips()] == [("2025-05-01T04:00:30.000Z", 2)]


def test_what_is_corrected_is_found_at_its_right_time(journal):
    stream = begin(journal, unset(10.0))
    journal.record(stream, heard_at(unset(70.5)))
    assert list(journal.detections(since=BOOT)) == []

    journal.correct_times("boot-a", BOOT)

    assert len(list(journal.detections(since=BOOT, until=BOOT + timedelta(minutes=2)))) == 1


def test_a_deployment_with_a_wrong_clock_is_shifted_whole_and_no_other(journal):
    wrong, right = begin(journal), begin(journal)
    journal.record(wrong, GREAT_TIT)
    journal.record(right, GREAT_TIT)
    journal.end(1, DAWN)

    assert journal.shift_times(1, -3600.5) == 1
    assert journal.shift_times(1, 0.5) == 1

    assert rows(journal.path, TIMES) == [
        ("2025-05-01T03:12:09.250Z", "2025-05-01T04:12:09.250Z", 2),
        ("2025-05-01T04:12:09.250Z", None, 1),
    ]
    assert rows(journal.path, "SELECT started_utc, ended_utc FROM deployments WHERE id = 1") == [
        ("2025-05-01T03:12:09.250Z", "2025-05-01T03:12:09.250Z")
    ]
    assert rows(journal.path, "SELECT started_utc FROM streams") == [
        ("2025-05-01T03:12:09.250Z",),
        ("2025-05-01T04:12:09.250Z",),
    ]


def test_an_unknown_deployment_cannot_be_shifted(journal):
    with pytest.raises(JournalError, match="has no deployment 3"):
        journal.shift_times(3, 60.0)


def test_times_are_read_as_they_were_written():
    assert utc_of(utc_text(DAWN)) == DAWN.utc
    assert utc_text(utc_of("2025-05-01T04:12:09.250Z")) == "2025-05-01T04:12:09.250Z"
