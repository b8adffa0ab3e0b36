"""Decode a window of a recording without the rest of it."""

from __future__ import annotations

import math
from contextlib import closing
from typing import BinaryIO

import numpy as np

from edgeapp.audio.file import FileSource, decode
from edgeapp.audio.resample import resampled
from edgeapp.audio.windows import MIN_CLIP_S, REPEAT, fill
from edgeapp.errors import AudioError

MARGIN_S = 0.1  # decoded around a crop: the resampler's filter, and an MP3 decoder after a seek, need to settle


def whole(file: BinaryIO, rate_hz: int) -> tuple[np.ndarray, str | None]:
    """A whole recording [samples] float32, and a message if it is damaged.

    Raises
    ------
    AudioError
        When it cannot be decoded or is too short.
    """
    source = FileSource(file)
    sound = decode(source, rate_hz)
    if len(sound) < MIN_CLIP_S * rate_hz:
        raise AudioError(f"{source.name}: only {len(sound) / rate_hz:.2f} s", "remove the row")
    return sound, _damage(source)


def crop(file: BinaryIO, rate_hz: int, samples: int, moment: float, pad: str = REPEAT) -> tuple[np.ndarray, str | None]:
    """A window of a recording, decoded without the rest of it.

    Parameters
    ----------
    file : the recording
    rate_hz, samples : rate and length of the window
    moment : position in the recording, 0 .. 1; a shorter recording is repeated from there
    pad : how a shorter recording fills the window, see `edgeapp.audio.windows.fill`

    Returns
    -------
    The window [samples] float32, and a message if the recording was found to be damaged.

    Raises
    ------
    AudioError
        As `whole`.
    """
    source = FileSource(file)
    source.close()
    length = None if source.duration_s is None else math.floor(source.duration_s * rate_hz)
    if length is None or source.cut:
        return _by_decoding(file, rate_hz, samples, moment, pad)
    if length > samples:
        window = _by_seek(file, source.rate_hz, rate_hz, samples, _start(length, samples, moment))
        return (window, None) if window is not None else _by_decoding(file, rate_hz, samples, moment, pad)
    sound, fault = whole(file, rate_hz)
    return _filled(sound, samples, moment, pad), fault


def _by_seek(file: BinaryIO, file_hz: int, rate_hz: int, samples: int, start: int) -> np.ndarray | None:
    """Samples from `start` on, counted at `rate_hz`; None if the recording ends before.

    Decoding starts at a time that is a sample at both rates, so that the window is exactly the part that resampling the
    whole recording would give.
    """
    common = math.gcd(file_hz, rate_hz)
    steps = max(0, start - round(MARGIN_S * rate_hz)) // (rate_hz // common)
    skipped = start - steps * (rate_hz // common)
    try:
        source = FileSource(file, steps * (file_hz // common) / file_hz, (skipped + samples) / rate_hz + MARGIN_S)
        window = decode(source, rate_hz)[skipped : skipped + samples]
    except AudioError:  # damaged or shorter than it claims; decoding it from the start will tell
        return None
    return window if len(window) == samples else None


def _by_decoding(file: BinaryIO, rate_hz: int, samples: int, moment: float, pad: str) -> tuple[np.ndarray, str | None]:
    """`crop` of a recording shorter than its header claims: decoded once for its length, then up to the window."""
    source = FileSource(file)
    length = sum(len(block.samples) for block in resampled(source, rate_hz).blocks())
    source.close()
    if length <= samples:
        sound, fault = whole(file, rate_hz)
        return _filled(sound, samples, moment, pad), fault
    start = _start(length, samples, moment)
    pieces: list[np.ndarray] = []
    at = 0
    with closing(FileSource(file)) as again:
        for block in resampled(again, rate_hz).blocks():
            pieces.append(block.samples[max(0, start - at) : max(0, start + samples - at)])
            at += len(block.samples)
            if at >= start + samples:
                break
    return np.concatenate(pieces), _damage(source)


def _start(length: int, samples: int, moment: float) -> int:
    return int(moment * (length - samples + 1))


def _filled(sound: np.ndarray, samples: int, moment: float, pad: str) -> np.ndarray:
    """A window [samples] of a shorter recording: repeated from `moment` on, or padded with zeros."""
    return fill(np.roll(sound, -int(moment * len(sound))) if pad == REPEAT else sound, samples, pad)


def _damage(source: FileSource) -> str | None:
    return f"{source.name}: {source.fault}; copy the file again" if source.fault else None
