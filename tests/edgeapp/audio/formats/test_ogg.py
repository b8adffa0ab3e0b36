"""All streams of an Ogg file are heard, around damage, and at the right times."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgeapp.audio.formats.ogg_pages import _checksum
from edgeapp.paths import EXAMPLE
from tests.edgeapp.audio.formats.sounds import RATE_HZ, by_libsndfile, differs, encoded, garbage, heard

TIME_S = np.arange(8 * RATE_HZ) / RATE_HZ
SOUND = (0.3 * np.sin(2 * np.pi * (200 * TIME_S + 300 * TIME_S**2))).astype(np.float32)  # no two places sound alike
SUBTYPES = ("VORBIS", "OPUS")
FILES = {subtype: encoded(SOUND, "OGG", subtype=subtype) for subtype in SUBTYPES}


def pages(data: bytes) -> list[tuple[int, int]]:
    """Where each page begins and ends."""
    at, found = 0, []
    while at < len(data):
        assert data[at : at + 4] == b"OggS"
        segments = data[at + 26]
        end = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
        found.append((at, end))
        at = end
    return found


def stating(page: bytes, granule: int, flags: int | None = None) -> bytes:
    """A page with another position, whose checksum is right."""
    raw = bytearray(page)
    raw[6:14] = struct.pack("<q", granule)
    raw[5] = raw[5] if flags is None else flags
    raw[22:26] = bytes(4)
    raw[22:26] = struct.pack("<I", _checksum(raw))
    return bytes(raw)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [48_000, 24_000, 16_000])
@pytest.mark.parametrize("subtype", SUBTYPES)
def test_samples_are_the_numbers_of_libsndfile(subtype, rate_hz, channels):
    data = encoded(np.repeat(SOUND[: 3 * rate_hz, None], channels, axis=1), "OGG", rate_hz, subtype=subtype)
    given, source = heard(data)
    np.testing.assert_array_equal(given, by_libsndfile(data))
    assert source.fault is None and source.notes == [] and source.duration_s == 3.0


@pytest.mark.parametrize("granule", [0, -1, 1000, 10**12, 2**62])
@pytest.mark.parametrize("subtype", SUBTYPES)
def test_a_wrong_end_page_ends_nothing(subtype, granule):
    data = FILES[subtype]
    start, end = pages(data)[-1]
    given, source = heard(data[:start] + stating(data[start:end], granule))
    whole = by_libsndfile(data)
    np.testing.assert_array_equal(given[: len(whole)], whole)
    assert len(given) - len(whole) < 2000  # what the encoder filled its last packet with
    assert source.fault is None and "impossible" in str(source.notes)
    assert source.duration_s is None


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_a_missing_end_page_is_noted(subtype):
    data = FILES[subtype]
    start, end = pages(data)[-1]
    given, source = heard(data[:start] + stating(data[start:end], len(SOUND), flags=0))
    assert len(given) > len(SOUND) - 400
    assert source.fault is None and "no end page" in str(source.notes)
    cut, source = heard(data[: start + 100])
    np.testing.assert_array_equal(cut, by_libsndfile(data)[: len(cut)])
    assert "is cut off after" in str(source.fault)


@pytest.mark.parametrize("more", [0, 1, 3, 4, 20, 27, 200])
@pytest.mark.parametrize("subtype", SUBTYPES)
def test_a_file_cut_anywhere_says_so(subtype, more):
    """What is there of a page that is not whole is not heard, and neither is what came after it."""
    data = FILES[subtype]
    start, _ = pages(data)[-2]
    given, source = heard(data[: start + more])
    assert 0 < len(given) < len(SOUND)
    np.testing.assert_array_equal(given, by_libsndfile(data)[: len(given)])
    assert "is cut off after" in str(source.fault) or "no end page" in str(source.notes)
    _, source = heard(data[: start + more] + data)
    assert "stream 1 of 2 has no end page" in str(source.notes) or source.fault


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_what_lies_around_missing_pages_is_heard_at_its_time(subtype):
    data = FILES[subtype]
    whole = by_libsndfile(data)
    found = pages(data)
    start, end = found[len(found) // 2]
    damaged = {
        "missing": data[:start] + data[end:],
        "one byte": data[: start + 500] + bytes([data[start + 500] ^ 1]) + data[start + 501 :],
        "2.5 kB": data[: start + 500] + garbage(2500) + data[start + 3000 :],
    }
    for one in damaged.values():
        given, source = heard(one)
        assert len(given) == len(whole) and "is damaged from" in str(source.fault)
        from_s, to_s = (float(word) for word in source.fault.split()[3:6:2])
        assert 1.0 < from_s < to_s < 7.5  # of a chirp, Vorbis has pages of seconds
        before, after = round((from_s - 0.05) * RATE_HZ), round((to_s + 0.2) * RATE_HZ)
        np.testing.assert_array_equal(given[:before], whole[:before])
        assert np.corrcoef(given[after:], whole[after:])[0, 1] > 0.98  # a chirp one sample late has 0.9
        late = heard(one, 7.0)[0]
        np.testing.assert_array_equal(late, given[7 * RATE_HZ :])
    given, source = heard(data[:start] + garbage(3000) + data[start:])
    np.testing.assert_array_equal(given, whole)
    assert "is damaged at" in str(source.fault)


def test_chained_streams_are_all_heard():
    parts = [
        FILES["VORBIS"],
        encoded(np.stack([SOUND[::2]] * 2, axis=1), "OGG", RATE_HZ // 2, subtype="VORBIS"),
        FILES["OPUS"],
        FILES["VORBIS"],
    ]
    given, source = heard(b"".join(parts))
    assert abs(len(given) - 4 * len(SOUND)) < 10 and source.duration_s == pytest.approx(32.0, abs=0.01)
    assert source.fault is None and source.notes == ["4 streams in one file, one after the other"]
    np.testing.assert_array_equal(given[-len(SOUND) :], by_libsndfile(parts[3]))
    for start_s in (4.0, 12.0, 20.0, 30.0):
        late = heard(b"".join(parts), start_s)[0]
        np.testing.assert_allclose(late, given[round(start_s * RATE_HZ) :], atol=1e-4)


def converted(folder: Path, *options: str, name: str = "made.ogg") -> bytes:
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", EXAMPLE, *options, folder / name], check=True)
    return (folder / name).read_bytes()


def test_flac_in_ogg_is_the_sound_it_was_made_of(tmp_path):
    data, whole = converted(tmp_path, "-c:a", "flac"), by_libsndfile(EXAMPLE.read_bytes())
    given, source = heard(data)
    np.testing.assert_array_equal(given, whole)
    assert source.fault is None
    np.testing.assert_array_equal(heard(data, 5.0)[0], whole[5 * RATE_HZ :])
    start, end = pages(data)[8]
    for damaged in (data[:start] + data[end:], data[: start + 99] + garbage(99) + data[start + 198 :]):
        given, source = heard(damaged)
        first, last = differs(given, whole)
        assert last - first < 1.3 and "is damaged from" in str(source.fault)
    assert "is cut off" in str(heard(data[: start + 400])[1].fault)


def test_the_sound_of_a_film_is_heard(tmp_path):
    film = ["-f", "lavfi", "-i", "testsrc=d=12:s=64x48", "-c:v", "libtheora", "-c:a", "libvorbis"]
    given, source = heard(converted(tmp_path, *film, name="film.ogv"))
    assert len(given) == pytest.approx(12 * RATE_HZ, abs=2000) and source.fault is None
