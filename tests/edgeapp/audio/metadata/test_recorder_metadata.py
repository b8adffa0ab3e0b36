"""The times that recorders write into their files are read in every form that they have."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgeapp.audio.metadata.recorder_metadata import audiomoth_time, recorder_times
from edgeapp.audio.metadata.recording_time import RecordingStart, stated_start

LOCAL = datetime(2019, 5, 22, 7, 0, 0)
RATE_HZ = 24_000


def east(hours: float, time: datetime = LOCAL) -> datetime:
    return time.replace(tzinfo=timezone(timedelta(hours=hours)))


def utc(time: datetime) -> datetime:
    return time.astimezone(timezone.utc)


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def info(**fields: str) -> bytes:
    return chunk(b"LIST", b"INFO" + b"".join(chunk(name.encode(), text.encode()) for name, text in fields.items()))


def wamd(start: str) -> bytes:
    records = [(0, struct.pack("<H", 1)), (1, b"SM4\0"), (5, start.encode()), (0xFFFF, b"\0\0")]
    return chunk(b"wamd", b"".join(struct.pack("<HI", number, len(body)) + body for number, body in records))


def bext(date: str, time: str, samples: int = 0) -> bytes:
    texts = [(b"field", 256), (b"recorder", 32), (b"", 32), (date.encode(), 10), (time.encode(), 8)]
    body = b"".join(text.ljust(size, b"\0") for text, size in texts) + struct.pack("<Q", samples)
    return chunk(b"bext", body.ljust(602, b"\0"))


def ixml(date: str, time: str) -> bytes:
    text = f"<BWFXML><BEXT><BWF_ORIGINATION_DATE>{date}</BWF_ORIGINATION_DATE>"
    text += f"<BWF_ORIGINATION_TIME>{time}</BWF_ORIGINATION_TIME></BEXT></BWFXML>"
    return chunk(b"iXML", text.encode())


@pytest.fixture
def wav(tmp_path):
    """Write a WAV with chunks before or after its samples."""

    def write(*before: bytes, after: bytes = b"", name: str = "garden.wav", riff: bytes = b"RIFF") -> Path:
        sound = chunk(b"data", bytes(2 * RATE_HZ))
        form = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16))
        body = b"WAVE" + form + b"".join(before) + sound + after
        (tmp_path / name).write_bytes(riff + struct.pack("<I", len(body)) + body)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("07:00:00 22/05/2019 by AudioMoth 0123 at gain setting 2 while battery state was 3.6V", east(0)),
        ("07:00:00 22/05/2019 (UTC) by AudioMoth 0123 at gain setting 2 while battery state was 3.6V", east(0)),
        ("07:00:00 22/05/2019 (UTC+2) by AudioMoth 0123 at medium gain setting while battery was 4.2V", east(2)),
        ("07:00:00 22/05/2019 (UTC-10) by AudioMoth 0123 at low gain", east(-10)),
        ("07:00:00 22/05/2019 (UTC+5:30) during deployment 0123 at medium gain while battery was 4.2V", east(5.5)),
        ("07:00:00 22/05/2019 (UTC-3:30) by AudioMoth 0123 at high gain while temperature was 11.2C.", east(-3.5)),
        ("07:00:00.250 22/05/2019 (UTC) by AudioMoth 0123", east(0, LOCAL + timedelta(milliseconds=250))),
        ("07:00:00 22/13/2019 (UTC) by AudioMoth 0123", None),
        ("the lake on 22/05/2019 at 07:00:00 (UTC) by Anna", None),
    ],
)
def test_every_comment_of_an_audiomoth_is_read(stamp, time):
    assert audiomoth_time(f"Recorded at {stamp}") == time


@pytest.mark.parametrize("suffix", ["flac", "ogg"])
def test_the_comment_is_read_in_other_formats(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with soundfile.SoundFile(path, "w", 24_000, 1) as file:
        file.comment = "Recorded at 07:00:00 22/05/2019 (UTC+2) by AudioMoth 0123"
        file.write(np.zeros(24_000))
    assert stated_start(path) == RecordingStart(utc(east(2)), "audiomoth")


@pytest.mark.parametrize(
    ("chunks", "source", "time"),
    [
        (
            [info(ICMT="Recorded at 07:00:00 22/05/2019 (UTC+2) by AudioMoth 0123", IART="AudioMoth")],
            "audiomoth",
            east(2),
        ),
        ([wamd("2019-05-22 07:00:00+02:00")], "wamd", east(2)),
        ([wamd("2019-05-22 07:00:00.000-05:30")], "wamd", east(-5.5)),
        ([wamd("2019-05-22 07:00:00")], "wamd", LOCAL),
        ([bext("2019-05-22", "07:00:00")], "bext", LOCAL),
        ([bext("2019:05:22", "07-00-00")], "bext", LOCAL),
        ([bext("2019-05-22", "07:00:00", round(25_200.5 * RATE_HZ))], "bext", LOCAL + timedelta(seconds=0.5)),
        ([bext("2019-05-22", "07:00:00", 3_600 * RATE_HZ)], "bext", LOCAL),  # a time code of its own
        ([bext("2019-05-22", "", 25_200 * RATE_HZ)], "bext", LOCAL),
        ([ixml("2019-05-22", "07:00:00")], "ixml", LOCAL),
        ([info(ICRD="2019-05-22T07:00:00")], "tag", LOCAL),
        ([info(ICRD="2019-05-22 07:00:00 Z")], "tag", east(0)),
    ],
)
@pytest.mark.parametrize("after", [False, True])
def test_each_chunk_gives_its_time(wav, chunks, source, time, after):
    path = wav(after=b"".join(chunks)) if after else wav(*chunks)
    assert list(recorder_times(path)) == [(source, time)]
    assert stated_start(path).time == (utc(time) if time.tzinfo else time)


def test_a_list_of_labels_hides_no_comment(wav):
    comment = info(ICMT="Recorded at 07:00:00 22/05/2019 (UTC+2) by AudioMoth 0123")
    assert stated_start(wav(chunk(b"LIST", b"adtlnote"), comment)).time == utc(east(2))


@pytest.mark.parametrize(
    "chunks",
    [
        [info(ICRD="2019")],
        [info(ICRD="2019-05-22")],
        [info(ICMT="a nice morning")],
        [bext("", "")],
        [bext("0000-00-00", "00:00:00")],
        [bext("2019-05-22", "")],
        [wamd("")],
        [chunk(b"wamd", b"\5\0\xff\xff\xff\xff2019")],
        [chunk(b"LIST", b"INFOICMT\xff\xff\xff\xff")],
        [chunk(b"bext", b"short")],
        [chunk(b"iXML", b"<BWFXML>")],
    ],
)
def test_metadata_without_a_time_of_day_give_none(wav, chunks):
    assert stated_start(wav(*chunks)) is None


MOTH = info(ICMT="Recorded at 07:00:00 22/05/2019 (UTC) by AudioMoth 0123")
GUANO = chunk(b"guan", b"GUANO|Version: 1.0\nTimestamp: 2019-05-22T07:00:01Z\n")


@pytest.mark.parametrize(
    ("chunks", "name", "source"),
    [
        ([MOTH, GUANO], "20190522_070002.WAV", "guano"),
        ([bext("2019-05-22", "07:00:03"), MOTH], "20190522_070002.WAV", "audiomoth"),
        ([ixml("2019-05-22", "07:00:03"), wamd("2019-05-22 07:00:00")], "20190522_070002.WAV", "wamd"),
        ([ixml("2019-05-22", "07:00:03"), bext("2019-05-22", "07:00:04")], "20190522_070002.WAV", "bext"),
        ([info(ICRD="2021-01-01T00:00:00")], "20190522_070002.WAV", "name"),
        ([bext("2019-05-22", "07:00:03")], "20190522T070002Z.WAV", "name"),  # it states its zone
        ([info(ICRD="2021-01-01T00:00:00Z")], "20190522_070002.WAV", "name"),  # a tag is often a copy's
        ([MOTH], "5CE4F370.WAV", "name"),  # the same time, in UTC whatever the comment means
        ([MOTH], "58012345.WAV", "audiomoth"),  # years apart: a running number
    ],
)
def test_the_source_nearest_to_the_clock_counts(wav, chunks, name, source):
    assert stated_start(wav(*chunks, name=name)).source == source


def test_the_time_behind_a_large_data_chunk_is_found(tmp_path):
    path = tmp_path / "long.wav"
    head = b"RF64\xff\xff\xff\xffWAVE" + chunk(b"ds64", struct.pack("<QQQI", 0, 5 << 30, 0, 0))
    with open(path, "wb") as file:
        file.write(head + b"data\xff\xff\xff\xff")
        file.seek(5 << 30, 1)
        file.write(wamd("2019-05-22 07:00:00+02:00"))
    assert list(recorder_times(path)) == [("wamd", east(2))]


def mp4(*, wide: bool) -> bytes:
    seconds = round((east(0) - datetime(1904, 1, 1, tzinfo=timezone.utc)).total_seconds())
    times = struct.pack(">QQ" if wide else ">II", seconds, seconds)
    movie = struct.pack(">I4s", 8 + 4 + len(times), b"mvhd") + bytes([int(wide), 0, 0, 0]) + times
    boxes = [(b"ftyp", b"M4A \0\0\0\0"), (b"mdat", bytes(100)), (b"moov", movie)]
    return b"".join(struct.pack(">I4s", 8 + len(body), name) + body for name, body in boxes)


@pytest.mark.parametrize("wide", [False, True])
def test_the_creation_time_of_a_phone_recording_is_a_tag(tmp_path, wide):
    (tmp_path / "voice.m4a").write_bytes(mp4(wide=wide))
    assert list(recorder_times(tmp_path / "voice.m4a")) == [("tag", east(0))]


@pytest.mark.parametrize("cut", range(0, 160, 7))
def test_a_cut_phone_recording_gives_a_time_or_none(tmp_path, cut):
    (tmp_path / "voice.m4a").write_bytes(mp4(wide=False)[:cut])
    assert [source for source, _ in recorder_times(tmp_path / "voice.m4a")] in ([], ["tag"])


@pytest.mark.parametrize("suffix", ["flac", "ogg"])
@pytest.mark.parametrize(("date", "time"), [("2019-05-22T07:00:00", LOCAL), ("2019-05-22", None), ("2019", None)])
def test_a_date_tag_counts_with_a_time_of_day(tmp_path, suffix, date, time):
    path = tmp_path / f"a.{suffix}"
    with soundfile.SoundFile(path, "w", 24_000, 1) as file:
        file.date = date
        file.write(np.zeros(24_000))
    assert list(recorder_times(path)) == ([] if time is None else [("tag", time)])
