"""AIFF, CAF and AU are heard to their end, whatever size they state."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.edgeapp.audio.formats.sounds import by_libsndfile, encoded, example, heard

SOUND = example(3.0)
AS_FLOAT = SOUND.astype(np.float32) / 32768
FIELDS = {"AIFF": (b"SSND", 4, ">I"), "CAF": (b"data", 4, ">q"), "AU": (b".snd", 8, ">I")}


def stating(format: str, size: int) -> bytes:
    """A file with another size of the sound."""
    data = encoded(SOUND, format)
    name, behind, code = FIELDS[format]
    at = data.index(name) + behind
    return data[:at] + struct.pack(code, size) + data[at + struct.calcsize(code) :]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW", "PCM_S8"])
@pytest.mark.parametrize("format", FIELDS)
def test_samples_are_the_numbers_of_libsndfile(format, subtype):
    data = encoded(np.stack([AS_FLOAT, -AS_FLOAT / 2], axis=1), format, subtype=subtype)
    given, source = heard(data)
    np.testing.assert_array_equal(given, by_libsndfile(data))
    assert source.fault is None and source.notes == [] and source.duration_s == 3.0
    np.testing.assert_array_equal(heard(data, 2.0)[0], given[96_000:])


@pytest.mark.parametrize("size", [0, 8, 1000, 100_000, 0x7FFF_FFFF])
@pytest.mark.parametrize("format", FIELDS)
def test_a_size_that_is_too_small_or_unknown_ends_nothing(format, size):
    given, source = heard(stating(format, size))
    np.testing.assert_array_equal(given, AS_FLOAT)
    assert source.fault is None and source.duration_s == 3.0
    assert bool(source.notes) == (0 < size < 200_000)


@pytest.mark.parametrize("format", FIELDS)
def test_sound_that_is_announced_and_missing_is_a_fault(format):
    data = encoded(SOUND, format)
    assert "announces 3.0 s but only" in str(heard(data[: len(data) // 2])[1].fault)
    assert "announces 6.0 s but only 3.0 s" in str(heard(stating(format, 4 * len(SOUND)))[1].fault)


def test_the_number_of_frames_of_aiff_is_not_believed():
    data = encoded(SOUND, "AIFF")
    at = data.index(b"COMM") + 10
    for frames in (0, 100, 10**6, 2**32 - 1):
        given, source = heard(data[:at] + struct.pack(">I", frames) + data[at + 4 :])
        np.testing.assert_array_equal(given, AS_FLOAT)
        assert source.fault is None


def test_a_caf_file_that_was_never_finished_is_heard_to_its_end():
    given, source = heard(stating("CAF", -1))
    np.testing.assert_array_equal(given, AS_FLOAT)
    assert source.fault is None and source.notes == []
