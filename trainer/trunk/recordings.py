"""Recordings as the audio encoder of a pack hears them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgeapp.pack.format import Pack
from edgeapp.runtime.encoders import AudioEncoder
from gallery import Names, Taxon, TaxonError
from trainer.data.manifest import Manifest, hold_out, read_manifest
from trainer.data.samples import Sample
from trainer.data.sounds import SoundStore
from trainer.evaluate import recording_vectors
from trainer.heard import Heard, hear
from trainer.models.trunk import GivenAudio

Say = Callable[[Sequence[str]], None]


class PackAudio(GivenAudio):
    """The audio graph of a pack as a tower: waveform [n, samples] to unit vectors [n, dim]."""

    def __init__(self, pack: Pack, threads: int = 1) -> None:
        super().__init__()
        self.encoder = AudioEncoder(pack, threads)

    def forward(self, waveform: Tensor) -> Tensor:
        vectors = torch.from_numpy(self.encoder.encode(waveform.cpu().numpy()))
        return super().forward(vectors.to(waveform.device))


def hear_samples(pack: Pack, samples: Sequence[Sample], threads: int, say: Say) -> tuple[Heard, list[Sample]]:
    """Window vectors of recordings, cut as on the device, and the samples that could be decoded, in the same order.

    Raises
    ------
    DataError
        When not one can be decoded.
    """
    spec = pack.audio
    sounds = SoundStore(samples, spec.rate_hz, threads=threads)
    say([*sounds.undecodable, *sounds.damaged])
    heard = hear(
        PackAudio(pack, threads), sounds, spec.rate_hz, spec.window_s, torch.device("cpu"), spec.hop_s, spec.pad
    )
    return heard, sounds.samples


def read_recordings(
    pack: Pack,
    data: Sequence[Path],
    media: Path | None,
    taxa: Sequence[Taxon],
    held_out: float,
    seed: int,
    threads: int,
    say: Say,
) -> tuple[Tensor, np.ndarray] | None:
    """One unit vector [n, dim] for each recording to learn from, and its place [n] among `taxa`; others are left out.

    Parameters
    ----------
    held_out, seed : of the split by source, as of every other preset
    say : takes one line for each recording that cannot be used

    Returns
    -------
    None when no recording is of any of the taxa.
    """
    manifest = read_manifest(list(data), None, media)
    say(manifest.missing)
    samples, _ = hold_out(manifest.recordings, held_out, seed)
    place = places(manifest, taxa)
    kept = [sample for sample in samples if place[sample.taxon] >= 0]
    if not kept:
        return None
    heard = recording_vectors(hear_samples(pack, kept, threads, say)[0])
    return torch.from_numpy(heard.vectors.astype(np.float32)), place[heard.taxon]


def places(manifest: Manifest, taxa: Sequence[Taxon]) -> np.ndarray:
    """Row in `taxa` of each taxon of a manifest, found by any of its scientific names; -1 where it is none of them."""
    names = Names(taxa)
    row_of = {taxon.scientific_name: row for row, taxon in enumerate(taxa)}
    found = np.full(len(manifest.taxa), -1, np.int64)
    for number, taxon in enumerate(manifest.taxa):
        for name in (taxon.scientific_name, *taxon.synonyms):
            try:
                found[number] = row_of[names.find(name, suggest=False).scientific_name]
                break
            except TaxonError:
                continue
    return found
