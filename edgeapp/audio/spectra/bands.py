"""Short spectra of sound and its levels in bands, for what is looked at while it is read."""

from __future__ import annotations

import numpy as np

FRAME_S = 0.02  # at least
LOW, HIGH = "low", "high"
BANDS_HZ = {LOW: (200.0, 1_000.0), HIGH: (1_000.0, 10_000.0)}  # hum and owls; most voices

LOWEST_DB = -160.0
STEPS = 180  # of 1 dB
LEAST, MOST = 10 ** (LOWEST_DB / 10), 0.99 * 10 ** ((LOWEST_DB + STEPS) / 10)
AT_ONCE = 32


class Spectra:
    """Spectra of frames that touch, Hann-windowed.

    Parameters
    ----------
    rate_hz : int
    """

    def __init__(self, rate_hz: int) -> None:
        self.size = 1 << max(4, int(np.ceil(np.log2(FRAME_S * rate_hz))))
        self._window = np.hanning(self.size + 1)[:-1].astype(np.float32)
        self._window *= np.float32(np.sqrt(2.0 / (self.size * np.square(self._window).sum())))  # cells add up to power
        self.hz = np.fft.rfftfreq(self.size, 1.0 / rate_hz)

    def of(self, samples: np.ndarray, every: int = 1) -> np.ndarray:
        """Cells ``[channels, frames, bins]`` of samples ``[channels, n]``; what fills no frame is left out.

        Of ``every`` frames one is transformed.
        """
        channels, n = samples.shape
        frames = samples[:, : n - n % self.size].reshape(channels, -1, self.size)[:, ::every]
        return np.fft.rfft(frames * self._window, axis=2)

    def bins(self, band: str) -> slice:
        """The bins of a band."""
        low, high = BANDS_HZ[band]
        return slice(*np.searchsorted(self.hz, (low, high)).tolist())


class Levels:
    """Distribution of the levels of frames, in steps of 1 dB."""

    def __init__(self) -> None:
        self._counts = np.zeros(STEPS, np.int64)
        self._waiting: list[np.ndarray] = []  # a few seconds of them are counted at once, which costs as much as one

    def add(self, powers: np.ndarray) -> None:
        """Count powers ``[n]``; 1.0 is 0 dB."""
        self._waiting.append(powers)
        if len(self._waiting) >= AT_ONCE:
            self._count()

    def _count(self) -> None:
        sane = np.fmin(np.fmax(np.concatenate(self._waiting), LEAST), MOST)  # also of what is not a number
        self._counts += np.bincount((10 * np.log10(sane) - LOWEST_DB).astype(np.int64), minlength=STEPS)
        self._waiting = []

    def db(self, share: float) -> float:
        """The level below which this share of frames is; the lowest of all without a frame."""
        if self._waiting:
            self._count()
        counted = np.cumsum(self._counts)
        return LOWEST_DB + float(np.searchsorted(counted, share * counted[-1]))
