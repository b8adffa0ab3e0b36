"""A window cut out of a recording on disk, without decoding the rest of it."""

from __future__ import annotations

import math
from contextlib import closing
from typing import BinaryIO

import numpy as np

from edgeapp.audio.file import FileSource, decode
from edgeapp.audio.resample import resampled
from edgeapp.audio.windows import MIN_CLIP_S, REPEAT, fill
from edgeapp.errors import AudioError

MARGIN_S = 0.1  # decoded around a crop: the resampler's filter, and an MP3 decoder after a jump, need to settle


def whole(file: BinaryIO, rate_hz: int) -> tuple[np.ndarray, str | None]:
    """All of a recording [samples] float32, and what is wrong with it.

    Raises
    ------
    AudioError
        When it cannot be decoded or is too short to be used.
    """
    source = FileSource(file)
    sound = decode(source, rate_hz)
    if len(sound) < MIN_CLIP_S * rate_hz:
        raise AudioError(f"{source.name}: only {len(sound) / rate_hz:.2f} s", "remove the row")
    return sound, _told(source)


def crop(file: BinaryIO, rate_hz: int, samples: int, moment: float, pad: str = REPEAT) -> tuple[np.ndarray, str | None]:
    """A window of a recording, decoded without the rest of it.

    Parameters
    ----------
    file : the recording
    rate_hz, samples : rate and length of the window
    moment : where in the recording, 0 .. 1; a shorter recording that is repeated begins there
    pad : how a shorter recording fills the window, as `edgeapp.audio.windows.fill` has it

    Returns
    -------
    The window [samples] float32, and what is wrong with the recording if that was noticed.

    Raises
    ------
    AudioError
        As `whole`.
    """
    source = FileSource(file)
    source.close()
    length = math.floor(source.duration_s * rate_hz)
    if length > samples:
        window = _jumped_to(file, source.rate_hz, rate_hz, samples, _start(length, samples, moment))
        return (window, None) if window is not None else _played_to(file, rate_hz, samples, moment, pad)
    sound, fault = whole(file, rate_hz)
    return _filled(sound, samples, moment, pad), fault


def _jumped_to(file: BinaryIO, file_hz: int, rate_hz: int, samples: int, start: int) -> np.ndarray | None:
    """Samples from `start` on, counted at the rate wanted; None where there are not as many.

    Decoding begins where a sample of the file and one at the rate wanted fall together, so that the window is the very
    part of the recording that resampling all of it would give.
    """
    common = math.gcd(file_hz, rate_hz)
    steps = max(0, start - round(MARGIN_S * rate_hz)) // (rate_hz // common)
    skipped = start - steps * (rate_hz // common)
    try:
        source = FileSource(file, steps * (file_hz // common) / file_hz, (skipped + samples) / rate_hz + MARGIN_S)
        window = decode(source, rate_hz)[skipped : skipped + samples]
    except AudioError:  # it may be sound up to here; whoever plays it from its start will know
        return None
    return window if len(window) == samples else None


def _played_to(file: BinaryIO, rate_hz: int, samples: int, moment: float, pad: str) -> tuple[np.ndarray, str | None]:
    """`crop` of a recording that is shorter than it says: played once to its end, then up to the window."""
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
    return np.concatenate(pieces), _told(source)


def _start(length: int, samples: int, moment: float) -> int:
    return int(moment * (length - samples + 1))


def _filled(sound: np.ndarray, samples: int, moment: float, pad: str) -> np.ndarray:
    """A window [samples] of a shorter recording: repeated from a moment on, 0 .. 1, or with silence behind it."""
    return fill(np.roll(sound, -int(moment * len(sound))) if pad == REPEAT else sound, samples, pad)


def _told(source: FileSource) -> str | None:
    return f"{source.name}: {source.fault}; copy the file again" if source.fault else None
