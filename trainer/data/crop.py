"""Decode a window of a recording without the rest of it."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from edgeapp.audio.centred import REMOVED, centred
from edgeapp.audio.file import FileSource, decode
from edgeapp.audio.resample import SOXR, resampled
from edgeapp.audio.windows import MIN_CLIP_S, REPEAT, ZERO, fill
from edgeapp.errors import AudioError
from trainer.data.windows import at_rate

MARGIN_S = 0.1  # decoded around a crop: the resampler's filter, and an MP3 decoder after a seek, need to settle


@dataclass(frozen=True)
class Shape:
    """What a crop is to be.

    Parameters
    ----------
    rate_hz, samples : rate and length of the window
    pad : how a shorter recording fills it, see `edgeapp.audio.windows.fill`
    resampler : see `edgeapp.audio.resample.resampled`
    native : cut `samples` frames at the recording's own rate, as the released code of BioVITA does in stage 1: 10.9 s
        at 44.1 kHz, whose end is cut off again, and 5 s at 96 kHz, which are padded
    offset : see `edgeapp.audio.centred.centred`
    """

    rate_hz: int
    samples: int
    pad: str = REPEAT
    resampler: str = SOXR
    native: bool = False
    offset: str = REMOVED


def whole(file: BinaryIO, rate_hz: int, resampler: str = SOXR, offset: str = REMOVED) -> tuple[np.ndarray, str | None]:
    """A whole recording [samples] float32, and a message if it is damaged.

    Raises
    ------
    AudioError
        When it cannot be decoded or is too short.
    """
    source = FileSource(file)
    sound = decode(source, rate_hz, resampler, offset)
    if len(sound) < MIN_CLIP_S * rate_hz:
        raise AudioError(f"{source.name}: only {len(sound) / rate_hz:.2f} s", "remove the row")
    return sound, _damage(source)


def crop(file: BinaryIO, shape: Shape, moment: float) -> tuple[np.ndarray, str | None]:
    """A window of a recording, decoded without the rest of it.

    Parameters
    ----------
    file : the recording
    moment : position in the recording, 0 .. 1; a shorter recording is repeated from there

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
    if shape.native and source.rate_hz != shape.rate_hz:
        sound, fault = crop(file, replace(shape, rate_hz=source.rate_hz, native=False, pad=ZERO), moment)
        heard = source.duration_s
        if heard is not None and heard * source.rate_hz < shape.samples:
            sound = sound[: round(heard * source.rate_hz)]
        here = at_rate(sound[None], source.rate_hz, shape.rate_hz, shape.resampler)[0]
        return fill(here, shape.samples, shape.pad), fault
    length = None if source.duration_s is None else math.floor(source.duration_s * shape.rate_hz)
    if length is None or source.cut:
        return _by_decoding(file, shape, moment)
    if length > shape.samples:
        window = _by_seek(file, source.rate_hz, shape, _start(length, shape.samples, moment))
        return (window, None) if window is not None else _by_decoding(file, shape, moment)
    sound, fault = whole(file, shape.rate_hz, shape.resampler, shape.offset)
    return _filled(sound, shape, moment), fault


def _by_seek(file: BinaryIO, file_hz: int, shape: Shape, start: int) -> np.ndarray | None:
    """Samples from `start` on, counted at the window's rate; None if the recording ends before.

    Decoding starts at a time that is a sample at both rates, so that the window is exactly the part that resampling the
    whole recording would give.
    """
    rate_hz, samples = shape.rate_hz, shape.samples
    common = math.gcd(file_hz, rate_hz)
    steps = max(0, start - round(MARGIN_S * rate_hz)) // (rate_hz // common)
    skipped = start - steps * (rate_hz // common)
    try:
        source = FileSource(file, steps * (file_hz // common) / file_hz, (skipped + samples) / rate_hz + MARGIN_S)
        window = decode(source, rate_hz, shape.resampler, shape.offset)[skipped : skipped + samples]
    except AudioError:  # damaged or shorter than it claims; decoding it from the start will tell
        return None
    return window if len(window) == samples else None


def _by_decoding(file: BinaryIO, shape: Shape, moment: float) -> tuple[np.ndarray, str | None]:
    """`crop` of a recording shorter than its header claims: decoded once for its length, then up to the window."""
    samples = shape.samples
    source = FileSource(file)
    length = sum(
        len(block.samples)
        for block in resampled(centred(source, shape.offset), shape.rate_hz, shape.resampler).blocks()
    )
    source.close()
    if length <= samples:
        sound, fault = whole(file, shape.rate_hz, shape.resampler, shape.offset)
        return _filled(sound, shape, moment), fault
    start = _start(length, samples, moment)
    pieces: list[np.ndarray] = []
    at = 0
    with closing(FileSource(file)) as again:
        for block in resampled(centred(again, shape.offset), shape.rate_hz, shape.resampler).blocks():
            pieces.append(block.samples[max(0, start - at) : max(0, start + samples - at)])
            at += len(block.samples)
            if at >= start + samples:
                break
    return np.concatenate(pieces), _damage(source)


def _start(length: int, samples: int, moment: float) -> int:
    return int(moment * (length - samples + 1))


def _filled(sound: np.ndarray, shape: Shape, moment: float) -> np.ndarray:
    """A window of a shorter recording: repeated from `moment` on, or padded with zeros."""
    rolled = np.roll(sound, -int(moment * len(sound))) if shape.pad == REPEAT else sound
    return fill(rolled, shape.samples, shape.pad)


def _damage(source: FileSource) -> str | None:
    return f"{source.name}: {source.fault}; copy the file again" if source.fault else None
