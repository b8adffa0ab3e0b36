"""A recording is dated by the best that it has to say about its time."""

from __future__ import annotations

import os
import struct
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import soundfile

from edgeapp.audio.metadata.recording_time import (
    CONTRADICTED,
    REPEATED,
    SKIPPED,
    RecordingStart,
    recording_start,
    stated_start,
)

TIME = datetime(2024, 6, 7, 16, 59, 29, tzinfo=timezone.utc)
SUMMER = timezone(timedelta(hours=2))


@pytest.fixture
def wav(tmp_path):
    """Write a WAV of two seconds that has GUANO metadata, or none, after its samples."""

    def write(name: str, guano: str | None = None) -> Path:
        path = tmp_path / name
        soundfile.write(path, np.zeros(32000, np.float32), 16000)
        if guano is not None:
            text = guano.encode()
            with open(path, "ab") as file:
                file.write(b"junk" + struct.pack("<I", 3) + b"abc\0")  # an odd chunk is padded
                file.write(b"guan" + struct.pack("<I", len(text)) + text + b"\0" * (len(text) % 2))
        os.utime(path, (TIME.timestamp() + 2, TIME.timestamp() + 2))
        return path

    return write


@pytest.mark.parametrize(
    "stamp, zone, utc",
    [
        ("2024-06-07T18:59:29+02:00", timezone.utc, TIME),
        ("2024-06-07T16:59:29Z", SUMMER, TIME),
        ("2024-06-07T16:59:29.5Z", SUMMER, TIME + timedelta(seconds=0.5)),
        ("2024-06-07T18:59:29", SUMMER, TIME),
        ("2024-06-07 16:59:29", timezone.utc, TIME),
    ],
)
def test_guano_metadata_go_before_the_name(wav, stamp, zone, utc):
    path = wav("20200101_000000.wav", f"GUANO|Version: 1.0\nMake: Wildlife\nTimestamp: {stamp}\r\nNote: x\n")

    assert recording_start(path, 2.0, zone) == RecordingStart(utc, "guano")


@pytest.mark.parametrize("guano", [None, "GUANO|Version: 1.0\nNote: no time", "Timestamp: yesterday"])
def test_without_a_time_in_the_metadata_the_name_counts(wav, guano):
    assert recording_start(wav("20240607_165929.wav", guano), 2.0) == RecordingStart(TIME, "name")


def test_without_a_time_in_the_name_the_last_change_is_the_end(wav):
    assert recording_start(wav("garden.wav"), 2.0) == RecordingStart(TIME, "mtime")


def test_a_flac_has_no_guano_and_is_dated_by_its_name(tmp_path):
    path = tmp_path / "20240607T165929Z.flac"
    soundfile.write(path, np.zeros(1600, np.float32), 16000)

    assert recording_start(path, 0.1) == RecordingStart(TIME, "name")


@pytest.mark.parametrize(
    "stamp",
    ["2024-06-07T18:59:29+02:00", "2024-06-07T16:59:29Z", "2024-06-07T11:59:29-0500", "2024-06-07 16:59:29.0 z"],
)
def test_metadata_with_a_zone_state_the_start(wav, stamp):
    assert stated_start(wav("garden.wav", f"GUANO|Version: 1.0\nTimestamp: {stamp}\n")).utc == TIME


@pytest.mark.parametrize(
    "stem", ["20240607T165929Z", "SM4-A_20240607_185929+0200", "20240607T115929-05:00", "66633C71"]
)
def test_a_name_with_a_zone_states_the_start(wav, stem):
    assert stated_start(wav(f"{stem}.wav")).utc == TIME


@pytest.mark.parametrize(
    ("name", "guano"),
    [
        ("garden.wav", None),  # the time of the file would be a guess
        ("20240607_165929.wav", None),  # in which zone?
        ("20240607_165929-0001.wav", None),  # a running number, no zone
        ("garden.wav", "Timestamp: 2024-06-07T16:59:29"),
        ("20240607_165929.wav", "Timestamp: 2024-06-07T16:59:29"),
        ("garden.wav", "Timestamp: 0001-01-01T00:00:00Z"),  # a recorder whose clock was never set
        ("garden.wav", "Timestamp: yesterday"),
    ],
)
def test_without_a_zone_no_moment_is_stated(wav, name, guano):
    start = stated_start(wav(name, guano))
    assert start is None or (start.utc is None and start.moment is None)


def test_a_zone_in_the_name_counts_where_the_metadata_have_none(wav):
    assert stated_start(wav("20240607T165929Z.wav", "Timestamp: 2024-06-07T18:59:29")).utc == TIME


def test_metadata_with_a_zone_go_before_a_name_with_one(wav):
    assert stated_start(wav("20200101T000000Z.wav", "Timestamp: 2024-06-07T16:59:29Z")).utc == TIME


def test_without_a_zone_the_day_is_that_of_the_recorder(wav):
    start = stated_start(wav("SM4A_20240607_235959.wav"))
    assert (start.utc, start.day, start.source) == (None, date(2024, 6, 7), "name")


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("stem", "zone", "utc", "doubt"),
    [
        ("20240607_185929", BERLIN, "2024-06-07 16:59:29", None),
        ("20241207_175929", BERLIN, "2024-12-07 16:59:29", None),
        ("20191027_015959", BERLIN, "2019-10-26 23:59:59", None),
        ("20191027_020000", BERLIN, "2019-10-27 00:00:00", REPEATED),
        ("20191027_025959", BERLIN, "2019-10-27 00:59:59", REPEATED),
        ("20191027_030000", BERLIN, "2019-10-27 02:00:00", None),
        ("20190331_015959", BERLIN, "2019-03-31 00:59:59", None),
        ("20190331_020000", BERLIN, "2019-03-31 01:00:00", SKIPPED),
        ("20190331_030000", BERLIN, "2019-03-31 01:00:00", None),
        ("20190331_013000", ZoneInfo("Australia/Lord_Howe"), "2019-03-30 14:30:00", None),
        ("20190407_014500", ZoneInfo("Australia/Lord_Howe"), "2019-04-06 14:45:00", REPEATED),  # half an hour back
        ("20191027_020000", timezone(timedelta(hours=1)), "2019-10-27 01:00:00", None),
        ("20191027T020000+0100", BERLIN, "2019-10-27 01:00:00", None),
    ],
)
def test_summer_time_is_kept_and_doubtful_hours_are_marked(wav, stem, zone, utc, doubt):
    start = stated_start(wav(f"{stem}.wav"), zone)
    assert (start.utc, start.doubt) == (datetime.fromisoformat(f"{utc}+00:00"), doubt)


@pytest.mark.parametrize(
    ("name", "guano", "doubt"),
    [
        ("20240607T165929Z.wav", "Timestamp: 2024-06-07T16:59:30Z", None),
        ("20240607T165929Z.wav", "Timestamp: 2024-06-07T18:59:29+02:00", None),
        ("20240607T165929Z.wav", "Timestamp: 2024-06-07T18:59:29Z", CONTRADICTED),
        ("20240607_165929.wav", "Timestamp: 2024-06-07T18:59:29Z", None),  # perhaps in its own zone
    ],
)
def test_sources_that_contradict_each_other_make_it_doubtful(wav, name, guano, doubt):
    assert stated_start(wav(name, guano)).doubt == doubt


def test_a_clip_of_a_station_says_whether_its_clock_was_set(wav):
    stated = "Timestamp: 2024-06-07T16:59:29Z\nBiovitaEdge|Clock Set: {}"
    assert stated_start(wav("a.wav", stated.format("no"))).clock_set is False
    assert stated_start(wav("b.wav", stated.format("yes"))).clock_set is True
    assert stated_start(wav("c.wav", "Timestamp: 2024-06-07T16:59:29Z")).clock_set is True
