"""Stage 2: audio, text and image together, ATC + lambda (AIC + ITC).

The image tower is frozen, so its vectors are computed once and no image tower runs in the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.bank import DrawnPrompts, TextBank
from trainer.data.rows import RowsOfTaxon
from trainer.data.sounds import Sounds
from trainer.data.vectors import Vectors
from trainer.losses import accuracy, contrastive, in_batch_targets, linear_ramp
from trainer.models.vita import Vita
from trainer.presets import Preset
from trainer.ranks import gathered
from trainer.ridge import branched, refit_general
from trainer.stages.audio_text import SoundStage, mean
from trainer.stages.gate import Gate
from trainer.stages.stage import Batch, Metrics, scale_of

MIX = (0.8, 0.2)  # shares of ATC and AIC in the first epochs of the released code


@dataclass(frozen=True)
class Pairs:
    """Cosines and targets of one loss."""

    similarity: Tensor
    targets: Tensor

    def loss(self, scale: Tensor, smoothing: float) -> Tensor:
        return contrastive(self.similarity, self.targets, scale, smoothing)


class AudioTextImage(SoundStage):
    """Triplets of a random window, prompt form and photo for each sample."""

    def __init__(
        self,
        name: str,
        model: Vita,
        preset: Preset,
        bank: TextBank,
        sounds: Sounds,
        photos: Vectors,
        photo_taxon: np.ndarray,
        device: torch.device,
    ) -> None:
        super().__init__(name, model, preset, bank, sounds, device)
        self.photos = photos
        self.of_taxon = RowsOfTaxon(photo_taxon, bank.taxa, photos.rows)
        self.pictured = np.flatnonzero(self.of_taxon.has(np.arange(bank.taxa)))
        self.gate = Gate() if self.config.gate else None

    def pretrained(self) -> list[nn.Module]:
        return [*super().pretrained(), self.model.text]

    def loss(self, batch: Batch, epoch: float, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        c, scale = self.config, scale_of(self.model.logit_scale, self.config)
        mixing = epoch < c.mix_epochs
        vectors, targets, taxa = self.embed(batch, generator)
        with torch.set_grad_enabled(not mixing):
            names = self.names(batch, targets, taxa, generator)
        sides = self.bank_sides if c.candidates == "bank" else self.batch_sides
        to_text, to_image, between = sides(batch, vectors, targets, taxa, names)
        atc = mean([pairs.loss(scale, c.smoothing) for pairs in to_text])
        aic, itc = to_image.loss(scale, c.smoothing), between.loss(scale, c.smoothing)
        metrics = {name: float(value.detach()) for name, value in (("atc", atc), ("aic", aic), ("itc", itc))}
        metrics["accuracy"] = accuracy(to_text[0].similarity, to_text[0].targets)
        if mixing:
            return MIX[0] * atc + MIX[1] * aic, metrics
        weight = linear_ramp(epoch - c.mix_epochs, c.lambda_epochs, c.lambda_top)
        total = atc
        if self.gate:
            weight *= self.gate.passes(metrics["atc"])
            total = total + self.gate.guard(atc)
        return total + weight * (aic + itc), {**metrics, "lambda": weight}

    def names(self, batch: Batch, targets: Tensor, taxa: Tensor, generator: torch.Generator) -> DrawnPrompts:
        """Prompt vectors of this step: of all taxa, or of the samples of the batch."""
        text = self.model.text
        if self.config.candidates == "bank":
            return self.bank.draw(text, targets, generator, self.device)
        own = self.bank.embed(text, taxa[batch.part].cpu().numpy(), self.drawn_forms(batch), self.device)
        return DrawnPrompts.of_batch(gathered(own))

    def bank_sides(
        self, batch: Batch, vectors: list[Tensor], targets: Tensor, taxa: Tensor, names: DrawnPrompts
    ) -> tuple[list[Pairs], Pairs, Pairs]:
        """Every window against the names of all taxa, and against one photo of each taxon that has one."""
        photos = self.photos.take(self.of_taxon.draw(self.pictured, batch.rng)).to(self.device)
        return (
            [Pairs(names.similarity(audio), targets) for audio in vectors],
            Pairs(vectors[0] @ photos.t(), targets[:, self.pictured]),
            Pairs(photos @ names.texts[self.pictured].t(), torch.eye(len(photos), device=self.device)),
        )

    def batch_sides(
        self, batch: Batch, vectors: list[Tensor], targets: Tensor, taxa: Tensor, names: DrawnPrompts
    ) -> tuple[list[Pairs], Pairs, Pairs]:
        """Every window against the names and the photos drawn for the samples of its batch.

        Samples whose taxon has no photo are only used in ATC.
        """
        positives = in_batch_targets(targets, taxa, self.config.positives)
        of = taxa.cpu().numpy()
        shown = np.flatnonzero(self.of_taxon.has(of))
        photos = self.photos.take(self.of_taxon.draw(of[shown], batch.rng)).to(self.device)
        return (
            [Pairs(audio @ names.texts.t(), positives) for audio in vectors],
            Pairs(vectors[0] @ photos.t(), positives[:, shown]),
            Pairs(photos @ names.texts[shown].t(), positives[shown][:, shown]),
        )

    def finish(self) -> None:
        """Refit the general branch to the trained names."""
        if not self.config.ridge:
            return
        texts = F.normalize(self.bank.embed_all(self.model.text, self.device).mean(dim=0), dim=-1)
        preset = self.preset
        refit_general(branched(self.model), self.sounds, texts, preset.window_samples, preset.mel, seed=0)

    def state(self) -> dict[str, Any]:
        return self.gate.state() if self.gate else {}

    def restore(self, state: dict[str, Any]) -> None:
        if self.gate:
            self.gate.restore(state)
