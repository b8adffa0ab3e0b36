"""Stage 2 of a preset with a given audio encoder: the image tower learns where the taxa it shows sound (AIC + ITC)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.data.manifest import draw_epoch
from trainer.data.pictures import PictureStore
from trainer.losses import accuracy, soft_cross_entropy
from trainer.models.photo import PhotoTower
from trainer.models.vita import Vita
from trainer.presets import StageConfig
from trainer.ranks import Ranks, gathered
from trainer.stages.stage import Batch, Metrics, Rows, Stateless, draws, in_batches, scale_of
from trainer.trunk.photo_network import PhotoClasses
from trainer.trunk.relatives import Relatives
from trainer.trunk.resemblance import MadeFeatures

MADE = 3  # features that stand for classes of the photo network, for each photo of a batch


class ClassPhotos(Stateless):
    """AIC + ITC against class vectors and names that are at rest: no recording takes part.

    Half of what is learned from are photos of the taxa, through the network; the others are made features of the photo
    network's own classes, so that what it knows is not forgotten for the few taxa that have photos.

    Parameters
    ----------
    pictures : photos; `photo_taxa` [n] the taxon of each
    names : [taxa, dim] unit vectors of the text tower
    """

    def __init__(
        self,
        name: str,
        model: Vita,
        config: StageConfig,
        relatives: Relatives,
        pictures: PictureStore,
        photo_taxa: np.ndarray,
        classes: PhotoClasses,
        made: MadeFeatures,
        names: Tensor,
        device: torch.device,
    ) -> None:
        self.name, self.model, self.config, self.device = name, model, config, device
        self.tower = cast(PhotoTower, model.image)
        self.relatives, self.pictures, self.made = relatives, pictures, made
        self.photo_taxa, self.classes = photo_taxa, classes
        self.placed = np.flatnonzero(classes.taxa >= 0)
        self.sounds = torch.from_numpy(relatives.vectors).to(device)
        self.names = names.to(device)

    def pretrained(self) -> list[nn.Module]:
        return [self.tower.trunk, self.tower.resemblance]

    def fresh(self) -> list[nn.Module]:
        return [self.tower.places, self.tower.projection]

    def scales(self) -> list[nn.Parameter]:
        return []

    def plan(self, rng: np.random.Generator, ranks: Ranks) -> list[Rows]:
        c = self.config
        rows = draw_epoch(self.pictures.samples, c.most_per_taxon, c.least_per_taxon, rng)
        return in_batches(rows, c.batch * ranks.world, ranks.world)

    def feed(self, plan: list[Rows], seed: int, ranks: Ranks) -> Iterator[Batch]:
        for number, rows in enumerate(plan):
            part = ranks.part(len(rows))
            yield Batch(rows[part], len(rows), part, draws(seed, number))

    def loss(self, batch: Batch, epoch: float, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        c, scale = self.config, scale_of(self.model.logit_scale, self.config)
        shown = self.tower(self.pictures.views(batch.rows, generator).to(self.device))
        rows = self.placed[batch.rng.integers(len(self.placed), size=MADE * batch.size)]
        rows = rows[MADE * batch.part.start : MADE * batch.part.stop]
        made = self.tower.place(self.made.draw(rows, batch.rng).to(self.device))
        taxa = np.concatenate([self.photo_taxa[batch.rows], self.classes.taxa[rows]])
        images = gathered(torch.cat([shown, made]))
        targets = gathered(torch.from_numpy(self.relatives.targets(taxa)).to(self.device))
        similarity = images @ self.sounds.t()
        aic = soft_cross_entropy(similarity * scale, targets, c.smoothing)
        itc = soft_cross_entropy(images @ self.names.t() * scale, targets, c.smoothing)
        return aic + c.lambda_top * itc, {
            "aic": float(aic.detach()),
            "itc": float(itc.detach()),
            "accuracy": accuracy(similarity, targets),
        }


@torch.no_grad()
def features_of(tower: PhotoTower, pictures: PictureStore, views: int, seed: int, device: torch.device) -> np.ndarray:
    """Features [photos, views, 1280] of each photo as the device sees it, and of random views of it."""
    generator = torch.Generator().manual_seed(seed)
    tower.eval()
    every, kept = list(range(len(pictures))), []
    for start in range(0, len(every), 32):
        rows = every[start : start + 32]
        seen = [pictures.centre(rows), *(pictures.views(rows, generator) for _ in range(views - 1))]
        kept.append(torch.stack([tower.trunk(one.to(device)).cpu() for one in seen], dim=1))
    return torch.cat(kept).numpy()


@torch.no_grad()
def photos_found(vectors: Tensor, taxa: np.ndarray, prototypes: Tensor) -> dict[str, float]:
    """Share of photos whose taxon is among the first 1 and 5 of all taxa by class vector.

    Parameters
    ----------
    vectors : [n, dim] of photos; taxa : [n]; prototypes : [taxa, dim]
    """
    similarity = F.normalize(vectors, dim=-1) @ prototypes.t()
    right = similarity.gather(1, torch.from_numpy(taxa).to(similarity.device)[:, None])
    position = (similarity > right).sum(dim=1)
    return {f"image_class_top{top}": round(float((position < top).float().mean()), 4) for top in (1, 5)}
