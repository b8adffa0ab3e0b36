"""Cut sound into the windows of an encoder. Deterministic: the same sound always gives the same windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeapp.audio.source import AudioSource
from edgeapp.errors import AudioError

WINDOW_S = 10.0  # what BioVITA was trained on
HOP_S = 5.0  # every sound is well inside a window
FAR_BELOW = 10.0  # times the offset, below which a sound is measured without it
ROOM_WINDOWS = 4  # for so many windows, before what is still needed is copied
ROOM_SAMPLES = 1 << 20  # at least: NumPy asks for large pages from 4 MB on, which come whole
REPEAT, ZERO = PADS = ("repeat", "zero")  # how a sound shorter than a window fills it
MIN_CLIP_S = 0.5  # less than this is a click; filling a window with it would make a rattle


@dataclass(frozen=True)
class Level:
    """How loud a sound is.

    Attributes
    ----------
    mean : float
        Its offset: a cheap sound card's is not sound.
    rms : float
        Of the sound less its mean.
    """

    mean: float
    rms: float

    @classmethod
    def of(cls, samples: np.ndarray) -> Level:
        """Measure samples ``[n]``."""
        if not len(samples):
            return cls(0.0, 0.0)
        mean = float(samples.mean())
        power = _power(samples) - mean * mean
        if power < (FAR_BELOW * mean) ** 2:  # little is left of float32
            centred = samples - np.float32(mean)
            power = max(0.0, _power(centred) - float(centred.mean()) ** 2)
        return cls(mean, math.sqrt(power))

    @property
    def dbfs(self) -> float:
        """The RMS in dB re full scale: ``-inf`` for digital silence, -3.01 for a full-scale sine."""
        return 20.0 * math.log10(self.rms) if self.rms > 0.0 else -math.inf


@dataclass(frozen=True)
class Window:
    """The input of an encoder.

    Attributes
    ----------
    start_s, end_s : float
        Seconds on the source's clock; ``end_s`` is the true end of the sound, also when the window was filled.
    samples : np.ndarray
        ``[window_samples]`` float32 at the rate of the source it was cut from.
    first : int
        Number of the first sample on the source's clock.
    period : int
        After how many samples it repeats itself; 0 where it does not.
    """

    start_s: float
    end_s: float
    samples: np.ndarray
    first: int = 0
    period: int = 0

    @cached_property
    def level(self) -> Level:
        """How loud it is."""
        return Level.of(self.samples)


def windows(
    source: AudioSource,
    window_s: float = WINDOW_S,
    hop_s: float = HOP_S,
    min_clip_s: float = MIN_CLIP_S,
    pad: str = REPEAT,
) -> Iterator[Window]:
    """Cut a source into windows, in constant memory.

    Windows start at 0, ``hop_s``, 2 ``hop_s`` … as long as they fit. A tail that the last of them does not cover gets
    one more window, which ends where the sound ends. A source shorter than one window gives one window, made by
    `fill`.

    Parameters
    ----------
    source : AudioSource
        Already at the encoder's rate.
    window_s, hop_s, min_clip_s : float
        Seconds.

    Yields
    ------
    Window

    Raises
    ------
    AudioError
        No sound at all, less than ``min_clip_s`` of it, or a source that lost samples between two blocks.
    """
    rate_hz = source.rate_hz
    size = round(window_s * rate_hz)
    held = _Held(size)
    first = start = end = covered = count = 0

    def cut(start: int) -> Window:
        return Window(start / rate_hz, (start + size) / rate_hz, held.at(start, size), start)

    started = False
    for block in source.blocks():
        if not started:
            first = start = end = covered = held.origin = block.start
            started = True
        if block.start != end:
            raise AudioError(
                f"{source.name}: {block.start - end} samples are missing at {end / rate_hz:.1f} s",
                "a window never spans a gap: start a new source after it",
            )
        # The tail window needs the last `size` samples whatever the hop; the next regular one may start earlier.
        held.add(block.samples, needed=min(start, end - size))
        end = block.end
        while (start := first + round(count * hop_s * rate_hz)) + size <= end:
            yield cut(start)
            covered = start + size
            count += 1

    length = end - first
    if length == 0:
        raise AudioError(f"{source.name}: contains no samples", "give a recording that is not empty")
    if length < min_clip_s * rate_hz:
        raise AudioError(
            f"{source.name}: is only {length / rate_hz:.2f} s long", f"give at least {min_clip_s:g} s of sound"
        )
    if length < size:
        filled = fill(held.at(first, length), size, pad)
        yield Window(first / rate_hz, end / rate_hz, filled, first, length if pad == REPEAT else 0)
    elif covered < end:
        yield cut(end - size)


class _Held:
    """The sound that a window can still need, in one piece: windows are views of it, and nothing is written over.

    Attributes
    ----------
    origin : int
        Number of its first sample.
    """

    def __init__(self, size: int) -> None:
        self._room = max(ROOM_WINDOWS * size, ROOM_SAMPLES)
        self._samples = np.empty(0, np.float32)
        self._filled = 0
        self.origin = 0

    def add(self, samples: np.ndarray, needed: int) -> None:
        """Append samples; those before the number ``needed`` may go."""
        if self._filled + len(samples) > len(self._samples):
            dropped = max(0, needed - self.origin)
            kept = self._samples[dropped : self._filled]
            self._samples = np.empty(max(self._room, len(kept) + len(samples)), np.float32)
            self._samples[: len(kept)] = kept
            self.origin += dropped
            self._filled = len(kept)
        self._samples[self._filled : self._filled + len(samples)] = samples
        self._filled += len(samples)

    def at(self, start: int, n: int) -> np.ndarray:
        """The ``n`` samples from the number ``start`` on."""
        return self._samples[start - self.origin : start - self.origin + n]


def fill(samples: np.ndarray, n: int, pad: str = REPEAT) -> np.ndarray:
    """Make a short sound ``n`` samples long: repeated from its start ("repeatpad" of CLAP), or with zeros behind it.

    Parameters
    ----------
    samples : np.ndarray
        ``[m]`` with m > 0; when m >= n its first n samples are returned.
    n : int

    Returns
    -------
    np.ndarray
        ``[n]``, same type.
    """
    if len(samples) == 0:
        raise ValueError("cannot fill a window with no sound")
    if pad == ZERO:
        return np.concatenate([samples[:n], np.zeros(max(0, n - len(samples)), samples.dtype)])
    return np.tile(samples, math.ceil(n / len(samples)))[:n]


def _power(samples: np.ndarray) -> float:
    """Mean square; `np.dot` would be faster, and start threads of its own."""
    return float(np.einsum("i,i->", samples, samples)) / len(samples)


def level_dbfs(samples: np.ndarray) -> float:
    """`Level` of samples ``[n]`` in dB re full scale."""
    return Level.of(samples).dbfs
