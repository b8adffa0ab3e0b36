"""Every frame of an MP3 is heard, whatever its tag counts and whatever lies between them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.edgeapp.audio.formats.sounds import RATE_HZ, by_libsndfile, differs, encoded, example, garbage, heard

SOUND = example(6.0).astype(np.float32) / 32768
FILE = encoded(SOUND, "MP3")
PLAIN = by_libsndfile(FILE)
TAG = FILE.index(b"Xing") if b"Xing" in FILE[:200] else FILE.index(b"Info")


def counting(frames: int) -> bytes:
    """The file with another count in its tag."""
    return FILE[: TAG + 8] + struct.pack(">I", frames) + FILE[TAG + 12 :]


def offsets(data: bytes) -> list[int]:
    """Where its frames begin."""
    from edgeapp.audio.formats.mpeg_frames import header

    at, found = 0, []
    while at + 4 <= len(data) and (here := header(int.from_bytes(data[at : at + 4], "big"))) is not None:
        found.append(at)
        at += here[0]
    return found


FRAMES = offsets(FILE)
UNTAGGED = FILE[FRAMES[1] :]


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 11_025, 8_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
def test_samples_are_the_numbers_of_libsndfile(rate_hz, channels, mode):
    sound = np.repeat(SOUND[: 2 * rate_hz, None], channels, axis=1)
    data = encoded(sound, "MP3", rate_hz, bitrate_mode=mode)
    given, source = heard(data)
    # libmpg123 rounds the last bit of low rates by how much is read at once.
    np.testing.assert_allclose(given, by_libsndfile(data), rtol=0, atol=1e-7 if rate_hz < 32_000 else 0)
    assert source.fault is None and source.duration_s == len(given) / rate_hz


@pytest.mark.parametrize("frames", [0, 1, 50, 100_000, 2**32 - 1])
def test_a_wrong_count_ends_nothing(frames):
    given, source = heard(counting(frames))
    assert 0 <= len(given) - len(PLAIN) <= 2 * 1152
    np.testing.assert_array_equal(given[: len(PLAIN)], PLAIN)
    if frames < 1000:
        assert source.fault is None and "6.0 s were found and used" in str(source.notes)
    else:
        assert "but only 6.0 s can be decoded" in str(source.fault)
    assert ("impossible" in str(source.fault)) == (frames >= 100_000)


def test_a_file_without_a_tag_is_heard_to_its_end():
    given, source = heard(UNTAGGED)
    assert len(given) == 1152 * (len(FRAMES) - 1)  # with what the encoder put before and after the sound
    np.testing.assert_allclose(given[1105 : 1105 + len(PLAIN)], PLAIN, atol=1e-3)
    assert source.fault is None and source.notes == [] and source.duration_s == len(given) / RATE_HZ
    np.testing.assert_allclose(heard(UNTAGGED, 3.0)[0], given[3 * RATE_HZ :], atol=1e-4)


def ape(headed: bool) -> bytes:
    """An APEv2 tag of one item, with or without a header."""
    item = struct.pack("<II", 6, 0) + b"Artist\0" + b"Nobody"

    def frame(flags: int) -> bytes:
        return b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, flags) + bytes(8)

    head = 1 << 31 if headed else 0
    return (frame(head | 1 << 29) if headed else b"") + item + frame(head)


LYRICS = b"LYRICSBEGININD0000200LYR00011[00:01]tuit"
LYRICS += f"{len(LYRICS):06}".encode() + b"LYRICS200"
ID3V1 = b"TAG" + b"a name".ljust(125, b"\0")
ID3V2 = b"ID3\x04\0\0\0\0\x02\x00" + garbage(256)
FOOTED = b"ID3\x04\0\x10\0\0\0\x40" + garbage(64) + b"3DI\x04\0\x10\0\0\0\x40"
TAGS = {
    "ID3v1": ID3V1,
    "ID3v2": ID3V2,
    "ID3v2 with a footer": FOOTED,
    "APE": ape(True),
    "APE without a header": ape(False),
    "Lyrics3": LYRICS,
    "old Lyrics3": b"LYRICSBEGIN" + b"tuit " * 20 + b"LYRICSEND",
    "all": ape(False) + LYRICS + ID3V1 + bytes(40) + ID3V2,
}


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
@pytest.mark.parametrize("counted", [True, False])
def test_tags_after_the_sound_and_amid_it_are_no_damage(tag, counted):
    data = FILE if counted else UNTAGGED
    alone = heard(data)[0]
    given, source = heard(data + tag)
    np.testing.assert_array_equal(given, alone)
    assert source.fault is None and source.notes == []
    given, source = heard(data + tag + data + tag)
    np.testing.assert_array_equal(given, np.concatenate([alone, alone]))
    assert source.fault is None and source.notes == ["2 streams in one file, one after the other"]


@pytest.mark.parametrize("tag", [b"", bytes(300)])
def test_joined_files_are_heard_one_after_the_other(tag):
    given, source = heard(FILE + tag + FILE)
    np.testing.assert_array_equal(given, np.concatenate([PLAIN, PLAIN]))
    assert source.fault is None and source.notes == ["2 streams in one file, one after the other"]
    assert source.duration_s == 2 * len(PLAIN) / RATE_HZ
    for start_s in (1.0, 6.0, 9.0):
        np.testing.assert_allclose(heard(FILE + tag + FILE, start_s)[0], given[round(start_s * RATE_HZ) :], atol=1e-4)


def test_joined_files_of_another_rate_are_brought_to_the_first():
    other = encoded(np.stack([SOUND[::2], SOUND[::2]], axis=1), "MP3", RATE_HZ // 2)
    given, source = heard(FILE + other + FILE)
    assert source.rate_hz == RATE_HZ and abs(len(given) - 3 * len(PLAIN)) < 10
    np.testing.assert_array_equal(given[-len(PLAIN) :], PLAIN)
    np.testing.assert_array_equal(heard(FILE + other + FILE, 8.0)[0], given[8 * RATE_HZ :])


HALF = FRAMES[len(FRAMES) // 2]


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize(
    ("damage", "lost_s"),
    [
        (lambda data: data[:HALF] + garbage(5000) + data[HALF + 5000 :], 0.8),
        (lambda data: data[:HALF] + data[HALF + 4999 :], 0.8),
    ],
    ids=["overwritten", "missing"],
)
def test_what_lies_around_damage_is_heard(tagged, damage, lost_s):
    data = damage(FILE) if tagged else damage(FILE)[FRAMES[1] :]
    reference = PLAIN if tagged else heard(UNTAGGED)[0]
    given, source = heard(data)
    assert source.fault is not None and "is damaged" in source.fault and "3." in source.fault
    if tagged:  # the count says how much is missing
        assert abs(len(given) - len(reference)) <= 2 * 1152
        n = min(len(given), len(reference))
        first, last = differs(given[:n], reference[:n], 1e-3)
        assert first > 2.5 and last - first < lost_s
    half = 2 * RATE_HZ
    np.testing.assert_array_equal(given[:half], reference[:half])


def test_garbage_between_frames_costs_nothing_but_is_told():
    given, source = heard(FILE[:HALF] + garbage(5000) + FILE[HALF:])
    assert 0 <= len(given) - len(PLAIN) <= 2 * 1152
    first, last = differs(given[: len(PLAIN)], PLAIN, 1e-3)
    assert last - first < 0.3  # a decoder that begins anew
    assert source.fault.startswith("is damaged at ")
    assert float(source.fault.split()[3]) == pytest.approx(first, abs=0.1)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_cut_file_is_told_by_its_count(share):
    given, source = heard(FILE[: int(share * len(FILE))])
    n = len(given) - 1152
    np.testing.assert_array_equal(given[:n], PLAIN[:n])
    assert "announces 6.0 s but only" in str(source.fault)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"ID3\x03\0\0\0\0\x7f\x76" + garbage(0x7F * 128 + 0x76), b""),  # a picture full of what looks like frames
        (b"ID3\x04\0\0\0\0\x00\x7f" + bytes(127), b"TAG" + bytes(125)),
        (b"", b"APETAGEX" + struct.pack("<IIII", 2000, 64, 1, 0) + bytes(8) + bytes(32) + b"TAG" + bytes(125)),
        (b"", bytes(4000)),
        (bytes(1000), b""),
    ],
)
def test_tags_and_pictures_are_no_damage(before, after):
    given, source = heard(before + FILE + after)
    np.testing.assert_array_equal(given, PLAIN)
    assert source.fault is None
