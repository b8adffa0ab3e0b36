"""What a stage trains, on which batches, with which loss. The loop asks a stage and knows none of them.

- base: text and image towers, ITC between photos and prompts; what BioCLIP 2 is to the full size.
- 1: audio tower against the frozen text tower, ATC (BioVITA, stage 1).
- 2: audio and text towers with frozen image vectors, ATC + lambda (AIC + ITC) (BioVITA, stage 2).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.augment import augment
from trainer.bank import TextBank, drawn_similarity
from trainer.losses import accuracy, contrastive, linear_ramp, same_taxon
from trainer.manifest import draw_epoch
from trainer.models.vita import Vita
from trainer.pictures import PictureStore
from trainer.presets import Preset, StageConfig
from trainer.ridge import refit_general, start_projections
from trainer.sounds import SoundStore

Rows = list[int]
Metrics = dict[str, float]


class Stage(Protocol):
    """A stage of training.

    `pretrained` and `fresh` are the modules that learn, at `trunk_lr` and at `lr`; `parts` names the towers that do.
    """

    name: str
    config: StageConfig

    def pretrained(self) -> list[nn.Module]: ...

    def fresh(self) -> list[nn.Module]: ...

    def scales(self) -> list[nn.Parameter]: ...

    def batches(self, rng: np.random.Generator) -> list[Rows]: ...

    def loss(
        self, rows: Rows, epoch: float, rng: np.random.Generator, generator: torch.Generator
    ) -> tuple[Tensor, Metrics]: ...

    def finish(self) -> None:
        """What is done once to the averaged weights, after the last epoch."""
        ...


def in_batches(rows: Rows, size: int) -> list[Rows]:
    """Rows in batches of one size; a rest smaller than half a batch is left to another epoch's order."""
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) < size // 2 else batches


class Base:
    """ITC between photos and prompts, and between two prompts of one taxon, for taxa that have no photo."""

    name = "base"

    def __init__(
        self, model: Vita, preset: Preset, bank: TextBank, pictures: PictureStore, device: torch.device
    ) -> None:
        self.model, self.config, self.bank, self.pictures, self.device = (
            model,
            preset.stages["base"],
            bank,
            pictures,
            device,
        )
        self.taxon = torch.tensor([sample.taxon for sample in pictures.samples])

    def pretrained(self) -> list[nn.Module]:
        return [self.model.image.trunk]

    def fresh(self) -> list[nn.Module]:
        return [self.model.text, self.model.image.projection]

    def scales(self) -> list[nn.Parameter]:
        return [self.model.base_logit_scale]

    def batches(self, rng: np.random.Generator) -> list[Rows]:
        c = self.config
        return in_batches(draw_epoch(self.pictures.samples, c.most_per_taxon, 1, rng), c.batch)

    def loss(
        self, rows: Rows, epoch: float, rng: np.random.Generator, generator: torch.Generator
    ) -> tuple[Tensor, Metrics]:
        scale = Vita.scale(self.model.base_logit_scale)
        images = self.model.image(self.pictures.views(rows, generator).to(self.device))
        every = torch.arange(self.bank.taxa)
        targets = same_taxon(self.taxon[rows], every).to(self.device)
        drawn = self.bank.draw(self.model.text, targets, generator, self.device)
        others = self.bank.draw(self.model.text, targets[:0], generator, self.device).texts
        similarity, texts = drawn.similarity(images), drawn.texts
        itc = contrastive(similarity, targets, scale, self.config.smoothing)
        ttc = contrastive(
            texts @ others.t(), torch.eye(self.bank.taxa, device=self.device), scale, self.config.smoothing
        )
        apart = spread(texts)
        return itc + 0.5 * ttc + self.config.spread * apart, {
            "spread": float(apart.detach()),
            "itc": float(itc.detach()),
            "ttc": float(ttc.detach()),
            "accuracy": accuracy(similarity, targets),
        }

    def finish(self) -> None:
        """Nothing."""


def spread(vectors: Tensor) -> Tensor:
    """Mean squared cosine between different rows: zero when every taxon has a direction of its own.

    Names that lie near each other for no reason of sound would rank each other's species second to fifth.
    """
    cosines = vectors @ vectors.t()
    n = len(vectors)
    return (cosines.square().sum() - cosines.diagonal().square().sum()) / (n * (n - 1))


class SoundStage:
    """What both audio stages share: what learns, and windows of an epoch, drawn, augmented and embedded."""

    def __init__(
        self, model: Vita, preset: Preset, config: StageConfig, sounds: SoundStore, taxa: int, device: torch.device
    ) -> None:
        self.model, self.preset, self.config, self.sounds, self.device = model, preset, config, sounds, device
        self.targets = F.one_hot(torch.tensor([sample.taxon for sample in sounds.samples]), taxa).float()

    def batches(self, rng: np.random.Generator) -> list[Rows]:
        c = self.config
        return in_batches(draw_epoch(self.sounds.samples, c.most_per_taxon, c.least_per_taxon, rng), c.batch)

    def pretrained(self) -> list[nn.Module]:
        return [self.model.audio.special.blocks]

    def fresh(self) -> list[nn.Module]:
        return [self.model.audio.general.projection, self.model.audio.special.projection]

    def scales(self) -> list[nn.Parameter]:
        return [self.model.logit_scale]

    def embed(self, rows: Rows, rng: np.random.Generator, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
        """Vectors [n, dim] of augmented windows, of the tower and of each branch, and their targets [n, taxa]."""
        crops = np.stack([self.sounds.crop(row, self.preset.window_samples, rng) for row in rows])
        with torch.no_grad():
            log_mel = self.model.audio.log_mel(torch.from_numpy(crops).to(self.device))
            targets = self.targets[rows].to(self.device)
            log_mel, targets = augment(log_mel, targets, self.config.augment, self.preset.mel, generator)
        return self.model.audio.embed_branches(log_mel), targets


class AudioText(SoundStage):
    """Stage 1: audio against the prompts of all taxa, whose vectors are computed once."""

    name = "1"

    def __init__(self, model: Vita, preset: Preset, bank: TextBank, sounds: SoundStore, device: torch.device) -> None:
        super().__init__(model, preset, preset.stages["1"], sounds, bank.taxa, device)
        self.vectors = bank.embed_all(model.text, device)
        texts = F.normalize(self.vectors.mean(dim=0), dim=-1)
        start_projections(model.audio, sounds, texts, preset.window_samples, seed=0)

    def loss(
        self, rows: Rows, epoch: float, rng: np.random.Generator, generator: torch.Generator
    ) -> tuple[Tensor, Metrics]:
        vectors, targets = self.embed(rows, rng, generator)
        scale = Vita.scale(self.model.logit_scale)
        similarities = [drawn_similarity(audio, self.vectors, generator) for audio in vectors]
        losses = [contrastive(each, targets, scale, self.config.smoothing) for each in similarities]
        return mean(losses), {
            "atc": float(losses[0].detach()),
            "accuracy": accuracy(similarities[0], targets),
        }

    def finish(self) -> None:
        """Nothing: stage 2 goes on from here."""


class AudioTextImage(SoundStage):
    """Stage 2: audio, text and image together; the image tower is frozen, so its vectors are computed once."""

    name = "2"

    def __init__(
        self,
        model: Vita,
        preset: Preset,
        bank: TextBank,
        sounds: SoundStore,
        pictures: PictureStore,
        device: torch.device,
    ) -> None:
        super().__init__(model, preset, preset.stages["2"], sounds, bank.taxa, device)
        self.bank = bank
        self.photos = embed_pictures(model, pictures, device)
        self.of_taxon: list[Rows] = [[] for _ in range(bank.taxa)]
        for row, sample in enumerate(pictures.samples):
            self.of_taxon[sample.taxon].append(row)
        self.pictured = [taxon for taxon, photos in enumerate(self.of_taxon) if photos]

    def pretrained(self) -> list[nn.Module]:
        return [*super().pretrained(), self.model.text]

    def loss(
        self, rows: Rows, epoch: float, rng: np.random.Generator, generator: torch.Generator
    ) -> tuple[Tensor, Metrics]:
        c = self.config
        scale = Vita.scale(self.model.logit_scale)
        vectors, targets = self.embed(rows, rng, generator)
        drawn = self.bank.draw(self.model.text, targets, generator, self.device)
        photos = self.photos[[int(rng.choice(self.of_taxon[taxon])) for taxon in self.pictured]]
        similarities = [drawn.similarity(audio) for audio in vectors]
        atc = mean([contrastive(each, targets, scale, c.smoothing) for each in similarities])
        aic = contrastive(vectors[0] @ photos.t(), targets[:, self.pictured], scale, c.smoothing)
        itc = contrastive(
            photos @ drawn.texts[self.pictured].t(), torch.eye(len(photos), device=self.device), scale, c.smoothing
        )
        weight = linear_ramp(epoch, c.lambda_epochs, c.lambda_top)
        metrics = {"atc": atc, "aic": aic, "itc": itc}
        return atc + weight * (aic + itc), {
            **{name: float(value.detach()) for name, value in metrics.items()},
            "lambda": weight,
            "accuracy": accuracy(similarities[0], targets),
        }

    def finish(self) -> None:
        """Fit the general branch to the names as they are now."""
        texts = F.normalize(self.bank.embed_all(self.model.text, self.device).mean(dim=0), dim=-1)
        refit_general(self.model.audio, self.sounds, texts, self.preset.window_samples, self.preset.mel, seed=0)


def mean(losses: list[Tensor]) -> Tensor:
    """Mean over the tower and its branches: each must know the species alone, so that they differ in errors."""
    return torch.stack(losses).mean()


@torch.no_grad()
def embed_pictures(model: Vita, pictures: PictureStore, device: torch.device, batch: int = 32) -> Tensor:
    """Vectors [photos, dim] of all photos as the device sees them."""
    was = model.image.training
    model.image.eval()
    every = range(len(pictures))
    vectors = [model.image(pictures.centre(every[start : start + batch]).to(device)) for start in every[::batch]]
    model.image.train(was)
    return torch.cat(vectors) if vectors else torch.zeros((0, model.image.projection.out_features), device=device)
