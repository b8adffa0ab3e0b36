"""Resampling by a short windowed sinc, as ``torchaudio.functional.resample`` does by default.

Networks that were trained on sound resampled this way have learnt what it leaves: the band up to 0.99 of the lower
Nyquist frequency, and above it a faint mirror image that a steeper filter does not have. The output sample j is

    y[j] = r sum_k x[k] h((k / o - j / n) r o),    h(t) = sinc(t) cos(pi t / 12)^2 for |t| < 6, else 0

with the rates o -> n divided by their greatest common divisor, ``r o = 0.99 min(o, n)`` and ``r = 0.99 min(1, n / o)``
(J. O. Smith, "Digital Audio Resampling Home Page", 2002). Samples before the first and after the last are zero.
"""

from __future__ import annotations

import math

import numpy as np

ZEROS = 6  # crossings of the sinc on either side
ROLLOFF = 0.99  # of the lower Nyquist frequency
AT_ONCE = 1 << 14  # samples made in one piece


class SincStream:
    """Resample a stream of blocks, in constant memory; the blocks do not change the result.

    Parameters
    ----------
    from_hz, to_hz : int
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        common = math.gcd(from_hz, to_hz)
        self._from, self._to = from_hz // common, to_hz // common
        base = min(self._from, self._to) * ROLLOFF
        self._width = math.ceil(ZEROS * self._from / base)
        phase = np.arange(self._to, dtype=np.int64)
        taps = np.arange(-self._width, self._width + 2, dtype=np.int64)
        nearest = phase * self._from // self._to
        t = ((nearest[:, None] + taps) / self._from - (phase / self._to)[:, None]) * base
        weights = np.where(np.abs(t) < ZEROS, np.sinc(t) * np.cos(t * np.pi / (2 * ZEROS)) ** 2, 0.0)
        self._weights = (weights * (base / self._from)).astype(np.float32)
        self._held = np.zeros(self._width, np.float32)
        self._first = -self._width  # number of the first sample held
        self._made = 0

    def resample_chunk(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """The samples that can be made with ``samples`` [n] float32 added; all that are left with the ``last``."""
        self._held = np.concatenate([self._held, samples])
        end = self._first + len(self._held)
        if last:
            until = -(-end * self._to // self._from)
            self._held = np.concatenate([self._held, np.zeros(self._width + 2, np.float32)])
        else:  # the last tap of the last one lies before the end
            until = -(-(end - self._width - 1) * self._to // self._from)
        made = [
            self._between(first, min(first + AT_ONCE, until)) for first in range(self._made, max(until, 0), AT_ONCE)
        ]
        self._made = max(self._made, until)
        spare = self._made * self._from // self._to - self._width - self._first
        if spare > 0:
            self._held, self._first = self._held[spare:], self._first + spare
        return np.concatenate(made) if made else np.zeros(0, np.float32)

    def _between(self, first: int, after: int) -> np.ndarray:
        """The samples from the number ``first`` up to ``after``."""
        number = np.arange(first, after, dtype=np.int64)
        start = number * self._from // self._to - self._width - self._first
        taps = np.lib.stride_tricks.sliding_window_view(self._held, self._weights.shape[1])[start]
        return np.einsum("nt,nt->n", taps, self._weights[number % self._to])
