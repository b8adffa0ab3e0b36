"""Spectrograms: levels, times and frequencies are where the sound has them, and pictures show them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edgeapp.audio.spectra.colour_maps import colour_map
from edgeapp.audio.spectra.spectrogram import (
    FLOOR_DBFS,
    PNG,
    WEBP,
    Axis,
    Spectrogram,
    SpectrogramStream,
    picture,
    scale_of,
    spectrogram,
)

RATE_HZ = 48_000


def tone(hz: float, seconds: float = 2.0, amplitude: float = 1.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def noise(seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    rng = np.random.default_rng(7)
    return (0.01 * rng.standard_normal(round(seconds * rate_hz))).astype(np.float32)


def streamed(
    samples: np.ndarray, block: int, rate_hz: int, column_s: float, frames: int = 1, batch: int = 1
) -> np.ndarray:
    stream = SpectrogramStream(rate_hz, column_s, frames=frames, batch=batch)
    parts = [stream.add(samples[at : at + block]) for at in range(0, len(samples), block)]
    return np.concatenate([*parts, stream.finish()])


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000, 250_000])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_tone_is_in_its_row_at_its_level(rate_hz, share):
    hz = share * rate_hz / 2
    found = spectrogram(tone(hz, amplitude=0.1, rate_hz=rate_hz), rate_hz, 0.05)
    levels = found.levels.mean(axis=0)
    row = int(levels.argmax())
    assert row == pytest.approx(found.khz.share(hz / 1000) * len(levels), abs=1.5)
    assert levels[row] == pytest.approx(-20, abs=1.5)  # a bin beside the tone loses up to 1.4 dB


def test_a_click_is_in_the_column_of_its_time():
    samples = np.zeros(RATE_HZ * 3, np.float32)
    samples[round(1.234 * RATE_HZ)] = 1.0
    found = spectrogram(samples, RATE_HZ, 0.02, start_s=10.0)
    loudest = int(found.levels.max(axis=1).argmax())
    assert abs(found.seconds.value((loudest + 0.5) / len(found.levels)) - 11.234) <= 0.02


@pytest.mark.parametrize(("column_s", "frames"), [(0.01, 1), (0.05, 1), (0.37, 4), (2.0, 16)])
@pytest.mark.parametrize("block", [300, 65_536, 500_000])
@pytest.mark.parametrize("batch", [1, 64])
def test_blocks_do_not_change_the_columns(column_s, frames, block, batch):
    samples = noise(10.3) + tone(3_000, 10.3, 0.1)
    whole = streamed(samples, len(samples), RATE_HZ, column_s, frames)
    assert len(whole) == np.ceil(10.3 / column_s)
    np.testing.assert_allclose(streamed(samples, block, RATE_HZ, column_s, frames, batch), whole, atol=1e-3)


def test_a_long_column_averages_the_sound_that_it_stands_for():
    """Half of a column sounds: it has half the power, 3 dB less."""
    samples = np.concatenate((tone(5_000, 5.0), np.zeros(5 * RATE_HZ, np.float32)))
    (column,) = streamed(samples, 65_536, RATE_HZ, 10.0, frames=8)
    assert column.max() == pytest.approx(-3, abs=1.5)


def test_a_column_is_given_as_soon_as_its_sound_is_there():
    stream = SpectrogramStream(RATE_HZ, 0.05)
    given = [len(stream.add(noise(0.05))) for _ in range(20)]
    assert given == [1] * 20


def test_columns_become_longer_while_the_sound_goes_on():
    """A click after the change is in the column of its time."""
    samples = np.zeros(4 * RATE_HZ, np.float32)
    samples[round(3.35 * RATE_HZ)] = 1.0
    stream = SpectrogramStream(RATE_HZ, 0.05)
    first = stream.add(samples[: 2 * RATE_HZ])
    assert len(first) % 2 == 0
    stream.coarsen()
    later = np.concatenate((stream.add(samples[2 * RATE_HZ :]), stream.finish()))
    assert stream.column_s == 0.1
    assert len(first) // 2 + len(later) == 40
    assert int(later.max(axis=1).argmax()) == 33 - len(first) // 2


def test_the_last_of_an_odd_number_of_columns_becomes_one_by_itself():
    stream = SpectrogramStream(RATE_HZ, 0.1)
    assert len(stream.add(np.zeros(round(0.3 * RATE_HZ), np.float32))) == 3
    stream.coarsen()
    assert stream.n_columns == 2
    assert len(stream.add(np.zeros(round(0.5 * RATE_HZ), np.float32))) == 2, "from 0.4 to 0.8 s"


def test_what_is_kept_of_a_stream_does_not_grow():
    stream = SpectrogramStream(RATE_HZ, 30.0, frames=4)
    for _ in range(200):
        stream.add(np.zeros(65_536, np.float32))
    assert len(stream._tail) + len(np.concatenate(stream._pending)) < 2_000


def test_sound_shorter_than_a_frame_has_one_column():
    assert streamed(tone(1_000, 0.005), 1_000, RATE_HZ, 0.02).shape == (1, 128)


def test_no_sound_has_no_columns():
    assert SpectrogramStream(RATE_HZ, 0.02).finish().shape == (0, 128)


def test_digital_silence_is_at_the_floor():
    levels = spectrogram(np.zeros(RATE_HZ, np.float32), RATE_HZ, 0.1).levels
    assert levels == pytest.approx(FLOOR_DBFS)


def test_the_axis_ends_at_the_limit_or_at_nyquist():
    samples = tone(1_000)
    assert spectrogram(samples, RATE_HZ, 0.1, high_hz=12_000).khz.high == 12
    assert spectrogram(samples, RATE_HZ, 0.1, high_hz=96_000).khz.high == 24
    limited = spectrogram(tone(9_000), RATE_HZ, 0.1, high_hz=12_000).levels.mean(axis=0)
    assert int(limited.argmax()) == pytest.approx(96, abs=1)


def test_a_column_shorter_than_a_sample_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        SpectrogramStream(8_000, 0.0001)


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0.0, 3.0, 3, [0, 1, 2, 3]),
        (0.0, 3.0, 10, [0, 0.5, 1, 1.5, 2, 2.5, 3]),
        (9.3, 12.4, 4, [10, 11, 12]),
        (3600.0, 7200.0, 6, [3600, 4200, 4800, 5400, 6000, 6600, 7200]),
        (0.0, 86_400.0, 2, [0, 43_200, 86_400]),
    ],
)
def test_ticks_are_round_seconds(low, high, most, ticks):
    seconds = Spectrogram(np.zeros((10, 1), np.float32), low, (high - low) / 10, 1.0).seconds
    assert seconds.ticks(most) == ticks


def test_ticks_are_round_khz():
    assert Axis(0, 24, (1, 2, 5, 10)).ticks(6) == [0, 5, 10, 15, 20]


def test_a_stretch_has_the_columns_that_begin_in_it():
    whole = spectrogram(noise(10.0), RATE_HZ, 0.1, start_s=100.0)
    part = whole.between(102.0, 103.0)
    assert (part.start_s, len(part.levels)) == (pytest.approx(102), 10)
    np.testing.assert_array_equal(part.levels, whole.levels[20:30])
    assert len(whole.between(200, 300).levels) == 0


def test_noise_is_dark_and_what_stands_out_is_bright():
    """Low rows have 30 dB more noise, as wind makes it, and are dark all the same."""
    samples = noise(10.0) * 0.1
    rumble = np.convolve(noise(10.0), np.ones(64, np.float32), "same")
    samples = samples + rumble
    samples[3 * RATE_HZ : 4 * RATE_HZ] += tone(6_000, 1.0, 0.05)
    found = spectrogram(samples, RATE_HZ, 0.05)
    shown = scale_of(found.levels).shades(found.levels)
    assert np.median(shown) < 40
    assert np.median(shown[:, :8]) < 120
    assert shown[65:75, 32].min() > 200


def test_a_scale_of_nothing_is_a_scale():
    assert scale_of(np.zeros((0, 4), np.float32)).shades(np.full((2, 4), FLOOR_DBFS)).max() == 0


@pytest.mark.parametrize("dark", [True, False])
def test_a_png_shows_each_level_high_frequencies_on_top(dark):
    shades = np.zeros((5, 3), np.uint8)
    shades[4, 2] = 255  # the last column, the highest row
    image = Image.open(io.BytesIO(picture(shades, dark, PNG))).convert("RGB")
    assert image.size == (5, 3)
    assert image.getpixel((4, 0)) == tuple(colour_map(dark)[255])
    assert image.getpixel((0, 2)) == tuple(colour_map(dark)[0])


def test_a_grey_webp_is_much_like_the_shades():
    shades = np.repeat(np.arange(0, 256, 2, dtype=np.uint8)[:, None], 64, axis=1)
    made = picture(shades, None, WEBP)
    image = np.asarray(Image.open(io.BytesIO(made)).convert("L"), int)
    assert made[8:12] == b"WEBP"
    assert np.abs(image.T - shades).max() < 12


@pytest.mark.parametrize("dark", [True, False])
def test_equal_steps_of_a_colour_map_look_equal(dark):
    """In CIELAB, which is not the space that the maps were made in."""
    linear = colour_map(dark) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    f = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 1e-4))
    lightness = 116 * f[:, 1] - 16
    lab = np.stack((lightness, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])), axis=1)
    steps = np.linalg.norm(lab[16:] - lab[:-16], axis=1)
    assert steps.max() < 3 * steps.min()
    assert (np.diff(lightness[::8]) * (1 if dark else -1) > 0).all()
    assert abs(lightness[-1] - lightness[0]) > 60
