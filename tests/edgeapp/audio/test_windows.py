"""Windows are cut the same way however the sound arrives."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from edgeapp.audio.memory import MemorySource
from edgeapp.audio.resample import resampled
from edgeapp.audio.source import Block
from edgeapp.audio.windows import ROOM_SAMPLES, ROOM_WINDOWS, fill, level_dbfs, windows
from edgeapp.errors import AudioError
from tests.edgeapp.toy_pack import tone

RATE_HZ = 100
LARGE_RATE_HZ = 8_000  # whose windows are large beside all else that is made on the way


def ramp(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE_HZ), dtype=np.float32)


def spans(seconds: float, hop_s: float = 5.0) -> list[tuple[float, float]]:
    return [(w.start_s, w.end_s) for w in windows(MemorySource(ramp(seconds), RATE_HZ), hop_s=hop_s)]


def test_windows_start_every_hop_while_they_fit():
    assert spans(20) == [(0, 10), (5, 15), (10, 20)]


def test_an_uncovered_tail_gets_a_window_that_ends_with_the_sound():
    assert spans(22) == [(0, 10), (5, 15), (10, 20), (12, 22)]


def test_a_hop_longer_than_a_window_still_covers_the_end():
    assert spans(33, hop_s=15) == [(0, 10), (15, 25), (23, 33)]


def test_a_short_clip_is_one_filled_window_with_its_true_end():
    (window,) = windows(MemorySource(ramp(3), RATE_HZ))
    assert (window.start_s, window.end_s) == (0, 3)
    assert np.array_equal(window.samples, np.tile(ramp(3), 4)[:1000])


@pytest.mark.parametrize("seconds", [3.0, 10.0, 17.31, 42.0])
def test_the_size_of_the_blocks_changes_nothing(seconds):
    whole = list(windows(MemorySource(ramp(seconds), RATE_HZ, block=100_000)))
    bits = list(windows(MemorySource(ramp(seconds), RATE_HZ, block=7)))
    assert [(w.start_s, w.end_s) for w in whole] == [(w.start_s, w.end_s) for w in bits]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(whole, bits, strict=True))


def test_each_window_holds_the_sound_of_its_times():
    for window in windows(MemorySource(ramp(33.3), RATE_HZ), hop_s=1.7):
        assert window.samples[0] == pytest.approx(window.start_s * RATE_HZ)
        assert window.samples[-1] == pytest.approx(window.end_s * RATE_HZ - 1)


def test_no_sound_and_a_click_are_errors_that_name_the_source():
    with pytest.raises(AudioError, match=r"^memory: contains no samples; "):
        list(windows(MemorySource(ramp(0), RATE_HZ)))
    with pytest.raises(AudioError, match=r"^memory: is only 0\.20 s long; give at least 0\.5 s"):
        list(windows(MemorySource(ramp(0.2), RATE_HZ)))


def test_a_gap_in_the_sound_is_an_error_not_a_shift():
    class Gappy(MemorySource):
        def blocks(self):
            yield Block(0, self.samples[:500])
            yield Block(700, self.samples[700:])

    with pytest.raises(AudioError, match="200 samples are missing at 5.0 s"):
        list(windows(Gappy(ramp(20), RATE_HZ)))


def test_filling_repeats_from_the_start():
    assert fill(np.array([1, 2, 3]), 7).tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert fill(np.array([1, 2, 3]), 2).tolist() == [1, 2]


def test_levels_are_of_the_sound_without_its_offset():
    assert level_dbfs(np.zeros(100, np.float32)) == -math.inf
    assert level_dbfs(np.full(100, 0.7, np.float32)) < -140
    assert level_dbfs(tone(1000, level=1.0) + 0.3) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("offset", [0.0, 1e-3, 0.5])
@pytest.mark.parametrize("level", [1e-4, 0.3])
def test_levels_are_exact_in_float32(offset, level):
    sound = (np.random.default_rng(0).normal(offset, level, 320_000)).astype(np.float32)
    assert level_dbfs(sound) == pytest.approx(20 * math.log10(np.std(sound, dtype=np.float64)), abs=0.001)


@pytest.mark.parametrize("hop_s", [2.5, 5.0, 60.0])
def test_what_is_held_does_not_grow(hop_s):
    """Whether the hop is shorter or longer than the window."""

    def most(seconds: float) -> int:
        tracemalloc.start()
        try:
            for window in windows(Blocks(seconds), hop_s=hop_s):
                assert len(window.samples) == 10 * LARGE_RATE_HZ
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    size, bytes_each = 10 * LARGE_RATE_HZ, np.dtype(np.float32).itemsize
    window, room = size * bytes_each, max(ROOM_WINDOWS * size, ROOM_SAMPLES) * bytes_each
    three = 3 * room  # that which fills, the full one before, and one whose window is still read
    assert window < most(150) < 1.1 * three and most(1500) < 1.1 * three


class Blocks(MemorySource):
    """Sound that is in memory one block at a time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(np.zeros(1000), LARGE_RATE_HZ)
        self.count = round(seconds * LARGE_RATE_HZ / 1000)

    def blocks(self):
        for number in range(self.count):
            yield Block(1000 * number, np.full(1000, number, np.float32))


def test_a_window_keeps_its_sound_while_later_ones_are_cut():
    cut = list(windows(MemorySource(ramp(120), RATE_HZ, block=37), hop_s=2.5))
    assert len(cut) == 45
    for window in cut:
        np.testing.assert_array_equal(window.samples, ramp(120)[window.first : window.first + 10 * RATE_HZ])


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_resampling_keeps_length_and_pitch(rate_hz):
    source = resampled(MemorySource(tone(1000, seconds=2, rate_hz=rate_hz), rate_hz), 32_000)
    sound = np.concatenate([block.samples for block in source.blocks()])
    assert abs(len(sound) - 64_000) <= 1
    middle = sound[16_000:48_000]
    assert np.abs(np.fft.rfft(middle)).argmax() == 1000
    assert level_dbfs(middle) == pytest.approx(level_dbfs(tone(1000)), abs=0.01)


def test_resampling_does_not_depend_on_the_size_of_the_blocks():
    sound = np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    whole, bits = (
        np.concatenate([b.samples for b in resampled(MemorySource(sound, 48_000, block=n), 32_000).blocks()])
        for n in (100_000, 311)
    )
    np.testing.assert_allclose(whole, bits, atol=1e-6)


def test_a_source_at_the_right_rate_is_left_alone():
    source = MemorySource(ramp(1), RATE_HZ)
    assert resampled(source, RATE_HZ) is source


def test_samples_that_are_not_numbers_are_refused():
    with pytest.raises(AudioError, match="not numbers"):
        MemorySource(np.array([0.0, np.nan]), RATE_HZ)
