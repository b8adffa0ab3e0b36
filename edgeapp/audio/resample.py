"""Resampling of any source in constant memory, the same on the device and in training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from edgeapp.audio.sinc import SincStream
from edgeapp.audio.source import AudioSource, Block, WrappedSource

SOXR, SINC = RESAMPLERS = ("soxr", "sinc")

QUALITY = (
    "HQ"  # soxr: 20-bit, pass band to 0.91 of the lower Nyquist frequency; what it adds is far below any microphone
)


class Stream(Protocol):
    """A resampler of one stream of mono sound."""

    def resample_chunk(self, x: np.ndarray, /, last: bool = False) -> np.ndarray:
        """Take the next samples; give those that can be made."""
        ...


class ResampledSource(WrappedSource):
    """A source seen at another rate; see `resampled`."""

    def __init__(self, source: AudioSource, rate_hz: int, resampler: str = SOXR) -> None:
        super().__init__(source)
        self._rate_hz = rate_hz
        self.resampler = resampler

    @property
    def rate_hz(self) -> int:
        """The new rate."""
        return self._rate_hz

    def blocks(self) -> Iterator[Block]:
        """Give the sound at the new rate; the clock starts where the source's clock starts."""
        stream = self._stream()
        position: int | None = None
        for block in self.source.blocks():
            if position is None:
                position = round(block.start * self.rate_hz / self.source.rate_hz)
            samples = stream.resample_chunk(block.samples)
            if len(samples):
                yield Block(position, samples)
                position += len(samples)
        if position is not None:
            samples = stream.resample_chunk(np.zeros(0, np.float32), last=True)
            if len(samples):
                yield Block(position, samples)

    def _stream(self) -> Stream:
        if self.resampler == SINC:
            return SincStream(self.source.rate_hz, self.rate_hz)
        import soxr

        return soxr.ResampleStream(self.source.rate_hz, self.rate_hz, 1, dtype="float32", quality=QUALITY)


def resampled(source: AudioSource, rate_hz: int, resampler: str = SOXR) -> AudioSource:
    """See a source at another rate.

    Parameters
    ----------
    source : AudioSource
    rate_hz : int
        Rate wanted.
    resampler : str
        ``soxr``, or ``sinc`` for what was trained on sound resampled so, see `edgeapp.audio.sinc`.

    Returns
    -------
    AudioSource
        The source itself when it already has this rate.
    """
    return source if source.rate_hz == rate_hz else ResampledSource(source, rate_hz, resampler)
