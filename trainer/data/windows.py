"""Windows and resampling of sound in memory, by the same functions as on the device."""

from __future__ import annotations

import numpy as np

from edgeapp.audio.cutting import Cutting
from edgeapp.audio.memory import MemorySource
from edgeapp.audio.resample import SOXR, resampled


def recording_windows(sound: np.ndarray, rate_hz: int, cutting: Cutting) -> np.ndarray:
    """All windows [n, window_samples] float32 of a recording [samples]."""
    return np.stack([window.samples for window in cutting.windows(MemorySource(sound, rate_hz))])


def at_rate(sounds: np.ndarray, rate_hz: int, wanted_hz: int, resampler: str = SOXR) -> np.ndarray:
    """Sounds [n, samples] float32 resampled to `wanted_hz`."""
    if rate_hz == wanted_hz:
        return sounds
    sources = (resampled(MemorySource(sound, rate_hz), wanted_hz, resampler) for sound in sounds)
    return np.stack([np.concatenate([block.samples for block in source.blocks()]) for source in sources])
