"""Spectrograms: columns of levels from sound in blocks, the seconds and kHz of their axes, and pictures of them.

Levels are in dB of full scale: a sine of amplitude 1 has 0 dB. Each column is the mean power of a few frames spread
over the time that it stands for, as in a long-term spectral average, so that no more is computed than is shown: a day
in a thousand columns costs hardly more than a minute in a thousand. Frames are Hann-windowed, and a row of the picture
has the strongest of its bins, which keeps narrow whistles visible. Nothing but NumPy, and Pillow for the pictures.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np

from edgeapp.audio.spectra.colour_maps import colour_map

FRAME_S = 0.02  # a frame is the power of two next to it: 1024 samples at 48 kHz, bins of 47 Hz
ROWS = 128  # of a picture: 188 Hz each at 48 kHz
BATCH_FRAMES = 128  # transformed together: what fits into a core's cache
FLOOR_DBFS = -140.0  # what digital silence is shown as
NOISE_SHARE = 0.5  # of the levels of a row, at or below its noise
USUAL_SHARE = 0.75  # of the rows, without more noise than is usual: a recording may end far below its Nyquist frequency
NOISE_FOLLOWED = 0.7  # of what a row's noise is above the usual
SHARE_BELOW_TOP = 0.998  # of all levels, below the brightest
LEAST_RANGE_DB = 25.0  # between black and brightest: noise alone stays dark
STEPS_S = (
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14_400,
    21_600,
)
STEPS_KHZ = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
PNG, WEBP = "PNG", "WEBP"
QUALITY = 60  # of WebP
MOST_COLUMNS = 16_383  # width of a WebP


@dataclass(frozen=True)
class Axis:
    """One axis of a picture, linear.

    Attributes
    ----------
    low, high : float
        At its two ends.
    steps : tuple of float
        Distances between ticks to choose from, ascending; beyond the last one its multiples.
    """

    low: float
    high: float
    steps: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where a value lies, 0 at the low end to 1 at the high end; not bounded."""
        return (value - self.low) / (self.high - self.low)

    def value(self, share: float) -> float:
        """The value at a share of the axis."""
        return self.low + share * (self.high - self.low)

    def ticks(self, most: int = 10) -> list[float]:
        """Round values on the axis, at most so many and one."""
        span = (self.high - self.low) / most
        step = next((step for step in self.steps if step >= span), 0.0)
        if not step:
            step = self.steps[-1] * math.ceil(span / self.steps[-1])
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 6) for number in range(first, last + 1)]


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """Levels over time and frequency.

    Attributes
    ----------
    levels : np.ndarray
        ``[n_columns, n_rows]`` float32, dB of full scale; the lowest frequency first.
    start_s : float
        Where its first column begins, on the clock of the sound.
    column_s : float
        Seconds that a column stands for.
    high_hz : float
        Upper end of the frequency axis, which begins at 0.
    """

    levels: np.ndarray
    start_s: float
    column_s: float
    high_hz: float

    @property
    def end_s(self) -> float:
        """Where its last column ends."""
        return self.start_s + len(self.levels) * self.column_s

    @property
    def seconds(self) -> Axis:
        """The horizontal axis, from left to right."""
        return Axis(self.start_s, self.end_s, STEPS_S)

    @property
    def khz(self) -> Axis:
        """The vertical axis, from bottom to top."""
        return Axis(0.0, self.high_hz / 1000, STEPS_KHZ)

    def between(self, start_s: float, end_s: float) -> Spectrogram:
        """The columns that begin in a stretch."""
        first, last = (
            min(max(0, math.ceil((at - self.start_s) / self.column_s - 1e-6)), len(self.levels))
            for at in (start_s, end_s)
        )
        return Spectrogram(self.levels[first:last], self.start_s + first * self.column_s, self.column_s, self.high_hz)


@dataclass(frozen=True, eq=False)
class Scale:
    """Which levels are shown as black and which as brightest.

    Attributes
    ----------
    black_dbfs : np.ndarray
        ``[n_rows]``, for each row of the frequency axis.
    range_db : float
        From black to brightest.
    """

    black_dbfs: np.ndarray
    range_db: float

    def shades(self, levels: np.ndarray) -> np.ndarray:
        """Levels, ``[..., n_rows]``, as numbers of a colour map: 0 for black and below to 255; uint8."""
        scaled = (levels - self.black_dbfs) * np.float32(255 / self.range_db)
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def scale_of(levels: np.ndarray) -> Scale:
    """A scale on which noise is dark and what stands out of it is bright.

    Wind and traffic make the noise of the lowest rows tens of dB louder. Black follows the noise of each row, but above
    the usual noise only part of the way: an insect that sings without a pause is noise by this measure, and stays
    visible.

    Parameters
    ----------
    levels : np.ndarray
        ``[n_columns, n_rows]``, dB of full scale; no columns are allowed.
    """
    if not levels.size:
        return Scale(np.full(levels.shape[1], FLOOR_DBFS, np.float32), LEAST_RANGE_DB)
    noise = np.quantile(levels, NOISE_SHARE, axis=0)
    usual = np.quantile(noise, USUAL_SHARE)
    black = (noise - (1 - NOISE_FOLLOWED) * np.maximum(noise - usual, 0)).astype(np.float32)
    top = float(np.quantile(levels - black, SHARE_BELOW_TOP))
    return Scale(black, max(top, LEAST_RANGE_DB))


class SpectrogramStream:
    """Computes the columns of a spectrogram while the sound comes in blocks, in constant memory.

    Parameters
    ----------
    rate_hz : int
    column_s : float
        Seconds that a column stands for; at least one sample.
    rows : int
        Rows over the frequency axis.
    high_hz : float or None
        Upper end of the axis; the Nyquist frequency if not given or beyond it.
    frames : int
        Frames averaged in a column, spread evenly over it; fewer where they would overlap.
    batch : int
        Frames that wait to be transformed together, and columns with them: 1 gives each column as soon as it can be,
        for somebody who watches; `BATCH_FRAMES` takes several times less time where a block has few of them.

    Attributes
    ----------
    high_hz : float
    n_columns : int
        Given so far.
    """

    def __init__(
        self,
        rate_hz: int,
        column_s: float,
        rows: int = ROWS,
        high_hz: float | None = None,
        frames: int = 1,
        batch: int = 1,
    ) -> None:
        self.high_hz = min(high_hz or math.inf, rate_hz / 2)
        self.column_s = column_s
        self.n_columns = 0
        self._rows = rows
        self._hop = column_s * rate_hz
        if self._hop < 1:
            raise ValueError("a column must stand for at least one sample")
        least = rows * rate_hz / self.high_hz  # samples, so that no row is narrower than a bin
        self._length = max(1 << round(math.log2(FRAME_S * rate_hz)), 1 << math.ceil(math.log2(least) - 1e-9))
        self._frames = max(1, min(frames, int(self._hop // self._length)))
        # The window's mean is the gain of a sine; half of a real one's amplitude is at negative frequencies.
        self._window = np.hanning(self._length + 1)[:-1].astype(np.float32)
        self._window *= np.float32(2 / self._window.sum())
        self._edges = self._row_edges(rate_hz)
        self._heard = 0  # samples so far
        self._tail = np.zeros(0, np.float32)  # the last of them, less than a frame's
        self._batch = batch
        self._n_frames = 0  # cut so far
        self._cut: list[np.ndarray] = []  # those that wait to be transformed
        self._pending: list[np.ndarray] = []  # power of the frames of columns that are not complete

    def _row_edges(self, rate_hz: int) -> np.ndarray:
        """First bin of each row, and the end of the last one."""
        width_hz = rate_hz / self._length
        edges = np.arange(self._rows + 1) * (self.high_hz / self._rows) / width_hz
        return np.minimum(np.round(edges).astype(int), self._length // 2)

    def add(self, samples: np.ndarray) -> np.ndarray:
        """Take the next samples, and give the columns that are complete.

        Parameters
        ----------
        samples : np.ndarray
            ``[n]`` float32, mono.

        Returns
        -------
        np.ndarray
            ``[n_columns, n_rows]`` float32, dB of full scale; the lowest frequency first.
        """
        begun = self._heard
        self._heard += len(samples)
        starts = self._starts(int(self._heard / self._hop * self._frames) + 1)
        starts = starts[starts + self._length <= self._heard]
        before = int(np.count_nonzero(starts < begun))
        if before:
            joined = np.concatenate((self._tail, samples[: self._length]))
            self._take(joined, starts[:before] - (begun - len(self._tail)))
        self._take(samples, starts[before:] - begun)
        tail = samples if len(samples) >= self._length else np.concatenate((self._tail, samples))
        self._tail = tail[max(0, len(tail) - self._length) :].copy()
        return self._complete(self._batch)

    def finish(self) -> np.ndarray:
        """The columns that are left at the end of the sound, as of `add`."""
        columns = math.ceil(self._heard / self._hop - 1e-6)
        tail = np.pad(self._tail, (0, max(0, self._length - len(self._tail))))  # sound shorter than a frame
        starts = self._starts(columns * self._frames) - (self._heard - len(self._tail))
        self._take(tail, starts)
        return self._complete(1)

    def coarsen(self) -> None:
        """Let columns stand for twice the time from now on.

        Two columns that were given become one, which is the caller's to do; the last of an odd number becomes one by
        itself. Frames that wait for others of their column or batch are dropped, and cut again further on.
        """
        self.n_columns = (self.n_columns + 1) // 2
        self.column_s *= 2
        self._hop *= 2
        self._n_frames, self._cut, self._pending = self.n_columns * self._frames, [], []

    def _starts(self, n_frames: int) -> np.ndarray:
        """First sample of each frame that is not cut yet, up to a number of frames."""
        middles = (np.arange(self._n_frames, n_frames) + 0.5) * (self._hop / self._frames)
        return np.maximum(np.round(middles - self._length / 2), 0).astype(int)

    def _take(self, samples: np.ndarray, starts: np.ndarray) -> None:
        """Cut frames that begin at some of the samples; where there are too few samples, at the nearest that do."""
        last = len(samples) - self._length
        self._cut += (samples[start : start + self._length].copy() for start in np.clip(starts, 0, last).tolist())
        self._n_frames += len(starts)

    def _complete(self, batch: int) -> np.ndarray:
        """The columns all of whose frames are transformed, once there are enough frames for that."""
        if len(self._cut) >= batch:
            cut, self._cut = self._cut, []
            self._pending += (
                self._power(np.array(cut[at : at + BATCH_FRAMES])) for at in range(0, len(cut), BATCH_FRAMES)
            )
        n = sum(map(len, self._pending)) // self._frames
        if not n:
            return np.zeros((0, self._rows), np.float32)
        power = np.concatenate(self._pending)
        self._pending = [power[n * self._frames :]]
        self.n_columns += n
        mean = power[: n * self._frames].reshape(n, self._frames, self._rows).mean(axis=1)
        return 10 * np.log10(np.maximum(mean, np.float32(10 ** (FLOOR_DBFS / 10))))

    def _power(self, frames: np.ndarray) -> np.ndarray:
        """Power of the rows of frames, [n, length] -> [n, rows]."""
        spectra = np.fft.rfft(frames * self._window)
        power = np.square(spectra.real) + np.square(spectra.imag)
        strongest = np.maximum.reduceat(power[:, : self._edges[-1] + 1], self._edges[:-1], axis=1)
        return strongest.astype(np.float32, copy=False)


def spectrogram(
    samples: np.ndarray,
    rate_hz: int,
    column_s: float,
    rows: int = ROWS,
    high_hz: float | None = None,
    start_s: float = 0.0,
) -> Spectrogram:
    """The spectrogram of a piece of sound.

    Parameters
    ----------
    samples : np.ndarray
        ``[n]`` float32, mono.
    rate_hz, column_s, rows, high_hz
        See `SpectrogramStream`.
    start_s : float
        Where the piece begins, on the clock of the sound.
    """
    stream = SpectrogramStream(rate_hz, column_s, rows, high_hz)
    levels = np.concatenate((stream.add(samples), stream.finish()))
    return Spectrogram(levels, start_s, column_s, stream.high_hz)


def picture(shades: np.ndarray, dark: bool | None = True, format: str = PNG, quality: int = QUALITY) -> bytes:
    """A picture of a spectrogram, one pixel for each level, high frequencies on top.

    Parameters
    ----------
    shades : np.ndarray
        ``[n_columns, n_rows]`` uint8, see `Scale`; at most `MOST_COLUMNS` columns.
    dark : bool or None
        The colour map for dark or light surroundings; None for grey, black where there is no sound.
    format : str
        `PNG`, exact, or `WEBP`, several times smaller.
    quality : int
        Of WebP, 0 to 100.
    """
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(shades.T[::-1]))
    made = io.BytesIO()
    if dark is not None:
        image.putpalette(colour_map(dark).tobytes())
    if format == PNG:
        image.save(made, PNG, compress_level=6)
    else:
        image.convert("RGB").save(made, format, quality=quality, method=2)
    return made.getvalue()
