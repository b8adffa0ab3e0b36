"""Window vectors and levels of recordings, of mixtures of two, and of noise, by an audio tower."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edgeapp.audio.cutting import Cutting
from edgeapp.audio.file import load
from edgeapp.audio.windows import REPEAT, fill, level_dbfs
from gallery import DecisionParameters, Vocabulary, pooled, recognise
from gallery.recognition import MOST_SPECIES
from trainer.data.samples import taxa_of
from trainer.data.sounds import Sounds, each_whole
from trainer.data.windows import recording_windows
from trainer.errors import DataError
from trainer.models.vita import SoundTower

SILENCE_DBFS = -85.0  # the quietest usable starter recording has -74, dithered 16-bit silence about -93
NOISE_WINDOWS = 64
NOISE_RMS = 0.1
SECOND_DB = (-6.0, 0.0)  # level of the second recording in a mixture, relative to the first
FIELD_DB = (-20.0, -10.0)  # level of the field noise under a mixture
LEVEL_RMS = 0.05  # of a mixture


@dataclass(frozen=True)
class Heard:
    """Recordings as window vectors.

    Attributes
    ----------
    windows : [n_windows, dim] of each recording
    levels : [n_windows] dBFS of each recording
    taxon : [recordings]; [recordings, 2] of mixtures
    """

    windows: list[np.ndarray]
    levels: list[np.ndarray]
    taxon: np.ndarray

    def __len__(self) -> int:
        return len(self.windows)

    def of(self, mask: np.ndarray) -> Heard:
        """The recordings where `mask` [recordings] is true."""
        rows = np.flatnonzero(mask).tolist()
        return Heard([self.windows[row] for row in rows], [self.levels[row] for row in rows], self.taxon[rows])


@torch.no_grad()
def hear(
    audio: SoundTower,
    sounds: Sounds,
    cutting: Cutting,
    device: torch.device,
    done: Callable[[int], None] = lambda recordings: None,
) -> Heard:
    """Embed recordings window by window, as the device cuts them.

    Parameters
    ----------
    audio : the tower
    sounds : recordings at any rate
    cutting : what the tower wants to hear
    done : called with the number of recordings just done

    Raises
    ------
    DataError
        None could be decoded.
    """
    vectors, levels, rows = [], [], []
    for row, sound in each_whole(sounds):
        windows = recording_windows(sound, sounds.rate_hz, cutting)
        vectors.append(audio(torch.from_numpy(windows).to(device)).cpu().numpy())
        levels.append(np.array([level_dbfs(window) for window in windows]))
        rows.append(row)
        done(1)
    if not rows:
        raise DataError("none of the held-out recordings could be decoded", "copy the files again")
    return Heard(vectors, levels, taxa_of(sounds.samples)[rows])


@torch.no_grad()
def hear_mixtures(
    audio: SoundTower,
    sounds: Sounds,
    field: Sequence[np.ndarray],
    samples: int,
    count: int,
    seed: int,
    device: torch.device,
    pad: str = REPEAT,
    done: Callable[[int], None] = lambda mixtures: None,
) -> Heard:
    """Embed windows with two recordings of different taxa at once, over field noise.

    Each recording gives a random excerpt, padded as on the device if it is shorter; the second has the level of the
    first or is up to 6 dB quieter, the field noise 10 to 20 dB.

    Parameters
    ----------
    field : recordings of field noise [samples] at the rate of the sounds; may be empty
    samples : length of a window
    count : number of mixtures; none are made without two taxa
    """
    rng = np.random.default_rng(seed)
    whole = [(sound, int(taxa_of(sounds.samples)[row])) for row, sound in each_whole(sounds)]
    vectors: list[np.ndarray] = []
    levels: list[np.ndarray] = []
    taxa: list[tuple[int, int]] = []
    if len({taxon for _, taxon in whole}) < 2:
        count = 0
    while len(vectors) < count:
        first, second = (whole[row] for row in rng.integers(0, len(whole), 2))
        if first[1] == second[1]:
            continue
        mixed = mixture(first[0], second[0], field, samples, SECOND_DB, rng, pad)
        vectors.append(audio(torch.from_numpy(mixed[None]).to(device)).cpu().numpy())
        levels.append(np.array([level_dbfs(mixed)]))
        taxa.append((first[1], second[1]))
        done(1)
    return Heard(vectors, levels, np.array(taxa, np.int64).reshape(-1, 2))


@torch.no_grad()
def hear_noise(audio: SoundTower, samples: int, seed: int, device: torch.device) -> Heard:
    """Embed windows of coloured noise, from rain (flat) to wind (1/f^2)."""
    rng = np.random.default_rng(seed)
    frequency = np.arange(1, samples // 2 + 2)
    vectors, levels = [], []
    for colour in np.linspace(0.0, 2.0, NOISE_WINDOWS):
        spectrum = np.fft.rfft(rng.standard_normal(samples)) * frequency ** (-colour / 2)
        noise = np.fft.irfft(spectrum, samples).astype(np.float32)
        noise *= NOISE_RMS / noise.std()
        vectors.append(audio(torch.from_numpy(noise[None]).to(device)).cpu().numpy())
        levels.append(np.array([level_dbfs(noise)]))
    return Heard(vectors, levels, np.zeros((NOISE_WINDOWS, 0), np.int64))


def field_noise(folder: Path | None, rate_hz: int) -> list[np.ndarray]:
    """Field recordings [samples] of a folder at a sampling rate, in the order of their names."""
    files = sorted(folder.glob("maad_*.flac")) if folder else []
    return [load(file, rate_hz) for file in files]


def mixture(
    first: np.ndarray,
    second: np.ndarray,
    field: Sequence[np.ndarray],
    samples: int,
    second_db: tuple[float, float],
    rng: np.random.Generator,
    pad: str,
) -> np.ndarray:
    """A window [samples] float32 with random excerpts of two recordings, over field noise if there is any.

    Parameters
    ----------
    second_db : range of the level of the second recording, relative to the first
    """
    mixed = stretch(first, samples, rng, pad) + gain(rng, second_db) * stretch(second, samples, rng, pad)
    if field:
        mixed = mixed + gain(rng, FIELD_DB) * stretch(field[int(rng.integers(len(field)))], samples, rng)
    return (mixed * (LEVEL_RMS / max(float(np.sqrt(np.square(mixed).mean())), 1e-9))).astype(np.float32)


def stretch(sound: np.ndarray, samples: int, rng: np.random.Generator, pad: str = REPEAT) -> np.ndarray:
    """A random excerpt [samples] of a recording with an RMS of 1, padded as on the device."""
    start = int(rng.integers(0, max(1, len(sound) - samples + 1)))
    cut = fill(sound[start : start + samples], samples, pad)
    return cut / max(float(np.sqrt(np.square(cut, dtype=np.float64).mean())), 1e-9)


def gain(rng: np.random.Generator, decibels: tuple[float, float]) -> float:
    return float(10 ** (rng.uniform(*decibels) / 20))


def identified(heard: Heard, vocabulary: Vocabulary, most: int = MOST_SPECIES) -> np.ndarray:
    """Confidences [recordings, taxa] of recordings, identified and pooled as on the device.

    Parameters
    ----------
    most : maximum number of species in a window; 1 if the recordings are known to have one, which is faster
    """
    return np.stack(
        [
            pooled(recognise(windows, levels, vocabulary, most=most), vocabulary)
            for windows, levels in zip(heard.windows, heard.levels, strict=True)
        ]
    )


def uncalibrated(modalities: Sequence[str], scale: float = 20.0) -> DecisionParameters:
    """Parameters before fitting: one scale for all modalities, and no null."""
    return DecisionParameters(
        scale=dict.fromkeys(modalities, scale),
        bias=dict.fromkeys(modalities, 0.0),
        weight=dict.fromkeys(modalities, 1.0),
        null_logit=-1e3,
        slope=1.0,
        offset=0.0,
        threshold=0.5,
        floor=0.5,  # more likely than not
        evidence=3.0,  # Bayes factor considered substantial (Kass and Raftery, JASA 1995)
        silence_dbfs=SILENCE_DBFS,
        pool_windows=3,
    )
