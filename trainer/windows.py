"""Windows of a whole recording in memory, cut by the same function as on the device."""

from __future__ import annotations

import numpy as np

from edgeapp.audio.memory import MemorySource
from edgeapp.audio.windows import windows


def recording_windows(sound: np.ndarray, rate_hz: int, window_s: float, hop_s: float) -> np.ndarray:
    """All windows [n, window_samples] float32 of a recording [samples] at the encoder's rate."""
    return np.stack([window.samples for window in windows(MemorySource(sound, rate_hz), window_s, hop_s)])
