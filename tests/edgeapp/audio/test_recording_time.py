"""A recording is dated by the best that it has to say about its time."""

from __future__ import annotations

import os
import struct
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgeapp.audio.recording_time import RecordingStart, recording_start, start_in_name, stated_start

TIME = datetime(2024, 6, 7, 16, 59, 29, tzinfo=timezone.utc)
SUMMER = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    "stem, utc",
    [
        ("20240607_165929", TIME),  # AudioMoth
        ("24F319055FDF2205_20240607_165929", TIME),  # AudioMoth with its device number
        ("SM4-A_20240607_165929", TIME),  # Song Meter
        ("SMU08881_20240607_165929_000", TIME),
        ("20240607T165929Z", TIME),
        ("turdus_merula_98p_20240607T165929Z", TIME),
        ("2024-06-07_16-59-29", TIME),
        ("20240607_185929+0200", TIME),
        ("20240607T115929-0500", TIME),
        ("20240607_165929-0001", TIME),  # a running number, no zone
        ("66633C71", TIME),  # AudioMoth before 2020
        ("20240607", None),
        ("20241307_165929", None),  # no such month
        ("00010607_165929", None),
        ("12345678", None),
        ("recording 12", None),
        ("120240607_165929", None),
    ],
)
def test_the_time_in_a_name(stem, utc):
    assert start_in_name(stem) == utc


def test_a_name_without_zone_is_in_the_zone_of_the_recorder():
    assert start_in_name("20240607_165929", SUMMER) == TIME - timedelta(hours=2)
    assert start_in_name("20240607T165929Z", SUMMER) == TIME


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
def test_without_a_zone_nothing_states_the_start(wav, name, guano):
    assert stated_start(wav(name, guano)) is None


def test_a_zone_in_the_name_counts_where_the_metadata_have_none(wav):
    assert stated_start(wav("20240607T165929Z.wav", "Timestamp: 2024-06-07T18:59:29")).utc == TIME


def test_metadata_with_a_zone_go_before_a_name_with_one(wav):
    assert stated_start(wav("20200101T000000Z.wav", "Timestamp: 2024-06-07T16:59:29Z")).utc == TIME


def test_a_clip_of_a_station_says_whether_its_clock_was_set(wav):
    stated = "Timestamp: 2024-06-07T16:59:29Z\nBiovitaEdge|Clock Set: {}"
    assert stated_start(wav("a.wav", stated.format("no"))).clock_set is False
    assert stated_start(wav("b.wav", stated.format("yes"))).clock_set is True
    assert stated_start(wav("c.wav", "Timestamp: 2024-06-07T16:59:29Z")).clock_set is True
