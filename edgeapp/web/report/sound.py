"""Sound in a report: a compressed file that every browser plays, louder where the recording is quiet.

MP3, because Safari before version 18.4 plays neither Vorbis nor Opus in Ogg. At a constant bit rate: of a variable one,
browsers find a place by a table of hundredths, which is seconds off in a long recording. Where libsndfile was built
without MP3 it is Vorbis.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

# Rates of MPEG-1, 2 and 2.5 that are worth it; more than 32 kHz sounds hardly better at this bit rate.
RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000)
BIT_RATE = 64  # kbit/s: 29 MB an hour, 38 MB as text in the page
# Least rate, and lowest and highest kbit/s of MPEG-1, 2 and 2.5 (ISO 11172-3, ISO 13818-3, and its extension).
BIT_RATES = ((32_000, 32, 320), (16_000, 8, 160), (8_000, 8, 64))
PEAK_DBFS = -1.0  # to which quiet sound is raised
MOST_GAIN_DB = 40.0  # what is quieter is noise of the recorder
LEAST_GAIN_DB = 3.0  # less is not worth a word
ENCODED_AT_ONCE = 1 << 16  # libvorbis keeps what it is given on the stack
MP3, OGG = ("MP3", "MPEG_LAYER_III", "audio/mpeg"), ("OGG", "VORBIS", "audio/ogg")


@dataclass(frozen=True)
class Encoded:
    """A sound file in memory.

    Attributes
    ----------
    content : bytes
    media_type : str
    gain_db : float
        By how much it is louder than the recording.
    """

    content: bytes
    media_type: str
    gain_db: float


def rate_of(rate_hz: int) -> int:
    """The rate that sound of a rate is encoded at: the next one, at most 32 kHz."""
    return next((rate for rate in RATES_HZ if rate >= rate_hz), RATES_HZ[-1])


def gain_db(peak: float) -> float:
    """By how much sound with a peak, 1 for full scale, is made louder; 0 where it is loud enough, or has none."""
    if peak <= 0:
        return 0.0
    gain = min(PEAK_DBFS - 20 * math.log10(peak), MOST_GAIN_DB)
    return gain if gain >= LEAST_GAIN_DB else 0.0


def encode(blocks: Iterable[np.ndarray], rate_hz: int, gain_db: float = 0.0) -> Encoded:
    """Encode mono sound.

    Parameters
    ----------
    blocks : iterable of np.ndarray
        ``[n]`` float32 each, 1.0 for full scale.
    rate_hz : int
        One of `RATES_HZ`.
    gain_db : float
    """
    import soundfile

    container, subtype, media_type = _format()
    made = io.BytesIO()
    options = {"bitrate_mode": "CONSTANT", "compression_level": _level(rate_hz)} if container == "MP3" else {}
    gain = np.float32(10 ** (gain_db / 20))
    with soundfile.SoundFile(made, "w", rate_hz, 1, subtype=subtype, format=container, **options) as file:
        for piece in _pieces(blocks):
            file.write(np.clip(piece * gain, -1, 1))
    return Encoded(made.getvalue(), media_type, gain_db)


def _pieces(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    for block in blocks:
        for start in range(0, len(block), ENCODED_AT_ONCE):
            yield block[start : start + ENCODED_AT_ONCE]


@cache
def _format() -> tuple[str, str, str]:
    import soundfile

    return MP3 if soundfile.check_format("MP3", "MPEG_LAYER_III") else OGG


def _level(rate_hz: int) -> float:
    """The bit rate as libsndfile takes it: 0 for the highest of the rate, 1 for the lowest."""
    low, high = next((low, high) for least_hz, low, high in BIT_RATES if rate_hz >= least_hz)
    return (high - BIT_RATE) / (high - low)
