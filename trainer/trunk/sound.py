"""Embeddings of recordings, mixtures and noise by a pack's audio encoder, cached in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from edgeapp.audio.windows import level_dbfs
from edgeapp.pack.format import Pack
from gallery.files import replacing
from trainer.data.manifest import source_codes
from trainer.data.samples import Sample
from trainer.data.sounds import Sounds, SoundStore, each_whole
from trainer.errors import DataError
from trainer.heard import Heard, hear, hear_noise, mixture
from trainer.trunk.recordings import PackAudio, Report

KEPT = ("taxon", "source", "mixtures", "pairs", "noise", "decoded")
SECOND_DB = (-3.0, 3.0)  # level of the second recording in a mixture, relative to the first


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings, not normalised, of recordings, mixtures and noise.

    Attributes
    ----------
    windows : [n_windows, dim] of each recording
    levels : [n_windows] dBFS of each recording
    taxon, source : [recordings]; recordings of one source stay on one side of a split
    mixtures : [mixtures, dim]
    pairs : [mixtures, 2] recordings in each mixture
    noise : [n, dim] coloured noise and windows of field noise
    decoded : [samples] bool, which of the given samples could be decoded
    """

    windows: list[np.ndarray]
    levels: list[np.ndarray]
    taxon: np.ndarray
    source: np.ndarray
    mixtures: np.ndarray
    pairs: np.ndarray
    noise: np.ndarray
    decoded: np.ndarray

    def __len__(self) -> int:
        return len(self.windows)

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Embedded:
        """The same with a function applied to all vectors [n, dim]."""
        ends = np.cumsum([len(of_one) for of_one in self.windows])[:-1]
        windows = np.split(change(np.concatenate(self.windows)), ends)
        return replace(self, windows=windows, mixtures=change(self.mixtures), noise=change(self.noise))

    def save(self, path: Path) -> None:
        """Write to a file."""
        with replacing(path) as part, part.open("wb") as file:
            np.savez(
                file,
                windows=np.concatenate(self.windows),
                levels=np.concatenate(self.levels),
                counts=[len(of_one) for of_one in self.windows],
                **{name: getattr(self, name) for name in KEPT},
            )

    @classmethod
    def load(cls, path: Path) -> Embedded:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            It cannot be read.
        """
        try:
            with np.load(path) as file:
                ends = np.cumsum(file["counts"])[:-1]
                rest = {name: file[name] for name in KEPT}
                return cls(np.split(file["windows"], ends), np.split(file["levels"], ends), **rest)
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error})", "delete it; it is rebuilt") from error


def embed(
    pack: Pack,
    samples: Sequence[Sample],
    field: Sequence[np.ndarray],
    mixtures: int,
    seed: int,
    threads: int,
    report: Report,
) -> Embedded:
    """Embed recordings, and mixtures of those whose taxon has several sources.

    Parameters
    ----------
    field : recordings of field noise at the pack's rate, to mix under mixtures
    mixtures : number of mixtures
    report : called with one line for each recording that cannot be used
    """
    spec, processor = pack.audio, torch.device("cpu")
    tower = PackAudio(pack, threads, unit=False)
    heard, sounds = hear_windows(tower, samples, threads, report)
    source = source_codes(sounds.samples)
    rng = np.random.default_rng(seed)
    mixed, pairs = mix(tower, sounds, field, several_sources(heard.taxon, source), mixtures, spec.pad, rng)
    coloured = hear_noise(tower, spec.window_samples, seed, processor)
    outdoors = [
        tower.encoder.encode(one[None, start : start + spec.window_samples])
        for one in field
        for start in range(0, len(one) - spec.window_samples + 1, spec.window_samples)
    ]
    noise = np.concatenate([*coloured.windows, *outdoors])
    usable = {id(sample) for sample in sounds.samples}
    decoded = np.array([id(sample) in usable for sample in samples])
    return Embedded(heard.windows, heard.levels, heard.taxon, source, mixed, pairs, noise, decoded)


def hear_windows(tower: PackAudio, samples: Sequence[Sample], threads: int, report: Report) -> tuple[Heard, SoundStore]:
    """Window vectors of recordings, and those that could be decoded, in the same order."""
    spec = tower.encoder.spec
    sounds = SoundStore(
        samples, spec.rate_hz, threads=threads, pad=spec.pad, resampler=spec.resampler, offset=spec.offset
    )
    report([*sounds.undecodable, *sounds.damaged])
    return hear(tower, sounds, spec.cutting, torch.device("cpu")), sounds


def several_sources(taxon: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Rows [n] of the recordings whose taxon has more than one source."""
    return np.array([row for row in range(len(taxon)) if len(set(source[taxon == taxon[row]])) > 1], np.int64)


def mix(
    tower: PackAudio,
    sounds: Sounds,
    field: Sequence[np.ndarray],
    rows: np.ndarray,
    count: int,
    pad: str,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Mixtures of two recordings of different taxa: vectors [count, dim] and rows of the recordings [count, 2]."""
    samples = tower.encoder.spec.window_samples
    whole = dict(each_whole(sounds))
    rows = np.array([row for row in rows if row in whole])
    taxon = np.array([sample.taxon for sample in sounds.samples])
    if len(set(taxon[rows].tolist())) < 2:
        raise DataError("mixtures need two taxa with several sources", "add recordings")
    vectors: list[np.ndarray] = []
    pairs: list[tuple[int, int]] = []
    while len(vectors) < count:
        first, second = (int(row) for row in rng.choice(rows, 2))
        if taxon[first] == taxon[second]:
            continue
        mixed = mixture(whole[first], whole[second], field, samples, SECOND_DB, rng, pad)
        if np.isfinite(level_dbfs(mixed)):
            vectors.append(tower.encoder.encode(mixed[None])[0])
            pairs.append((first, second))
    return np.stack(vectors), np.array(pairs, np.int64)
