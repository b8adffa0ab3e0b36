"""The time in the name of a recording is read as its recorder wrote it, and no other number is taken for one."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from edgeapp.audio.metadata.recording_names import time_in_name

LOCAL = datetime(2024, 6, 7, 16, 59, 29)
UTC = LOCAL.replace(tzinfo=timezone.utc)


def east(hours: float) -> datetime:
    return LOCAL.replace(tzinfo=timezone(timedelta(hours=hours)))


@pytest.mark.parametrize(
    "name",
    [
        "20240607_165929.WAV",  # AudioMoth
        "20240607_165929T.WAV",  # AudioMoth, triggered
        "24F319055FDF2205_20240607_165929.wav",  # AudioMoth with its device number
        "SM4-A_20240607_165929.wav",  # Song Meter
        "SM2_0+1_20240607_165929_000.wav",
        "SM2_20240607$165929.wav",  # with GPS
        "SMM00001_20240607_165929.wav",
        "SMU08881_20240607_165929_000.wav",
        "S1_20240607_165929_site.wav",  # Swift
        "20240607T165929_-27.38+152.87.wav",  # Frontier Labs, with its place
        "2024-06-07_16-59-29.wav",
        "2024-06-07 16.59.29.m4a",
        "2024-06-07-birdnet-16:59:29.wav",
        "Parus_major-87-2024-06-07-birdnet-16:59:29.mp3",
        "240607_165929.WAV",  # Zoom
        "240607-165929.WAV",
        "20240607_165929-0001.wav",  # a running number, no zone
        "20240607_165929-01.wav",
        "20240607_165929_Zilpzalp.wav",  # no zone either
        "20240607_165929",
    ],
)
def test_a_name_without_a_zone_gives_local_time(name):
    assert time_in_name(name) == LOCAL and time_in_name(name).tzinfo is None


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("20240607T165929Z.flac", UTC),
        ("turdus_merula_98p_20240607T165929Z.flac", UTC),
        ("S1_20240607_165929_Z.wav", UTC),  # Swift
        ("S1_20240607_165929_+0200.wav", east(2)),
        ("20240607T165929+0200_REC.wav", east(2)),  # Frontier Labs
        ("20240607T165929+0530_BAR.flac", east(5.5)),
        ("S20240607T165929.123456+1000_E20240607T175959.123456+1000_+25.1-165.2.wav", east(10)),
        ("20240607T165929+10.wav", east(10)),
        ("20240607_165929-0545.wav", east(-5.75)),
        ("20240607T165929-05:00.wav", east(-5)),
        ("66633C71.WAV", UTC),  # AudioMoth until 2018
        ("66633C71.flac", UTC),
    ],
)
def test_a_name_with_a_zone_gives_a_moment(name, time):
    found = time_in_name(name)
    assert found == time and found.tzinfo is not None


def test_a_name_to_the_minute_is_read():
    assert time_in_name("2024-06-07 16_59.wav") == LOCAL.replace(second=0)


@pytest.mark.parametrize("stem", ["58012345", "55000000", "61000000"])
def test_a_hexadecimal_name_may_have_decimal_digits_only(stem):
    assert time_in_name(f"{stem}.WAV") == datetime.fromtimestamp(int(stem, 16), timezone.utc)


@pytest.mark.parametrize(
    "name",
    [
        "58012345.wav",  # not as an AudioMoth writes it
        "58012345.mp3",
        "00000012.WAV",  # a running number
        "12345678.WAV",
        "20240607.WAV",  # a date without a time of day
        "70000000.WAV",  # no AudioMoth wrote such names in 2029
        "240607_0001.WAV",  # Tascam: date and running number
        "ZOOM0012.WAV",
        "20241307_165929.wav",  # no such month
        "20240607_255929.wav",
        "00010607_165929.wav",
        "recording 12.wav",
        "120240607_165929.wav",
        "20240607.wav",
    ],
)
def test_what_only_looks_like_a_time_is_none(name):
    assert time_in_name(name) is None
