"""Stage 1: train the audio tower in the space of the frozen text tower (ATC)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.augment import augment
from trainer.bank import FORMS, TextBank, drawn_similarity
from trainer.data.manifest import draw_epoch
from trainer.data.samples import taxa_of
from trainer.data.sounds import Sounds
from trainer.losses import accuracy, contrastive, in_batch_targets
from trainer.models.vita import Vita
from trainer.presets import Preset
from trainer.ranks import Ranks, gathered
from trainer.ridge import branched, start_projections
from trainer.stages.stage import Batch, Metrics, OnRecordings, Rows, in_batches, scale_of


class SoundStage(OnRecordings):
    """Shared by stages 1 and 2: trained modules, and the windows of an epoch, drawn, augmented and embedded."""

    def __init__(
        self, name: str, model: Vita, preset: Preset, bank: TextBank, sounds: Sounds, device: torch.device
    ) -> None:
        super().__init__(sounds)
        self.name, self.model, self.preset, self.bank, self.device = name, model, preset, bank, device
        self.config = preset.stages[name]
        self.taxon = taxa_of(sounds.samples).astype(np.int64)

    def pretrained(self) -> list[nn.Module]:
        return self.model.audio.pretrained_parts()

    def fresh(self) -> list[nn.Module]:
        return self.model.audio.fresh_parts()

    def scales(self) -> list[nn.Parameter]:
        c = self.config
        return [] if c.temperature and not c.mix_scale else [self.model.logit_scale]

    def plan(self, rng: np.random.Generator, ranks: Ranks) -> list[Rows]:
        c = self.config
        rows = draw_epoch(self.sounds.samples, c.most_per_taxon, c.least_per_taxon, rng)
        return in_batches(rows, c.batch * ranks.world, ranks.world)

    def feed(self, plan: list[Rows], seed: int, ranks: Ranks) -> Iterator[Batch]:
        return self.windows(plan, self.preset.window_samples, seed, ranks)

    def embed(self, batch: Batch, generator: torch.Generator) -> tuple[list[Tensor], Tensor, Tensor]:
        """Vectors [n, dim] of the windows of all processes, of the tower and of each of its branches.

        Returns
        -------
        Vectors, targets [n, taxa] (of both taxa for mixed windows), and taxa [n].
        """
        taxa = torch.from_numpy(self.taxon[batch.rows]).to(self.device)
        with torch.no_grad():
            log_mel = self.model.audio.log_mel(torch.from_numpy(batch.sound).to(self.device))
            targets = F.one_hot(taxa, self.bank.taxa).float()
            if self.config.augment:
                log_mel, targets = augment(log_mel, targets, self.config.augment, self.preset.mel, generator)
        local = self.config.gather == "local"
        vectors = [gathered(branch, local) for branch in self.model.audio.embed_branches(log_mel)]
        return vectors, gathered(targets), gathered(taxa)

    def state(self) -> dict[str, Any]:
        return {"aligned": self.aligned}

    def restore(self, state: dict[str, Any]) -> None:
        self.aligned = state.get("aligned", 0)

    def drawn_forms(self, batch: Batch) -> np.ndarray:
        """A random prompt form for each sample of this process."""
        return batch.rng.integers(FORMS, size=batch.size)[batch.part]


class AudioText(SoundStage):
    """Audio against precomputed prompt vectors, without the text tower in the loop."""

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
        self.aligned += 1
        scale = scale_of(self.model.logit_scale, c)
        losses = [contrastive(each, targets, scale, c.smoothing) for each in similarities]
        return mean(losses), {
            "atc": float(losses[0].detach()),
            "accuracy": accuracy(similarities[0], targets),
        }


def mean(losses: list[Tensor]) -> Tensor:
    """Mean over the tower and its branches, each of which must identify the species by itself."""
    return torch.stack(losses).mean()
