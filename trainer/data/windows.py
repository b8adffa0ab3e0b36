"""Windows and resampling of sound in memory, by the same functions as on the device."""

from __future__ import annotations

import numpy as np

from edgeapp.audio.memory import MemorySource
from edgeapp.audio.resample import resampled
from edgeapp.audio.windows import REPEAT, windows


def recording_windows(sound: np.ndarray, rate_hz: int, window_s: float, hop_s: float, pad: str = REPEAT) -> np.ndarray:
    """All windows [n, window_samples] float32 of a recording [samples] at the encoder's rate."""
    return np.stack([window.samples for window in windows(MemorySource(sound, rate_hz), window_s, hop_s, pad=pad)])


def at_rate(sounds: np.ndarray, rate_hz: int, wanted_hz: int) -> np.ndarray:
    """Sounds [n, samples] float32 resampled to `wanted_hz`."""
    if rate_hz == wanted_hz:
        return sounds
    sources = (resampled(MemorySource(sound, rate_hz), wanted_hz) for sound in sounds)
    return np.stack([np.concatenate([block.samples for block in source.blocks()]) for source in sources])
