"""Stage 1: the audio tower learns the space of the frozen text tower (ATC)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.augment import augment
from trainer.bank import FORMS, TextBank, drawn_similarity
from trainer.data.manifest import draw_epoch
from trainer.data.sounds import Sounds, taxon_of
from trainer.losses import accuracy, contrastive, in_batch_targets
from trainer.models.vita import Vita
from trainer.presets import Preset
from trainer.ranks import Ranks, gathered
from trainer.ridge import branched, start_projections
from trainer.stages.stage import Batch, Metrics, Rows, draws, in_batches, scale_of


class SoundStage:
    """What all audio stages share: what learns, and windows of an epoch, drawn, augmented and embedded."""

    def __init__(
        self, name: str, model: Vita, preset: Preset, bank: TextBank, sounds: Sounds, device: torch.device
    ) -> None:
        self.name, self.model, self.preset, self.bank, self.sounds, self.device = (
            name,
            model,
            preset,
            bank,
            sounds,
            device,
        )
        self.config = preset.stages[name]
        self.taxon = taxon_of(sounds.samples)
        self._told = {*sounds.undecodable, *sounds.damaged}  # before the first epoch, by who decoded them

    def pretrained(self) -> list[nn.Module]:
        return self.model.audio.pretrained_parts()

    def fresh(self) -> list[nn.Module]:
        return self.model.audio.fresh_parts()

    def scales(self) -> list[nn.Parameter]:
        return [] if self.config.temperature else [self.model.logit_scale]

    def plan(self, rng: np.random.Generator, ranks: Ranks) -> list[Rows]:
        c = self.config
        rows = draw_epoch(self.sounds.samples, c.most_per_taxon, c.least_per_taxon, rng)
        return in_batches(rows, c.batch * ranks.world, ranks.world)

    def feed(self, plan: list[Rows], seed: int, ranks: Ranks) -> Iterator[Batch]:
        with closing(self.sounds.crops(plan, self.preset.window_samples, seed, ranks.rank, ranks.world)) as crops:
            for number, (joint, (rows, sound)) in enumerate(zip(plan, crops)):
                yield Batch(rows, len(joint), ranks.part(len(joint)), draws(seed, number), sound)

    def embed(self, batch: Batch, generator: torch.Generator) -> tuple[list[Tensor], Tensor, Tensor]:
        """Vectors [n, dim] of the windows of all processes, of the tower and of each of its branches.

        Returns
        -------
        vectors, targets [n, taxa] (shared where two windows were mixed), taxa [n]
        """
        taxa = torch.from_numpy(self.taxon[batch.rows]).to(self.device)
        with torch.no_grad():
            log_mel = self.model.audio.log_mel(torch.from_numpy(batch.sound).to(self.device))
            targets = F.one_hot(taxa, self.bank.taxa).float()
            if self.config.augment:
                log_mel, targets = augment(log_mel, targets, self.config.augment, self.preset.mel, generator)
        vectors = [gathered(branch) for branch in self.model.audio.embed_branches(log_mel)]
        return vectors, gathered(targets), gathered(taxa)

    def drawn_forms(self, batch: Batch) -> np.ndarray:
        """A prompt form for each sample of this process, drawn anew."""
        return batch.rng.integers(FORMS, size=batch.size)[batch.part]

    def skipped(self) -> list[str]:
        lines = [line for line in (*self.sounds.undecodable, *self.sounds.damaged) if line not in self._told]
        self._told.update(lines)
        return lines

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing."""


class AudioText(SoundStage):
    """Audio against prompts whose vectors are computed once: no text tower runs in the loop."""

    def __init__(
        self,
        name: str,
        model: Vita,
        preset: Preset,
        bank: TextBank,
        sounds: Sounds,
        vectors: Tensor,
        device: torch.device,
    ) -> None:
        super().__init__(name, model, preset, bank, sounds, device)
        self.vectors = vectors  # [forms, taxa, dim]
        if self.config.ridge:
            texts = F.normalize(vectors.mean(dim=0), dim=-1)
            start_projections(branched(model), sounds, texts, preset.window_samples, seed=0)

    def loss(self, batch: Batch, epoch: float, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        c = self.config
        vectors, targets, taxa = self.embed(batch, generator)
        if c.candidates == "bank":
            similarities = [drawn_similarity(audio, self.vectors, generator) for audio in vectors]
        else:
            forms = torch.from_numpy(self.drawn_forms(batch)).to(self.device)
            texts = self.vectors[gathered(forms), taxa]
            similarities = [audio @ texts.t() for audio in vectors]
            targets = in_batch_targets(targets, taxa, c.positives)
        scale = scale_of(self.model.logit_scale, c)
        losses = [contrastive(each, targets, scale, c.smoothing) for each in similarities]
        return mean(losses), {
            "atc": float(losses[0].detach()),
            "accuracy": accuracy(similarities[0], targets),
        }

    def finish(self) -> None:
        """Nothing: stage 2 goes on from here."""


def mean(losses: list[Tensor]) -> Tensor:
    """Mean over the tower and its branches: each must know the species alone, so that they differ in errors."""
    return torch.stack(losses).mean()
