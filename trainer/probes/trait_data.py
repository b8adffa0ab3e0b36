"""Vectors with their species for the trait probe: from a file, a benchmark, or a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gallery.files import replacing
from trainer.benchmark.features import read_features
from trainer.benchmark.layout import read_benchmark
from trainer.data.manifest import Manifest, Sample, draw_epoch
from trainer.errors import DataError
from trainer.probes.encode import encode
from trainer.probes.labelled import read_named

MODALITIES = ("audio", "image")
SPECIES = "{}_species"  # array of names in a file
MOST = 30  # samples per species, as in an epoch of AnimalCLAP
BATCH = 16  # files


@dataclass(frozen=True)
class Named:
    """Vectors [n, dim] of one modality and the scientific name [n] of each."""

    species: list[str]
    vectors: np.ndarray


@dataclass(frozen=True)
class TraitData:
    """Input of the probe.

    Attributes
    ----------
    parts : modality -> vectors
    notes : samples that were left out, one line each
    remarks : other remarks, one line each
    """

    parts: dict[str, Named]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def from_file(path: Path) -> TraitData:
    """Read a `.npz` with audio [n, dim] and audio_species [n], image and image_species, or one of the two.

    Raises
    ------
    DataError
        The file cannot be used.
    """
    found = {name: read_named(path, name, SPECIES.format(name)) for name in MODALITIES}
    parts = {name: Named(*part) for name, part in found.items() if part is not None}
    if not parts:
        raise DataError(f"{path}: has neither audio nor image", "save them with their species, such as audio_species")
    return TraitData(parts)


def from_benchmark(path: Path, root: Path) -> TraitData:
    """Features of BioVITA Bench, with the species of their ids in its indexes.

    Raises
    ------
    DataError
        The features belong to another benchmark.
    """
    features, splits = read_features(path), read_benchmark(root)
    chosen = [split for split in splits if split.name == features.split] if features.split else splits
    if len(chosen) != 1:
        names = ", ".join(split.name for split in splits)
        raise DataError(f"{path}: of split '{features.split}', and {root} has {names}", "name the root of its split")
    parts: dict[str, Named] = {}
    notes: list[str] = []
    for name in MODALITIES:
        part, index = features.parts.get(name), chosen[0].indexes.get(name)
        if part is None or index is None or not len(part):
            continue
        species_of = dict(zip(index.ids.tolist(), index.names["species"].tolist()))
        species = [species_of.get(one, "") for one in part.ids.tolist()]
        known = np.array([bool(one) for one in species])
        if not known.any():
            raise DataError(f"{path}: no id of '{name}' is in {index.path}", "give the features of this benchmark")
        if not known.all():
            notes.append(f"{path}: {int((~known).sum())} ids of '{name}' have no species in {index.path.name}")
        parts[name] = Named([one for one in species if one], part.vectors[known])
    if not parts:
        raise DataError(f"{path}: has neither audio nor image of {root}", "give the features of this benchmark")
    return TraitData(parts, tuple(notes))


def from_manifest(
    encoder: Any, manifest: Manifest, seed: int, most: int = MOST, done: Callable[[int], None] = lambda files: None
) -> TraitData:
    """Encode a data set: at most `most` recordings and `most` photos of each species, drawn with a seed.

    Parameters
    ----------
    encoder : has `audio(paths)` and `images(paths)`; one of them may give None

    Raises
    ------
    DataError
        Nothing can be encoded.
    """
    parts: dict[str, Named] = {}
    notes: list[str] = []
    sides: tuple[tuple[str, Sequence[Sample], Any], ...] = (
        ("audio", manifest.recordings, encoder.audio),
        ("image", manifest.photos, encoder.images),
    )
    for name, samples, embed in sides:
        rows = sorted(draw_epoch(samples, most, 1, np.random.default_rng(seed)))
        chosen = [samples[row] for row in rows]
        encoded = encode(embed, [one if one.size is not None else one.path for one in chosen], BATCH, done)
        if encoded is None:
            continue
        kept, vectors, faults = encoded
        notes += faults
        if kept.any():
            taxa = [one.taxon for one, has in zip(chosen, kept) if has]
            parts[name] = Named([manifest.taxa[taxon].scientific_name for taxon in taxa], vectors)
    if not parts:
        raise DataError(f"{manifest.path}: nothing could be encoded", (notes or [""])[0])
    return TraitData(parts, (*manifest.missing, *notes), manifest.notes)


def write(path: Path, data: TraitData) -> None:
    """Write a `.npz` for `from_file`, atomically."""
    arrays: dict[str, np.ndarray] = {}
    for name, part in data.parts.items():
        arrays |= {name: part.vectors, SPECIES.format(name): np.array(part.species)}
    with replacing(path, parents=True) as beside, beside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
