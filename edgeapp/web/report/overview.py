"""The spectrogram of a whole recording, computed while the recording is identified, and its rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgeapp.audio.source import AudioSource, Block, WrappedSource
from edgeapp.audio.spectra.spectrogram import BATCH_FRAMES, FLOOR_DBFS, ROWS, Spectrogram, SpectrogramStream

FINEST_S = 0.025  # that a column stands for: 30 s in a row of 1200
ROW_COLUMNS = 1200  # at most: as wide as it is shown on a large screen
MOST_ROWS = 24  # of a recording: an hour each in a day
ROWS_S = (30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400)
ROW_SLACK = 0.05  # of a row: for so little more there is no last row, but all become a little longer
MOST_COLUMNS = 100_000  # of a report
MOST_FRAMES = 60_000  # computed for a report of long recordings: 1 s on one core of a PC
FRAMES = 16  # averaged in a column, at most


@dataclass(frozen=True)
class Resolution:
    """How finely sound is shown.

    Attributes
    ----------
    column_s : float
        Seconds that a column stands for.
    frames : int
        Frames averaged in each.
    """

    column_s: float
    frames: int


def rows_of(duration_s: float) -> int:
    """How many rows a recording is cut into."""
    for row_s in ROWS_S:
        rows = math.ceil(duration_s / row_s - ROW_SLACK)
        if rows <= MOST_ROWS:
            return max(1, rows)
    return MOST_ROWS


def resolution(duration_s: float, total_s: float) -> Resolution:
    """The resolution of a recording in a report of recordings of a total length."""
    total_s = max(total_s, duration_s)
    row_s = duration_s / rows_of(duration_s)
    column_s = max(FINEST_S, row_s / ROW_COLUMNS, total_s / MOST_COLUMNS)
    return Resolution(column_s, min(FRAMES, max(1, int(MOST_FRAMES * column_s / max(total_s, 1e-9)))))


class Overview:
    """Levels of one recording, in memory that is bounded whatever its length is.

    Parameters
    ----------
    rate_hz : int
    duration_s : float or None
        As announced. Where it is not known, columns become longer while the sound goes on.
    total_s : float
        Of all recordings of the report.
    high_hz : float
        Upper end of the frequency axis, if that is below the Nyquist frequency.
    """

    def __init__(self, rate_hz: int, duration_s: float | None, total_s: float, high_hz: float) -> None:
        found = Resolution(FINEST_S, 1) if duration_s is None else resolution(duration_s, total_s)
        self._stream = SpectrogramStream(
            rate_hz, max(found.column_s, 1 / rate_hz), high_hz=high_hz, frames=found.frames, batch=BATCH_FRAMES
        )
        self._most = math.inf if duration_s is not None else 2 * MOST_ROWS * ROW_COLUMNS
        self._levels: list[np.ndarray] = []
        self._kept = 0

    def add(self, samples: np.ndarray) -> None:
        """Take the next samples."""
        self._keep(self._stream.add(samples))

    def finish(self) -> Spectrogram:
        """The whole."""
        self._keep(self._stream.finish())
        levels = np.concatenate(self._levels) if self._levels else np.zeros((0, ROWS), np.float16)
        return Spectrogram(levels.astype(np.float32), 0.0, self._stream.column_s, self._stream.high_hz)

    def _keep(self, levels: np.ndarray) -> None:
        if not len(levels):
            return
        self._levels.append(levels.astype(np.float16))  # 0.06 dB at -100: less than a shade
        self._kept += len(levels)
        if self._kept > self._most:
            self._stream.coarsen()
            power = 10 ** (np.concatenate(self._levels).astype(np.float32) / 10)
            power = np.concatenate((power, power[-1:]))[: 2 * self._stream.n_columns]
            pairs = 10 * np.log10(np.maximum((power[::2] + power[1::2]) / 2, 10 ** (FLOOR_DBFS / 10)))
            self._levels, self._kept = [pairs.astype(np.float16)], len(pairs)


class HeardSource(WrappedSource):
    """A source whose sound an overview hears while somebody else reads it."""

    def __init__(self, source: AudioSource, overview: Overview) -> None:
        super().__init__(source)
        self._overview = overview

    def blocks(self) -> Iterator[Block]:
        """The blocks of the source below."""
        for block in self.source.blocks():
            self._overview.add(block.samples)
            yield block
