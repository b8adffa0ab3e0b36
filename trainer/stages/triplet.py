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
from trainer.data.manifest import draw_epoch
from trainer.data.rows import RowsOfTaxon
from trainer.data.sounds import Sounds
from trainer.data.vectors import Vectors
from trainer.errors import DataError
from trainer.losses import accuracy, contrastive, in_batch_targets, linear_ramp
from trainer.models.vita import Vita
from trainer.presets import Preset
from trainer.ranks import Ranks, gathered
from trainer.ridge import branched, refit_general
from trainer.stages.audio_text import SoundStage, mean
from trainer.stages.fixed import FixedTriplets, first_rows
from trainer.stages.gate import Gate
from trainer.stages.stage import Batch, Metrics, Rows, in_batches, scale_of

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
        seed: int = 0,
    ) -> None:
        super().__init__(name, model, preset, bank, sounds, device)
        c = self.config
        self.photos = photos
        self.of_taxon = RowsOfTaxon(photo_taxon, bank.taxa, first_rows(photo_taxon, photos.rows, c.most_photos))
        self.pictured = np.flatnonzero(self.of_taxon.has(np.arange(bank.taxa)))
        self.gate = Gate() if c.gate else None
        self.fixed: FixedTriplets | None = None
        self.planned: list[Rows] = []  # fixed triplets of each joint batch of the epoch
        self.drops = c.photoless == "drop"
        if self.drops and not len(self.pictured):
            raise DataError("no species has a photo", "add photos, or --set photoless=keep")
        if c.triplets == "fixed":
            each = c.most_per_taxon
            self.fixed = FixedTriplets.drawn(self.taxon, self.of_taxon, bank.taxa, each, self.drops, seed)

    def pretrained(self) -> list[nn.Module]:
        return [*super().pretrained(), self.model.text]

    def texts(self) -> list[nn.Module]:
        return [self.model.text]

    def plan(self, rng: np.random.Generator, ranks: Ranks) -> list[Rows]:
        size = self.config.batch * ranks.world
        if self.fixed is not None:
            self.planned = in_batches(rng.permutation(len(self.fixed)).tolist(), size, ranks.world)
            return [self.fixed.recording[batch].tolist() for batch in self.planned]
        if not self.drops:
            return super().plan(rng, ranks)
        c = self.config
        rows = np.array(draw_epoch(self.sounds.samples, c.most_per_taxon, c.least_per_taxon, rng), np.int64)
        return in_batches(rows[self.of_taxon.has(self.taxon[rows])].tolist(), size, ranks.world)

    def loss(self, batch: Batch, epoch: float, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        c, mixing = self.config, epoch < self.config.mix_epochs
        scale = scale_of(self.model.logit_scale, c, mixing)
        vectors, targets, taxa = self.embed(batch, generator)
        with torch.set_grad_enabled(not mixing or c.mix_text):
            names = self.names(batch, targets, taxa, generator)
        sides = self.bank_sides if c.candidates == "bank" else self.batch_sides
        to_text, to_image, between = sides(batch, vectors, targets, taxa, names)
        atc = mean([pairs.loss(scale, c.smoothing) for pairs in to_text])
        aic, itc = to_image.loss(scale, c.smoothing), between.loss(scale, c.smoothing)
        metrics = {name: float(value.detach()) for name, value in (("atc", atc), ("aic", aic), ("itc", itc))}
        metrics["accuracy"] = accuracy(to_text[0].similarity, to_text[0].targets)
        if mixing:
            return MIX[0] * atc + MIX[1] * aic, metrics
        of_aic, of_itc = (self.weight(epoch, steps) for steps in (c.aic_steps, c.itc_steps))
        self.aligned += 1
        total = atc
        if self.gate:
            passes = self.gate.passes(metrics["atc"])
            of_aic, of_itc = of_aic * passes, of_itc * passes
            total = total + self.gate.guard(atc)
        metrics |= {"lambda": of_aic} if c.aic_steps == c.itc_steps else {"lambda": of_aic, "lambda_itc": of_itc}
        return total + of_aic * aic + of_itc * itc, metrics

    def weight(self, epoch: float, steps: int) -> float:
        """Weight of AIC or ITC, which rises over epochs or, if `steps` are given, over these."""
        c = self.config
        if steps:
            return linear_ramp(self.aligned, steps, c.lambda_top)
        return linear_ramp(epoch - c.mix_epochs, c.lambda_epochs, c.lambda_top)

    def names(self, batch: Batch, targets: Tensor, taxa: Tensor, generator: torch.Generator) -> DrawnPrompts:
        """Prompt vectors of this step: of all taxa, or of the samples of the batch."""
        text = self.model.text
        if self.config.candidates == "bank":
            return self.bank.draw(text, targets, generator, self.device)
        of = taxa[batch.part].cpu().numpy()
        forms = self.drawn_forms(batch) if self.fixed is None else self.fixed.forms[of]
        own = self.bank.embed(text, of, forms, self.device)
        return DrawnPrompts.of_batch(gathered(own, self.config.gather == "local"))

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
        rows = self.of_taxon.draw(of[shown], batch.rng)
        if self.fixed is not None:  # a recording that could not be decoded may have been replaced by another species
            planned = np.array(self.planned[batch.number])
            same = (self.fixed.taxon[planned] == of)[shown]
            rows[same] = self.fixed.photo[planned][shown][same]
        photos = self.photos.take(rows).to(self.device)
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
        return {**super().state(), **({"gate": self.gate.state()} if self.gate else {})}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        if self.gate:
            self.gate.restore(state["gate"])
