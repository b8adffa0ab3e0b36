"""Photos for stage 2 of a preset with a given audio encoder: read, split and placed; what the stage begins with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from gallery import Taxon
from trainer.data.manifest import default_manifest, hold_out, read_manifest
from trainer.data.pictures import PictureStore, embed_pictures
from trainer.errors import DataError
from trainer.hub import default_pretrained
from trainer.models.mobilenet import load_given
from trainer.models.photo import PhotoTower
from trainer.models.trunk import TrunkTowers
from trainer.models.vita import Vita
from trainer.presets import Preset
from trainer.stages.class_photos import ClassPhotos, features_of, photos_found
from trainer.trunk.photo_network import NETWORK, read_photo_classes
from trainer.trunk.recordings import places
from trainer.trunk.relatives import Relatives
from trainer.trunk.resemblance import MadeFeatures, begin, fit_groups, lacking, shares_of
from trainer.trunk.resemblance import places as placed_rows

VIEWS = 4  # of each photo, that the tower begins with
LEAST = 2  # photos, to know by what photos differ

Say = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class Photos:
    """Photos of taxa with a class vector, and the taxon [n] of each."""

    pictures: PictureStore
    taxa: np.ndarray


def read_photos(
    data: Sequence[Path], media: Path | None, taxa: Sequence[Taxon], held_out: float, seed: int, size: int, say: Say
) -> tuple[Photos, Photos]:
    """Photos of grown animals to learn from, and those held out; of taxa that are none of `taxa`, no photo is read.

    Raises
    ------
    DataError
        When too few are left to learn from.
    """
    paths = list(data) or [default_manifest()]
    manifest = read_manifest(paths, None, media)
    say(manifest.missing)
    place = places(manifest, taxa)
    parts = []
    for samples in hold_out(manifest.photos, held_out, seed):
        store = PictureStore([sample for sample in samples if place[sample.taxon] >= 0], size)
        say(store.undecodable)
        parts.append(Photos(store, np.array([place[sample.taxon] for sample in store.samples], np.int64)))
    learned, held = parts
    if len(learned.pictures) < LEAST:
        raise DataError(f"{paths[0]}: has no photos of taxa with a class vector", "add rows with modality image")
    return learned, held


def photo_stage(
    name: str,
    model: Vita,
    preset: Preset,
    taxa: Sequence[Taxon],
    prototypes: np.ndarray,
    names: Tensor,
    photos: Photos,
    pretrained: Path | None,
    seed: int,
    device: torch.device,
) -> tuple[ClassPhotos, Preset]:
    """Give a model of stage 1 an image tower that begins with the photo network, and the stage that trains it.

    Parameters
    ----------
    prototypes, names : [taxa, dim] unit vectors of their sound and of their names
    pretrained : folder of the public weights; None is the one beside the project

    Returns
    -------
    The stage, and the preset with the sizes of the tower.

    Raises
    ------
    CheckpointError
        When the photo network or its labels are missing or damaged.
    """
    folder = pretrained or default_pretrained()
    classes = read_photo_classes(folder, list(taxa))
    groups = lacking(photos.taxa, classes.known, taxa)
    relatives = Relatives(taxa, prototypes)
    towers = cast(TrunkTowers, preset.towers)
    sizes = dataclasses.replace(towers.photo, resembled=len(classes.taxa) + len(groups))
    tower = PhotoTower(sizes, towers.dim)
    load_given(tower.trunk, folder / NETWORK)
    tower.to(device)
    features = features_of(tower, photos.pictures, VIEWS, seed, device)
    made = MadeFeatures(classes, features, photos.taxa)
    shares = np.stack([shares_of(int(taxon), groups, taxa) for taxon in photos.taxa])
    rows = fit_groups(classes, groups, made, features, shares, seed)
    begin(tower, classes, rows, placed_rows(classes, groups, relatives))
    model.image = tower
    preset = dataclasses.replace(preset, towers=dataclasses.replace(towers, photo=sizes))
    config = preset.stages[name]
    stage = ClassPhotos(name, model, config, relatives, photos.pictures, photos.taxa, classes, made, names, device)
    return stage, preset


def photo_metrics(model: Vita, photos: Photos, prototypes: np.ndarray, device: torch.device) -> dict[str, float]:
    """How many photos find the class vector of their taxon, among all."""
    if not len(photos.pictures):
        return {}
    vectors = embed_pictures(model, photos.pictures, device)
    return photos_found(vectors, photos.taxa, torch.from_numpy(prototypes).to(device))
