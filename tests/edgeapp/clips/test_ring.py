"""The ring gives back the very samples of the last minute."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest

from edgeapp.audio.source import Block
from edgeapp.clips.ring import Ring

RATE_HZ = 1000


def sound(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(-32_768, 32_768, n).astype(np.int16)


def filled(ring: Ring, samples: np.ndarray, blocks: tuple[int, ...]) -> Ring:
    at = 0
    for n in blocks:
        ring.add(Block(at, samples[at : at + n].astype(np.float32) / 32_768))
        at += n
    assert at == len(samples)
    return ring


def test_a_cut_gives_the_very_samples_that_were_heard():
    samples = sound(3500)
    ring = filled(Ring(RATE_HZ, 2.0), samples, (700, 1, 999, 1800))
    start_s, cut = ring.cut(1.6, 3.123)
    assert start_s == 1.6
    np.testing.assert_array_equal(cut, samples[1600:3123])


@pytest.mark.parametrize("blocks", [(3500,), (1, 3499), (2000, 1500), (1999, 2, 1499)])
def test_every_size_of_block_leaves_the_newest_sound(blocks):
    samples = sound(3500)
    ring = filled(Ring(RATE_HZ, 2.0), samples, blocks)
    assert (ring.start_s, ring.end_s) == (1.5, 3.5)
    start_s, cut = ring.cut(0.0, 99.0)
    assert start_s == 1.5
    np.testing.assert_array_equal(cut, samples[1500:])


def test_what_is_not_there_is_not_given():
    ring = filled(Ring(RATE_HZ, 2.0), sound(3500), (3500,))
    assert len(ring.cut(0.0, 1.5)[1]) == 0
    assert len(ring.cut(3.5, 9.0)[1]) == 0
    assert len(ring.cut(2.0, 2.0)[1]) == 0
    assert len(ring.cut(3.0, 2.0)[1]) == 0
    assert len(Ring(RATE_HZ, 2.0).cut(0.0, 1.0)[1]) == 0


def test_a_cut_is_a_copy_that_later_sound_does_not_change():
    ring = filled(Ring(RATE_HZ, 1.0), sound(1000), (1000,))
    _, cut = ring.cut(0.0, 1.0)
    before = cut.copy()
    ring.add(Block(1000, np.zeros(1000, np.float32)))
    np.testing.assert_array_equal(cut, before)


def test_a_gap_or_a_repetition_is_refused():
    ring = filled(Ring(RATE_HZ, 2.0), sound(100), (100,))
    for start in (101, 99, 0):
        with pytest.raises(ValueError, match="cannot follow sample 100"):
            ring.add(Block(start, np.zeros(10, np.float32)))


def test_a_stream_may_begin_anywhere():
    ring = Ring(RATE_HZ, 2.0)
    ring.add(Block(5000, np.full(10, 0.5, np.float32)))
    start_s, cut = ring.cut(0.0, 9.0)
    assert start_s == 5.0
    assert cut.tolist() == [16_384] * 10


def test_sound_above_full_scale_is_clipped_and_does_not_wrap():
    ring = Ring(RATE_HZ, 1.0)
    ring.add(Block(0, np.array([1.0, 1.5, -1.0, -1.5], np.float32)))
    assert ring.cut(0.0, 1.0)[1].tolist() == [32_767, 32_767, -32_768, -32_768]


def test_a_minute_at_48_khz_stays_below_six_megabytes():
    tracemalloc.start()
    ring = Ring(48_000, 60.0)
    block = np.zeros(48_000, np.float32)
    for second in range(180):
        ring.add(Block(second * 48_000, block))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 6_100_000


def test_a_ring_of_nothing_is_refused():
    with pytest.raises(ValueError, match="keeps no sample"):
        Ring(RATE_HZ, 0.0)


def test_a_reader_never_sees_half_a_block():
    ring = Ring(RATE_HZ, 1.0)
    done = threading.Event()

    def write() -> None:
        for n in range(3000):  # each sample is the number of its block, so a torn cut would not be in steps of 100
            ring.add(Block(n * 100, np.full(100, (n % 1000) / 32_768, np.float32)))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        start_s, cut = ring.cut(0.0, 1e9)
        expected = (np.arange(round(start_s * RATE_HZ), round(start_s * RATE_HZ) + len(cut)) // 100) % 1000
        np.testing.assert_array_equal(cut, expected)
    writer.join()
