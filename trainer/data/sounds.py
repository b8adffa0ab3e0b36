"""Recordings in memory, and random windows of them for training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from edgeapp.audio.centred import REMOVED
from edgeapp.audio.microphones.complaints import overheard
from edgeapp.audio.resample import SOXR
from edgeapp.audio.windows import REPEAT, fill
from gallery.errors import BiovitaError
from trainer.data.crop import whole
from trainer.data.manifest import Sample
from trainer.data.media import opened
from trainer.errors import DataError

PEAK = 32767  # recordings are stored as 16-bit integers scaled to their own peak, so that quiet ones keep precision


class Sounds(Protocol):
    """Recordings to train on, in memory or on disk."""

    @property
    def samples(self) -> Sequence[Sample]: ...

    @property
    def rate_hz(self) -> int: ...

    @property
    def undecodable(self) -> list[str]:
        """One line for each recording that cannot be used."""
        ...

    @property
    def damaged(self) -> list[str]:
        """One line for each recording that ends early."""
        ...

    def __len__(self) -> int: ...

    def whole(self, row: int) -> np.ndarray:
        """A recording [samples] float32."""
        ...

    def crops(
        self, batches: Sequence[list[int]], samples: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generator[tuple[list[int], np.ndarray], None, None]:
        """Random windows of this process's part of each joint batch.

        Parameters
        ----------
        batches : rows of the samples of all processes, each a multiple of `world`
        samples : length of a window
        seed : a window depends on the seed, the number of its batch and its position in the batch

        Yields
        ------
        For each batch the rows that were used and their windows [n, samples] float32.
        """
        ...


class SoundStore:
    """Decoded recordings, mono at one rate, as [samples] int16.

    Parameters
    ----------
    samples : the recordings of the manifest
    rate_hz : the rate of the front end
    done : called after each recording, for a progress bar
    pad : how a recording shorter than a window fills it, as on the device
    resampler, offset : see `trainer.data.crop.Shape`

    Attributes
    ----------
    samples : those that could be decoded
    undecodable : one line for each that could not
    damaged : one line for each that ends early; the part that could be decoded is used

    Raises
    ------
    DataError
        When none can be decoded.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        rate_hz: int,
        done: Callable[[], None] = lambda: None,
        threads: int = 2,
        pad: str = REPEAT,
        resampler: str = SOXR,
        offset: str = REMOVED,
    ) -> None:
        self.rate_hz, self.pad = rate_hz, pad
        self.undecodable: list[str] = []
        self.damaged: list[str] = []
        self.samples: list[Sample] = []
        self._sound: list[np.ndarray] = []

        def decoded(sample: Sample) -> np.ndarray | str:
            try:
                with opened(sample) as file:
                    sound, damage = whole(file, rate_hz, resampler, offset)
                if damage:
                    self.damaged.append(damage)
                return quantised(sound)
            except BiovitaError as error:
                return str(error)
            finally:
                done()

        with overheard(), ThreadPoolExecutor(threads) as pool:  # an MP3 decoder reports damage that it skips
            for sample, sound in zip(samples, pool.map(decoded, samples)):
                if isinstance(sound, str):
                    self.undecodable.append(sound)
                else:
                    self.samples.append(sample)
                    self._sound.append(sound)
        self.damaged.sort()  # threads finish in any order
        if not self.samples:
            raise DataError("none of the recordings could be decoded", self.undecodable[0] if self.undecodable else "")

    def __len__(self) -> int:
        return len(self.samples)

    def joined(self, other: SoundStore) -> SoundStore:
        """Both stores as one; the audio is not copied."""
        both = copy.copy(self)
        both.samples, both._sound = self.samples + other.samples, self._sound + other._sound
        both.undecodable, both.damaged = self.undecodable + other.undecodable, self.damaged + other.damaged
        return both

    def whole(self, row: int) -> np.ndarray:
        """The recording [samples] float32, peak at full scale."""
        return self._sound[row].astype(np.float32) / PEAK

    def crops(
        self, batches: Sequence[list[int]], samples: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generator[tuple[list[int], np.ndarray], None, None]:
        """As `Sounds.crops`."""
        for number, batch in enumerate(batches):
            each = len(batch) // world
            mine = range(rank * each, (rank + 1) * each)
            windows = [self.crop(batch[at], samples, np.random.default_rng([seed, number, at])) for at in mine]
            yield [batch[at] for at in mine], np.stack(windows)

    def crop(self, row: int, samples: int, rng: np.random.Generator) -> np.ndarray:
        """A random window [samples] float32; a shorter recording fills it as on the device."""
        sound = self._sound[row]
        if len(sound) > samples:
            start = int(rng.integers(len(sound) - samples + 1))
            window = sound[start : start + samples]
        else:
            rolled = np.roll(sound, -int(rng.integers(len(sound)))) if self.pad == REPEAT else sound
            window = fill(rolled, samples, self.pad)
        return window.astype(np.float32) / PEAK


def each_whole(sounds: Sounds) -> Iterator[tuple[int, np.ndarray]]:
    """Row and sound of every recording that can be decoded; the others are added to `undecodable`."""
    for row in range(len(sounds)):
        try:
            sound = sounds.whole(row)
        except DataError:
            continue
        yield row, sound


def quantised(sound: np.ndarray) -> np.ndarray:
    """Float samples as int16, scaled to their own peak."""
    peak = float(np.abs(sound).max())
    return np.round(sound * (PEAK / peak)).astype(np.int16) if peak > 0 else np.zeros(len(sound), np.int16)
