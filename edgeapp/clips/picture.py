"""The spectrogram of a clip as a picture."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.audio.spectra.spectrogram import picture, scale_of, spectrogram

LONGEST_S = 600.0  # of a clip that is drawn
COLUMNS, ROWS = 900, 160
HIGH_HZ = 16_000.0


@dataclass(frozen=True)
class Drawn:
    """A spectrogram.

    Attributes
    ----------
    content : bytes
        Of an image.
    seconds, khz : float
        Ends of its axes.
    """

    content: bytes
    seconds: float
    khz: float


def drawn(path: Path, format: str) -> Drawn:
    """Draw the spectrogram of a clip.

    Parameters
    ----------
    path : Path
    format : str
        As `edgeapp.audio.spectra.spectrogram.picture` takes it.

    Raises
    ------
    AudioError
        The clip cannot be read.
    """
    source = FileSource(str(path))
    rate = source.rate_hz
    most = round(LONGEST_S * rate)
    blocks, n = [], 0
    with closing(source.blocks()) as given:  # type: ignore[type-var]  # a generator
        for block in given:
            blocks.append(block.samples[: most - n])
            n += len(blocks[-1])
            if n >= most:
                break
    samples = np.concatenate(blocks) if blocks else np.zeros(1, np.float32)
    made = spectrogram(samples, rate, max(1 / rate, len(samples) / rate / COLUMNS), ROWS, HIGH_HZ)
    content = picture(scale_of(made.levels).shades(made.levels), format=format)
    return Drawn(content, len(samples) / rate, made.high_hz / 1000)
