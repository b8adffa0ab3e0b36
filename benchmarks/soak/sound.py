"""Sound of the test: songs of known species with quiet noise between them, and their times."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.soak.plan import NIGHT

RATE_HZ = 48_000
NOISE = 0.001  # -60 dBFS: a quiet night
SONG_S = (20.0, 30.0)
BLOCK_S = 10.0  # length of the repeated noise


@dataclass(frozen=True)
class Song:
    """A recording and its taxon."""

    taxon: str
    samples: np.ndarray

    @classmethod
    def read(cls, path: Path, taxon: str) -> Song:
        """A recording at `RATE_HZ`, mono, as 16-bit integers."""
        samples, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
        if rate_hz != RATE_HZ:
            raise SystemExit(f"{path}: has {rate_hz} Hz; give a recording at {RATE_HZ} Hz")
        return cls(taxon, np.ascontiguousarray(samples[:, 0]))


@dataclass(frozen=True)
class Played:
    """One song, with its position in all sound played."""

    taxon: str
    start_s: float
    end_s: float


class Programme:
    """An endless programme, reproducible by its seed.

    Parameters
    ----------
    songs : sequence of Song
    seed : int
    between_s : tuple of float
        Shortest and longest time between songs.
    """

    def __init__(self, songs: Sequence[Song], seed: int, between_s: tuple[float, float] = NIGHT) -> None:
        self._songs = songs
        self._between_s = between_s
        self._random = random.Random(seed)
        noise = np.random.default_rng(seed).standard_normal(round(BLOCK_S * RATE_HZ))
        self._noise = (noise * NOISE * 32_767).astype(np.int16)
        self._held = np.zeros(0, np.int16)
        self._made = 0
        self._given = 0
        self.played: list[Played] = []

    @property
    def position_s(self) -> float:
        """Length of the sound returned so far."""
        return self._given / RATE_HZ

    def next(self, seconds: float) -> np.ndarray:
        """The next seconds of sound, ``[n]`` int16 at `RATE_HZ`."""
        n = round(seconds * RATE_HZ)
        while len(self._held) < n:
            self._held = np.concatenate([self._held, self._piece()])
        given, self._held = self._held[:n], self._held[n:]
        self._given += n
        return given

    def songs(self) -> list[Played]:
        """The songs returned completely."""
        return [song for song in self.played if song.end_s <= self.position_s]

    def pieces(self) -> list[tuple[str, np.ndarray]]:
        """The next stretch of noise, and the next song with its taxon."""
        night = np.resize(self._noise, round(self._random.uniform(*self._between_s) * RATE_HZ))
        song = self._random.choice(self._songs)
        return [("", night), (song.taxon, np.resize(song.samples, round(self._random.uniform(*SONG_S) * RATE_HZ)))]

    def _piece(self) -> np.ndarray:
        (_, night), (taxon, sung) = self.pieces()
        start = self._made + len(night)
        self._made = start + len(sung)
        self.played.append(Played(taxon, start / RATE_HZ, self._made / RATE_HZ))
        return np.concatenate([night, sung])
