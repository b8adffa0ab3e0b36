"""Recordings are heard from 0.2 s before the first sample above a hundredth of their peak."""

from __future__ import annotations

import numpy as np
import pytest

from edgeapp.audio import onset as module
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.onset import FromOnset, onset

RATE_HZ = 1_000


def from_onset(sound: np.ndarray, block: int = 65_536) -> tuple[int, np.ndarray]:
    """Where it starts, and what is heard."""
    blocks = list(FromOnset(MemorySource(sound, RATE_HZ, block=block)).blocks())
    assert all(a.end == b.start for a, b in zip(blocks, blocks[1:]))
    return blocks[0].start, np.concatenate([one.samples for one in blocks])


def steps(*heights: float) -> np.ndarray:
    """A second of each height."""
    return np.repeat(np.array(heights, np.float32), RATE_HZ)


@pytest.mark.parametrize("block", [7, 333, 65_536])
@pytest.mark.parametrize(
    "sound, start",
    [
        (steps(0.0, 0.5, 0.0), 800),
        (steps(0.004, 0.5, 0.1), 800),  # noise below a hundredth of the peak
        (steps(0.006, 0.5), 0),
        (steps(0.0, 0.001, 0.002, 0.0, 0.0, 0.5), 4_800),  # what seemed loud until the peak came
        (steps(0.5, 0.0), 0),
        (steps(0.0, 0.0), 0),
    ],
)
def test_the_onset_is_found_however_the_sound_arrives(sound: np.ndarray, start: int, block: int) -> None:
    found, heard = from_onset(sound, block)
    assert found == start == onset(sound, RATE_HZ)
    assert np.array_equal(heard, sound[start:])


def test_the_peak_is_that_of_the_first_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WITHIN_S", 2.0)
    sound = steps(0.0, 0.001, 0.5)
    assert from_onset(sound, 100)[0] == 800
    assert from_onset(steps(0.0, 0.001), 100)[0] == 800
    assert from_onset(sound, 65_536)[0] == 1_800  # all in one block
