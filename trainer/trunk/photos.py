"""Photos and initial image tower of stage 2 of a preset in the space of a pack."""

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
from trainer.trunk.recordings import manifest_rows
from trainer.trunk.relatives import Relatives
from trainer.trunk.resemblance import SyntheticFeatures, added_groups, begin, fit_groups, shares_of, target_vectors

VIEWS = 4  # of each photo, for the initial tower
MIN_PHOTOS = 2  # to estimate their covariance

Report = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class Photos:
    """Photos of taxa with a class vector, and the taxon [n] of each."""

    pictures: PictureStore
    taxa: np.ndarray


def read_photos(
    data: Sequence[Path],
    media: Path | None,
    taxa: Sequence[Taxon],
    held_out: float,
    seed: int,
    size: int,
    report: Report,
) -> tuple[Photos, Photos]:
    """Photos of `taxa` to train on, and held-out ones; those of other taxa are not read.

    Raises
    ------
    DataError
        When there are too few to train on.
    """
    paths = list(data) or [default_manifest()]
    manifest = read_manifest(paths, None, media)
    report(manifest.missing)
    place = manifest_rows(manifest, taxa)
    parts = []
    for samples in hold_out(manifest.photos, held_out, seed):
        store = PictureStore([sample for sample in samples if place[sample.taxon] >= 0], size)
        report(store.undecodable)
        parts.append(Photos(store, np.array([place[sample.taxon] for sample in store.samples], np.int64)))
    learned, held = parts
    if len(learned.pictures) < MIN_PHOTOS:
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
    """Add an image tower that starts from the photo network to a model of stage 1, and make the stage that trains it.

    Parameters
    ----------
    prototypes, names : [taxa, dim] unit vectors of class vectors and of names
    pretrained : folder of the public weights; None for the one beside the project

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
    groups = added_groups(photos.taxa, classes.known, taxa)
    relatives = Relatives(taxa, prototypes, classes.known)
    towers = cast(TrunkTowers, preset.towers)
    sizes = dataclasses.replace(towers.photo, resembled=len(classes.taxa) + len(groups))
    tower = PhotoTower(sizes, towers.dim)
    load_given(tower.trunk, folder / NETWORK)
    tower.to(device)
    features = features_of(tower, photos.pictures, VIEWS, seed, device)
    synthetic = SyntheticFeatures(classes, features, photos.taxa)
    shares = np.stack([shares_of(int(taxon), groups, taxa) for taxon in photos.taxa])
    rows = fit_groups(classes, groups, synthetic, features, shares, seed)
    begin(tower, classes, rows, target_vectors(classes, groups, relatives))
    model.image = tower
    preset = dataclasses.replace(preset, towers=dataclasses.replace(towers, photo=sizes))
    config = preset.stages[name]
    stage = ClassPhotos(name, model, config, relatives, photos.pictures, photos.taxa, classes, synthetic, names, device)
    return stage, preset


def photo_metrics(model: Vita, photos: Photos, prototypes: np.ndarray, device: torch.device) -> dict[str, float]:
    """Share of photos that find the class vector of their taxon among all."""
    if not len(photos.pictures):
        return {}
    vectors = embed_pictures(model, photos.pictures, device)
    return photos_found(vectors, photos.taxa, torch.from_numpy(prototypes).to(device))
