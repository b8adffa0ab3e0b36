"""Stage 2 of a preset in the space of a pack: train the image tower against class vectors and names (AIC + ITC)."""

from __future__ import annotations

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
from trainer.stages.stage import Batch, Metrics, Rows, Stateless, in_batches, scale_of
from trainer.trunk.photo_network import PhotoClasses
from trainer.trunk.relatives import Relatives
from trainer.trunk.resemblance import SyntheticFeatures

SYNTHETIC = 3  # synthetic features of classes of the photo network, per photo of a batch


class ClassPhotos(Stateless):
    """AIC + ITC against fixed class vectors and names, without recordings.

    A batch has photos of the taxa, and synthetic features of the photo network's own classes (see `SYNTHETIC`), so that
    the network does not forget the classes that have no photos here.

    Parameters
    ----------
    pictures : photos
    photo_taxa : [n] taxon of each photo
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
        synthetic: SyntheticFeatures,
        names: Tensor,
        device: torch.device,
    ) -> None:
        self.name, self.model, self.config, self.device = name, model, config, device
        self.tower = cast(PhotoTower, model.image)
        self.relatives, self.pictures, self.synthetic = relatives, pictures, synthetic
        self.photo_taxa, self.classes = photo_taxa, classes
        self.sounds = torch.from_numpy(relatives.vectors).to(device)
        self.names = names.to(device)

    def pretrained(self) -> list[nn.Module]:
        return [self.tower.trunk, self.tower.resemblance]

    def fresh(self) -> list[nn.Module]:
        return [self.tower.places]

    def scales(self) -> list[nn.Parameter]:
        return []

    def plan(self, rng: np.random.Generator, ranks: Ranks) -> list[Rows]:
        c = self.config
        rows = draw_epoch(self.pictures.samples, c.most_per_taxon, c.least_per_taxon, rng)
        return in_batches(rows, c.batch * ranks.world, ranks.world)

    def loss(self, batch: Batch, epoch: float, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        c, scale = self.config, scale_of(self.model.logit_scale, self.config)
        photos = self.tower(self.pictures.views(batch.rows, generator).to(self.device))
        rows = batch.rng.integers(len(self.classes.taxa), size=SYNTHETIC * batch.size)
        rows = rows[SYNTHETIC * batch.part.start : SYNTHETIC * batch.part.stop]
        synthetic = self.tower.place(self.synthetic.draw(rows, batch.rng).to(self.device))
        taxa = np.concatenate([self.photo_taxa[batch.rows], self.classes.taxa[rows]])
        images = gathered(torch.cat([photos, synthetic]))
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
    """Features [photos, views, 1280] of the centre view and of random views of each photo."""
    generator = torch.Generator().manual_seed(seed)
    tower.eval()
    every, kept = list(range(len(pictures))), []
    for start in range(0, len(every), 32):
        rows = every[start : start + 32]
        batch = [pictures.centre(rows), *(pictures.views(rows, generator) for _ in range(views - 1))]
        kept.append(torch.stack([tower.trunk(view.to(device)).cpu() for view in batch], dim=1))
    return torch.cat(kept).numpy()


@torch.no_grad()
def photos_found(vectors: Tensor, taxa: np.ndarray, prototypes: Tensor) -> dict[str, float]:
    """Share of photos whose taxon is among the first 1 and 5 of all class vectors.

    Parameters
    ----------
    vectors : [n, dim] of photos; taxa : [n]; prototypes : [taxa, dim]
    """
    similarity = F.normalize(vectors, dim=-1) @ prototypes.t()
    right = similarity.gather(1, torch.from_numpy(taxa).to(similarity.device)[:, None])
    position = (similarity > right).sum(dim=1)
    return {f"image_class_top{top}": round(float((position < top).float().mean()), 4) for top in (1, 5)}
