"""FLAC is heard to its end, around damage, and at the right times."""

from __future__ import annotations

import io
import subprocess

import numpy as np
import pytest
import soundfile

from edgeapp.audio.formats.flac_frames import Frame, first_frame, frames_from
from edgeapp.audio.formats.view import View
from tests.edgeapp.audio.formats.sounds import RATE_HZ, differs, encoded, example, garbage, heard

SOUND = example(8.0)
AS_FLOAT = SOUND.astype(np.float32) / 32768
FILE = encoded(SOUND, "FLAC")
HALF = len(FILE) // 2


def announcing(data: bytes, total: int) -> bytes:
    """A file whose header has another number of samples."""
    raw = bytearray(data)
    raw[21] = raw[21] & 0xF0 | total >> 32
    raw[22:26] = (total & 0xFFFF_FFFF).to_bytes(4, "big")
    return bytes(raw)


def frames(data: bytes) -> list[Frame]:
    file = io.BytesIO(data)
    info, begin = first_frame(file, 0)
    return list(frames_from(file, begin, info))


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_samples_are_the_numbers_of_libsndfile(subtype, channels):
    data = encoded(np.repeat(SOUND[:48_000, None], channels, axis=1), "FLAC", subtype=subtype)
    wanted = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].mean(axis=1, dtype=np.float32)
    np.testing.assert_array_equal(heard(data)[0], wanted)


@pytest.mark.parametrize("total", [0, 1000, len(SOUND) // 2, len(SOUND) * 2, len(SOUND) * 10, 2**36 - 1])
def test_the_length_in_the_header_ends_nothing(total):
    given, source = heard(announcing(FILE, total))
    np.testing.assert_array_equal(given, AS_FLOAT)
    assert source.fault is None and source.duration_s == 8.0
    assert len(source.notes) == (total > 0)
    impossible = total == 2**36 - 1
    assert ("impossible" in str(source.notes)) == impossible
    for start_s in (0.5, 3.0, 7.9):
        np.testing.assert_array_equal(heard(announcing(FILE, total), start_s)[0], AS_FLOAT[round(start_s * RATE_HZ) :])


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_cut_file_is_told_from_one_that_announces_too_much(share):
    cut = FILE[: int(share * len(FILE))]
    given, source = heard(cut)
    np.testing.assert_array_equal(given, AS_FLOAT[: len(given)])
    assert "announces 8.0 s but only" in str(source.fault)
    unknown = heard(announcing(cut, 0))[1]
    assert "is cut off after" in str(unknown.fault)


def test_a_file_cut_between_two_frames_is_cut():
    end = frames(FILE)[50].offset
    assert "announces 8.0 s but only" in str(heard(FILE[:end])[1].fault)


DAMAGE = {
    "a bit": FILE[:HALF] + bytes([FILE[HALF] ^ 16]) + FILE[HALF + 1 :],
    "16 bytes": FILE[:HALF] + garbage(16) + FILE[HALF + 16 :],
    "20 kB of garbage": FILE[:HALF] + garbage(20_000) + FILE[HALF + 20_000 :],
    "20 kB of zeros": FILE[:HALF] + bytes(20_000) + FILE[HALF + 20_000 :],
    "20 kB are missing": FILE[:HALF] + FILE[HALF + 20_000 :],
    "5 kB are inserted": FILE[:HALF] + garbage(5000) + FILE[HALF:],
}


@pytest.mark.parametrize("total", [len(SOUND), 0])
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_lies_around_damage_is_heard_at_its_time(damage, total):
    data = announcing(DAMAGE[damage], total)
    given, source = heard(data)
    first, last = differs(given, AS_FLOAT)
    assert last - first < (0.2 if "kB" not in damage or "inserted" in damage else 1.5)
    assert source.fault is not None and source.fault.startswith("is damaged from ")
    from_s, to_s = (float(word) for word in source.fault.split()[3:6:2])
    assert from_s - 0.01 <= first and last <= to_s + 0.01
    np.testing.assert_array_equal(heard(data, 7.0)[0], AS_FLOAT[7 * RATE_HZ :])
    np.testing.assert_array_equal(heard(data, 3.0)[0], given[3 * RATE_HZ :])


def test_every_hole_is_told_with_its_place():
    data = bytearray(FILE)
    for share in (0.2, 0.4, 0.6, 0.8, 0.9):
        data[int(share * len(FILE))] ^= 8
    given, source = heard(bytes(data))
    assert len(given) == len(AS_FLOAT) and np.mean(given != AS_FLOAT) < 0.1
    assert source.fault.count("from") == 3 and "and in 2 more places" in source.fault


def test_joined_files_are_heard_one_after_the_other():
    other = encoded(SOUND[::2], "FLAC", RATE_HZ // 2)
    for data in (FILE + FILE, announcing(FILE, 0) + FILE, announcing(FILE, 100) + announcing(FILE, 0)):
        given, source = heard(data)
        np.testing.assert_array_equal(given, np.concatenate([AS_FLOAT, AS_FLOAT]))
        assert source.fault is None and "2 streams in one file, one after the other" in source.notes
        for start_s in (4.0, 8.0, 12.0):
            np.testing.assert_array_equal(heard(data, start_s)[0], given[round(start_s * RATE_HZ) :])
    given, source = heard(FILE + other + FILE)
    assert abs(len(given) - 3 * len(AS_FLOAT)) < 10 and source.fault is None


def test_a_segment_that_goes_on_counting_begins_at_its_begin(tmp_path):
    from edgeapp.paths import EXAMPLE

    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", EXAMPLE, "-f", "segment", "-segment_time", "4", tmp_path / "part%d.flac"],
        check=True,
    )
    parts = [heard((tmp_path / f"part{number}.flac").read_bytes()) for number in range(3)]
    whole = heard(EXAMPLE.read_bytes())[0]
    np.testing.assert_array_equal(np.concatenate([given for given, _ in parts]), whole)
    assert [source.fault for _, source in parts] == [None] * 3
    late = (tmp_path / "part2.flac").read_bytes()
    np.testing.assert_array_equal(heard(late, 1.0)[0], parts[2][0][RATE_HZ:])


@pytest.mark.parametrize("tag", [b"TAG" + bytes(125), b"APETAGEX" + bytes(24), bytes(5000)])
def test_what_is_added_to_a_file_is_no_damage(tag):
    id3 = b"ID3\x04\0\0\0\0\x10\x00" + bytes(2048)
    for data in (FILE + tag, id3 + FILE + tag, id3 + FILE):
        given, source = heard(data)
        np.testing.assert_array_equal(given, AS_FLOAT)
        assert source.fault is None


def test_frames_are_found_where_they_are():
    found = frames(FILE)
    assert [one.start for one in found] == [4096 * number for number in range(len(found))]
    assert sum(one.frames for one in found) == len(SOUND)
    assert View is not None
