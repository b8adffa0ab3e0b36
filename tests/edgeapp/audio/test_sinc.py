"""The short windowed sinc of torchaudio, in blocks of any size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgeapp.audio.memory import MemorySource
from edgeapp.audio.resample import SINC, SOXR, resampled


def by_the_formula(sound: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Every output sample as a sum over all of the input, in float64; the default of torchaudio."""
    common = math.gcd(from_hz, to_hz)
    o, n = from_hz // common, to_hz // common
    base = min(o, n) * 0.99
    k, j = np.arange(len(sound)), np.arange(math.ceil(len(sound) * n / o))
    t = np.clip((k / o - j[:, None] / n) * base, -6, 6)
    return (np.sinc(t) * np.cos(t * np.pi / 12) ** 2 * base / o) @ sound.astype(np.float64)


def heard(sound: np.ndarray, from_hz: int, to_hz: int, block: int = 65_536) -> np.ndarray:
    source = resampled(MemorySource(sound, from_hz, block=block), to_hz, SINC)
    blocks = list(source.blocks())
    assert all(a.end == b.start for a, b in zip(blocks, blocks[1:]))
    return np.concatenate([one.samples for one in blocks])


@pytest.mark.parametrize("from_hz", [8_000, 11_025, 22_050, 32_000, 44_100, 47_999, 96_000, 250_000])
def test_it_is_the_formula_at_any_rate(from_hz: int) -> None:
    sound = np.random.default_rng(from_hz).standard_normal(1_500).astype(np.float32)
    ours, wanted = heard(sound, from_hz, 48_000), by_the_formula(sound, from_hz, 48_000)
    assert len(ours) == len(wanted)
    np.testing.assert_allclose(ours, wanted, atol=2e-5)


@pytest.mark.parametrize("from_hz", [8_000, 44_100, 96_000])
@pytest.mark.parametrize("block", [1, 7, 1_000])
def test_the_size_of_the_blocks_changes_nothing(from_hz: int, block: int) -> None:
    sound = np.random.default_rng(1).standard_normal(2_000).astype(np.float32)
    np.testing.assert_array_equal(heard(sound, from_hz, 48_000, block), heard(sound, from_hz, 48_000))


@pytest.mark.parametrize("samples", [1, 2, 20])
def test_a_sound_shorter_than_the_filter_is_resampled_whole(samples: int) -> None:
    sound = np.ones(samples, np.float32)
    np.testing.assert_allclose(heard(sound, 44_100, 48_000), by_the_formula(sound, 44_100, 48_000), atol=1e-6)


def test_it_keeps_the_top_band_that_soxr_cuts() -> None:
    t = np.arange(22_050) / 22_050
    sound = np.sin(2 * np.pi * 10_850 * t).astype(np.float32)  # 0.984 of half the rate
    levels = {}
    for resampler in (SINC, SOXR):
        blocks = resampled(MemorySource(sound, 22_050), 48_000, resampler).blocks()
        levels[resampler] = float(np.concatenate([block.samples for block in blocks]).std())
    assert levels[SINC] > 0.3 > 3 * levels[SOXR]


def test_long_sound_is_resampled_in_constant_memory() -> None:
    from edgeapp.audio.sinc import SincStream

    stream = SincStream(44_100, 48_000)
    made = sum(len(stream.resample_chunk(np.zeros(44_100, np.float32))) for _ in range(20))
    made += len(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    assert made == 20 * 48_000 and len(stream._held) < 200
