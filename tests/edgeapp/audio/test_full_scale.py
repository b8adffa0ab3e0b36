"""Samples that no recording has fail their file; floats on the scale of integers do not."""

from __future__ import annotations

import io

import numpy as np
import pytest

from edgeapp.audio.file import FileSource
from edgeapp.audio.pcm import PcmSource
from edgeapp.errors import AudioError
from tests.edgeapp.audio.formats.sounds import encoded, example, heard

SOUND = example(4.0).astype(np.float32) / 32768


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("format", ["WAV", "AIFF", "CAF", "W64", "AU"])
@pytest.mark.parametrize("value", [-1.4e37, 1e6, 3e38, -5000.0])
def test_a_sample_beyond_reason_is_named_by_its_time(format, subtype, value):
    sound = SOUND.copy()
    sound[96_000] = value
    source = FileSource(io.BytesIO(encoded(sound, format, subtype=subtype)))
    with pytest.raises(AudioError, match=r"the sample at 2\.000 s is .*, where full scale is 1; export"):
        list(source.blocks())


def test_a_double_that_no_float_holds_is_no_number():
    sound = SOUND.astype(np.float64)
    sound[96_000] = 1e300
    with pytest.raises(AudioError, match=r"the sample at 2\.000 s is not a number"):
        heard(encoded(sound, "WAV", subtype="DOUBLE"))


def test_the_wrong_one_of_several_channels_is_found():
    sound = np.stack([SOUND, SOUND], axis=1)
    sound[48_000, 1] = 1e20
    with pytest.raises(AudioError, match=r"the sample at 1\.000 s is 1e\+20"):
        heard(encoded(sound, "WAV", subtype="FLOAT"))


@pytest.mark.parametrize("gain", [0.001, 1.0, 30.0])
def test_sound_below_and_beyond_full_scale_is_left_as_it_is(gain):
    loud = SOUND * np.float32(gain)
    given, source = heard(encoded(loud, "WAV", subtype="FLOAT"))
    np.testing.assert_array_equal(given, loud)
    assert "integers" not in str(source.notes)


@pytest.mark.parametrize(("bits", "scale"), [(16, 2.0**15), (24, 2.0**23), (32, 2.0**31)])
def test_floats_on_the_scale_of_integers_are_brought_to_full_scale(bits, scale):
    peak = np.abs(SOUND).max()
    sound = np.concatenate([np.zeros(48_000, np.float32), SOUND / peak * np.float32(0.9)])
    data = encoded(sound * np.float32(scale), "WAV", subtype="FLOAT")
    given, source = heard(data)
    np.testing.assert_array_equal(given, sound)
    assert source.notes == [f"its floats are on the scale of {bits}-bit integers, and were divided by 2^{bits - 1}"]
    np.testing.assert_array_equal(heard(data, 3.0, 1.0)[0], sound[144_000:192_000])


def test_damage_is_found_on_the_scale_of_integers_too():
    sound = SOUND * 32768
    sound[96_000] = 1e20
    with pytest.raises(AudioError, match=r"the sample at 2\.000 s is"):
        heard(encoded(sound, "WAV", subtype="FLOAT"))


def test_raw_floats_beyond_reason_are_named_by_their_time():
    sound = SOUND.copy()
    sound[48_000] = 1e6
    with pytest.raises(AudioError, match=r"the sample at 1\.000 s is 1e\+06.*check that the sound really is f32le"):
        list(PcmSource(io.BytesIO(sound.tobytes()), 48_000, format="f32le").blocks())
