"""The base stage of a preset without a public vision-language model: names and photos in one space."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from trainer.bank import TextBank
from trainer.data.manifest import draw_epoch
from trainer.data.pictures import PictureStore
from trainer.losses import accuracy, contrastive, same_taxon
from trainer.models.vita import Vita
from trainer.presets import StageConfig
from trainer.ranks import Ranks, gathered
from trainer.stages.stage import Batch, Metrics, Rows, Stateless, in_batches


class Base(Stateless):
    """ITC between photos and prompts, and between two prompts of a taxon, which includes taxa without photos."""

    name = "base"

    def __init__(
        self, model: Vita, config: StageConfig, bank: TextBank, pictures: PictureStore, device: torch.device
    ) -> None:
        self.model, self.config, self.bank, self.pictures, self.device = model, config, bank, pictures, device
        self.taxon = torch.tensor([sample.taxon for sample in pictures.samples])

    def pretrained(self) -> list[nn.Module]:
        return [self.model.image.get_submodule("trunk")]

    def fresh(self) -> list[nn.Module]:
        return [self.model.text, self.model.image.get_submodule("projection")]

    def scales(self) -> list[nn.Parameter]:
        return [self.model.base_logit_scale]

    def plan(self, rng: np.random.Generator, ranks: Ranks) -> list[Rows]:
        c = self.config
        rows = draw_epoch(self.pictures.samples, c.most_per_taxon, 1, rng)
        return in_batches(rows, c.batch * ranks.world, ranks.world)

    def loss(self, batch: Batch, epoch: float, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        c, scale = self.config, Vita.scale(self.model.base_logit_scale)
        images = gathered(self.model.image(self.pictures.views(batch.rows, generator).to(self.device)))
        taxon = gathered(self.taxon[batch.rows].to(self.device))
        targets = same_taxon(taxon, torch.arange(self.bank.taxa, device=self.device))
        drawn = self.bank.draw(self.model.text, targets, generator, self.device)
        others = self.bank.draw(self.model.text, targets[:0], generator, self.device).texts
        similarity, texts = drawn.similarity(images), drawn.texts
        itc = contrastive(similarity, targets, scale, c.smoothing)
        ttc = contrastive(texts @ others.t(), torch.eye(self.bank.taxa, device=self.device), scale, c.smoothing)
        overlap = spread(texts)
        return itc + 0.5 * ttc + c.spread * overlap, {
            "spread": float(overlap.detach()),
            "itc": float(itc.detach()),
            "ttc": float(ttc.detach()),
            "accuracy": accuracy(similarity, targets),
        }


def spread(vectors: Tensor) -> Tensor:
    """Mean squared cosine between different rows: zero if all are orthogonal.

    Names that are similar without similar sounds would take each other's ranks two to five.
    """
    cosines = vectors @ vectors.t()
    n = len(vectors)
    return (cosines.square().sum() - cosines.diagonal().square().sum()) / (n * (n - 1))
