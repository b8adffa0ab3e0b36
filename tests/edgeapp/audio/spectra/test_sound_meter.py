"""A sound meter reads what is known of a tone and of noise."""

from __future__ import annotations

import numpy as np
import pytest

from edgeapp.audio.spectra.sound_meter import LOWEST_DB, SoundLevels, SoundMeter, a_weights, band_name

RATE_HZ = 48_000
RNG = np.random.default_rng(7)


def measured(samples: np.ndarray, rate_hz: int = RATE_HZ) -> list[SoundLevels]:
    """In blocks of odd lengths."""
    meter = SoundMeter(rate_hz)
    found = [levels for at in range(0, len(samples), 7001) for levels in meter.add(samples[at : at + 7001])]
    return found + meter.finish()


def place_of(nominal: str) -> int:
    return next(place for place in range(40) if band_name(place) == nominal)


def tone(hz: float, seconds: float, dbfs: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A sine of this mean power."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (np.sqrt(2) * 10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def pink(seconds: float) -> np.ndarray:
    """Noise of equal power in every third octave."""
    n = round(seconds * RATE_HZ)
    cells = np.fft.rfft(RNG.standard_normal(n))
    cells[1:] /= np.sqrt(np.arange(1, len(cells)))
    cells[0] = 0.0
    return np.fft.irfft(cells, n).astype(np.float32)


@pytest.mark.parametrize("hz", [25.12, 100.0, 1000.0, 3162.3, 15_848.9])
def test_a_tone_has_its_level_and_lies_in_its_band(hz):
    [levels] = measured(tone(hz, 5.0, -20.0))
    place = int(np.argmax(levels.bands_dbfs))

    assert levels.leq_dbfs == pytest.approx(-20.0, abs=0.05)
    assert levels.bands_dbfs[place] == pytest.approx(-20.0, abs=0.1)
    assert 10 ** ((13 + place - 0.5) / 10) < hz < 10 ** ((13 + place + 0.5) / 10)
    beside = [level for n, level in enumerate(levels.bands_dbfs) if abs(n - place) > 1]
    assert max(beside) < -60.0


def test_bands_of_white_noise_rise_by_a_decibel_each():
    [levels] = measured((0.1 * RNG.standard_normal(30 * RATE_HZ)).astype(np.float32))

    assert levels.leq_dbfs == pytest.approx(-20.0, abs=0.05)
    bands = np.array(levels.bands_dbfs)
    width_hz = 10 ** ((13 + np.arange(len(bands)) + 0.5) / 10) - 10 ** ((13 + np.arange(len(bands)) - 0.5) / 10)
    np.testing.assert_allclose(bands, -20.0 + 10 * np.log10(width_hz / (RATE_HZ / 2)), atol=1.5)
    np.testing.assert_allclose(np.diff(bands[10:]), 1.0, atol=0.25)


def test_bands_of_pink_noise_are_equal():
    [levels] = measured(pink(60.0))

    bands = np.array(levels.bands_dbfs[3:])
    np.testing.assert_allclose(bands, bands.mean(), atol=0.7)
    assert np.std(bands[10:]) < 0.15


def test_a_minute_is_given_when_it_is_over_and_the_rest_at_the_end():
    sound = np.concatenate([tone(1000.0, 60.0, -30.0, 8_000), tone(1000.0, 30.5, -10.0, 8_000)])
    first, rest = measured(sound, 8_000)

    assert (first.start_s, first.seconds, rest.start_s, rest.seconds) == (0.0, 60.0, 60.0, 30.0)
    assert (first.leq_dbfs, rest.leq_dbfs) == (pytest.approx(-30.0, abs=0.1), pytest.approx(-10.0, abs=0.1))
    assert band_name(len(first.bands_dbfs) - 1) == "3150"  # the next one would end above half the sample rate


def test_the_loudest_second_and_the_background_are_apart():
    sound = np.concatenate([tone(1000.0, 54.0, -60.0), tone(1000.0, 6.0, -20.0)])
    [levels] = measured(sound)

    assert levels.lamax_dbfs == pytest.approx(-20.0, abs=0.1)
    assert levels.la90_dbfs == pytest.approx(-60.0, abs=0.1)
    assert levels.laeq_dbfs == pytest.approx(-30.0, abs=0.2)


def test_low_sounds_weigh_as_the_norm_says():
    for hz, db in ((31.623, -39.4), (100.0, -19.1), (1000.0, 0.0), (2511.9, 1.3), (10_000.0, -2.5)):
        assert 10 * np.log10(a_weights(np.array([hz]))[0]) == pytest.approx(db, abs=0.1)
    [levels] = measured(tone(100.0, 3.0, -20.0))
    assert levels.laeq_dbfs == pytest.approx(-39.1, abs=0.15)


def test_silence_and_an_offset_are_no_sound():
    [levels] = measured(np.full(2 * RATE_HZ, 0.25, np.float32))
    assert levels.leq_dbfs < -140.0 and levels.laeq_dbfs < -90.0
    [levels] = measured(np.zeros(2 * RATE_HZ, np.float32))
    assert {levels.leq_dbfs, *levels.bands_dbfs} == {LOWEST_DB}
    assert measured(np.zeros(RATE_HZ // 2, np.float32)) == []


def test_bands_have_the_names_of_the_norm():
    names = [band_name(place) for place in range(37)]
    assert names[:6] == ["20", "25", "31.5", "40", "50", "63"]
    assert names[17] == "1000" and names[30] == "20000" and names[36] == "80000"
