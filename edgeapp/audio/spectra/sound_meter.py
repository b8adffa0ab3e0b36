"""Sound meters: level and third-octave noise of each minute, in dB re full scale.

Bands are those of IEC 61260-1:2014, base ten: the mid-band frequency of number x is 10^(x / 10) Hz, and a band reaches
from 10^(-1 / 20) to 10^(1 / 20) times that. They are summed from spectra of a second (Hann window, half overlapping), a
bin shared by two bands by its width; so band 20 Hz, of 4.6 Hz, is as right as any for noise, and no filter settles.
A-weighting is that of IEC 61672-1:2013, annex E. A level is the mean power of a sound without its offset; a sine that
reaches full scale has -3 dB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeapp.audio.segments import Segments

PIECE_S = 1.0
PIECES = 60  # of which a minute is made
FIRST = 13  # number of band 20 Hz: 10^(13 / 10)
NOMINAL = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)  # of a decade, as the bands are called
LOWEST_DB = -200.0  # below what 32-bit samples hold


@dataclass(frozen=True)
class SoundLevels:
    """Levels of a stretch of sound, in dB re full scale.

    Attributes
    ----------
    start_s, seconds : float
        The stretch on the clock of its stream.
    leq_dbfs, laeq_dbfs : float
        Of its mean power, unweighted and A-weighted.
    lamax_dbfs, la90_dbfs : float
        The loudest of its seconds, and what 90 % of them exceed, A-weighted: the background.
    bands_dbfs : tuple of float
        Third-octave bands from 20 Hz up to half the sample rate.
    """

    start_s: float
    seconds: float
    leq_dbfs: float
    laeq_dbfs: float
    lamax_dbfs: float
    la90_dbfs: float
    bands_dbfs: tuple[float, ...]


def band_name(place: int) -> str:
    """Nominal mid-band frequency of a place in `SoundLevels.bands_dbfs`, in Hz: 20, 25, 31.5 …"""
    decade, step = divmod(FIRST + place, len(NOMINAL))
    return f"{NOMINAL[step] * 10**decade:g}" if decade < 5 else f"{round(NOMINAL[step] * 10**decade)}"


class SoundMeter:
    """Measure the sound of a stream.

    Parameters
    ----------
    rate_hz : int
    """

    def __init__(self, rate_hz: int) -> None:
        size = round(PIECE_S * rate_hz)
        self._size, self._rate_hz = size, rate_hz
        self._segments = Segments(size)
        window = np.hanning(size + 1)[:-1].astype(np.float32)
        self._window = window * np.float32(np.sqrt(2.0 / (size * np.square(window).sum())))  # bins add up to power
        self._hz = np.fft.rfftfreq(size, 1.0 / rate_hz)
        self._weights = a_weights(self._hz)
        number = np.arange(FIRST, 10 * np.log10(rate_hz / 2) - 0.5 + 1e-9)
        edges = 10 ** ((np.append(number, number[-1] + 1) - 0.5) / 10) if len(number) else np.zeros(0)
        self._edges = edges / (rate_hz / size) + 0.5  # in bins, each of which begins half a bin below its frequency
        self._before: np.ndarray | None = None  # the second half of the piece before
        self._position = 0
        self._clear()

    def add(self, samples: np.ndarray) -> list[SoundLevels]:
        """The minutes that samples ``[n]`` float32 complete."""
        found = []
        for piece in self._segments.add(samples):
            self._measure(piece)
            if len(self._powers) == PIECES:
                found.append(self._levels())
        return found

    def finish(self) -> list[SoundLevels]:
        """What was measured since the last whole minute, if it has a second."""
        return [self._levels()] if self._powers else []

    def _clear(self) -> None:
        self._powers: list[float] = []
        self._weighted: list[float] = []
        self._bands = np.zeros(max(0, len(self._edges) - 1))
        self._frames = 0

    def _measure(self, piece: np.ndarray) -> None:
        half = self._size // 2
        together = piece if self._before is None else np.concatenate([self._before, piece])
        weighted = []
        for start in range(0, len(together) - self._size + 1, max(1, self._size - half)):
            cells = np.fft.rfft(together[start : start + self._size] * self._window)
            power = np.square(cells.real, dtype=np.float64) + np.square(cells.imag, dtype=np.float64)
            summed = np.concatenate([[0.0], np.cumsum(power)])
            self._bands += np.diff(np.interp(self._edges, np.arange(len(summed)), summed))
            weighted.append(float(power @ self._weights))
            self._frames += 1
        self._before = piece[half:]
        self._powers.append(float(piece.var(dtype=np.float64)))
        self._weighted.append(float(np.mean(weighted)))

    def _levels(self) -> SoundLevels:
        seconds = len(self._powers) * self._size / self._rate_hz
        found = SoundLevels(
            start_s=self._position / self._rate_hz,
            seconds=seconds,
            leq_dbfs=_db(float(np.mean(self._powers))),
            laeq_dbfs=_db(float(np.mean(self._weighted))),
            lamax_dbfs=_db(max(self._weighted)),
            la90_dbfs=_db(float(np.percentile(self._weighted, 10.0))),
            bands_dbfs=tuple(_db(power) for power in self._bands / self._frames),
        )
        self._position += len(self._powers) * self._size
        self._clear()
        return found


def a_weights(hz: np.ndarray) -> np.ndarray:
    """A-weighting as a factor of power at frequencies in Hz; 1 at 1 kHz."""

    def response(squared: np.ndarray) -> np.ndarray:
        poles = (squared + 107.7**2) * (squared + 737.9**2)
        return (12_194.0**2 * squared**2) / ((squared + 20.6**2) * np.sqrt(poles) * (squared + 12_194.0**2))

    return np.square(response(np.square(hz)) / response(np.array([1e6])))


def _db(power: float) -> float:
    return round(max(LOWEST_DB, 10 * np.log10(power)) if power > 0 else LOWEST_DB, 2)
