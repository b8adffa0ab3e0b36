"""Vectors of recordings by the audio encoder of a pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeapp.pack.format import Pack
from edgeapp.runtime.encoders import AudioEncoder
from gallery import Taxon
from trainer.data.manifest import Manifest, hold_out, read_manifest
from trainer.data.samples import Sample
from trainer.data.sounds import SoundStore
from trainer.evaluate import recording_vectors
from trainer.heard import Heard, hear
from trainer.models.vita import SoundTower
from trainer.trunk.photo_network import rows_of

Report = Callable[[Sequence[str]], None]


class PackAudio(SoundTower):
    """The audio graph of a pack as a tower: waveform [n, samples] to vectors [n, dim], of unit length with `unit`."""

    def __init__(self, pack: Pack, threads: int = 1, unit: bool = True) -> None:
        super().__init__()
        self.encoder, self.unit = AudioEncoder(pack, threads), unit

    def forward(self, waveform: Tensor) -> Tensor:
        vectors = torch.from_numpy(self.encoder.encode(waveform.cpu().numpy()))
        return (F.normalize(vectors, dim=-1) if self.unit else vectors).to(waveform.device)


def hear_samples(pack: Pack, samples: Sequence[Sample], threads: int, report: Report) -> tuple[Heard, list[Sample]]:
    """Window vectors of recordings, cut as on the device, and the samples that could be decoded.

    Raises
    ------
    DataError
        When none can be decoded.
    """
    spec = pack.audio
    sounds = SoundStore(
        samples, spec.rate_hz, threads=threads, pad=spec.pad, resampler=spec.resampler, offset=spec.offset
    )
    report([*sounds.undecodable, *sounds.damaged])
    heard = hear(PackAudio(pack, threads), sounds, spec.cutting, torch.device("cpu"))
    return heard, sounds.samples


def read_recordings(
    pack: Pack,
    data: Sequence[Path],
    media: Path | None,
    taxa: Sequence[Taxon],
    held_out: float,
    seed: int,
    threads: int,
    report: Report,
) -> tuple[Tensor, np.ndarray] | None:
    """Unit vectors [n, dim] of the training recordings of `taxa`, and their rows [n] in `taxa`.

    Parameters
    ----------
    held_out, seed : of the split by source
    report : called with one line for each recording that cannot be used

    Returns
    -------
    None if there are no such recordings.
    """
    manifest = read_manifest(list(data), None, media)
    report(manifest.missing)
    samples, _ = hold_out(manifest.recordings, held_out, seed)
    place = manifest_rows(manifest, taxa)
    kept = [sample for sample in samples if place[sample.taxon] >= 0]
    if not kept:
        return None
    heard = recording_vectors(hear_samples(pack, kept, threads, report)[0])
    return torch.from_numpy(heard.vectors.astype(np.float32)), place[heard.taxon]


def manifest_rows(manifest: Manifest, taxa: Sequence[Taxon]) -> np.ndarray:
    """Row in `taxa` of each taxon of a manifest, by any of its scientific names; -1 if it is not in `taxa`."""
    return rows_of([(taxon.scientific_name, *taxon.synonyms) for taxon in manifest.taxa], taxa)
