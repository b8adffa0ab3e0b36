"""Stage 1 of a preset in the space of a pack: train the text tower against class vectors (ATC)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from gallery import Taxon
from trainer.bank import FORMS, TextBank
from trainer.losses import accuracy, contrastive, same_taxon
from trainer.models.vita import Tower, Vita
from trainer.presets import StageConfig
from trainer.ranks import Ranks, gathered
from trainer.stages.stage import Batch, Metrics, Rows, Stateless, in_batches, scale_of
from trainer.trunk.closed_form import penalties, start_words

RELATIVES = 16  # adjacent taxa of the taxonomic tree that are batched together


class ClassNames(Stateless):
    """ATC between prompts and class vectors, or recordings if there are any.

    A batch has runs of related taxa, so that the negatives of a name include its own genus and family. All prompts and
    recordings of a taxon in a batch are positives of each other.

    Parameters
    ----------
    prototypes : [taxa, dim] unit vectors, one for each taxon of the bank
    recordings : [n, dim] unit vectors and the taxon [n] of each; a taxon with recordings uses them half of the time
    """

    def __init__(
        self,
        name: str,
        model: Vita,
        config: StageConfig,
        taxa: Sequence[Taxon],
        bank: TextBank,
        tokenizer: Tokenizer,
        prototypes: Tensor,
        recordings: tuple[Tensor, np.ndarray] | None,
        device: torch.device,
    ) -> None:
        self.name, self.model, self.config, self.bank, self.device = name, model, config, bank, device
        self.prototypes = prototypes.to(device)
        self.recordings = recordings[0].to(device) if recordings else self.prototypes[:0]
        self.own: dict[int, np.ndarray] = {}
        if recordings:
            self.own = {int(taxon): np.flatnonzero(recordings[1] == taxon) for taxon in np.unique(recordings[1])}
        self.tree = sorted(range(len(taxa)), key=lambda row: taxa[row].path())
        if config.ridge:
            start_words(cast(Tower, model.text), bank, prototypes, penalties(taxa, tokenizer))

    def pretrained(self) -> list[nn.Module]:
        return []

    def fresh(self) -> list[nn.Module]:
        return [self.model.text]

    def scales(self) -> list[nn.Parameter]:
        return [] if self.config.temperature else [self.model.logit_scale]

    def plan(self, rng: np.random.Generator, ranks: Ranks) -> list[Rows]:
        first = int(rng.integers(RELATIVES))  # the runs start elsewhere in each epoch
        cuts = [0, *range(first, len(self.tree), RELATIVES), len(self.tree)]
        runs = [self.tree[start:end] for start, end in zip(cuts, cuts[1:])]
        rows = [row for place in rng.permutation(len(runs)) for row in runs[place]]
        return in_batches(rows, self.config.batch * ranks.world, ranks.world)

    def audio(self, batch: Batch) -> Tensor:
        """Audio vectors [n, dim] of the taxa of a batch."""
        vectors = self.prototypes[batch.rows].clone()
        drawn = batch.rng.random((batch.size, 2))[batch.part]
        for place, row in enumerate(batch.rows):
            own = self.own.get(row)
            if own is not None and drawn[place, 0] < 0.5:
                vectors[place] = self.recordings[own[int(drawn[place, 1] * len(own))]]
        return vectors

    def loss(self, batch: Batch, epoch: float, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        c = self.config
        forms = batch.rng.integers(FORMS, size=batch.size)[batch.part]
        texts = gathered(self.bank.embed(self.model.text, np.array(batch.rows), forms, self.device))
        audio = gathered(self.audio(batch))
        taxa = gathered(torch.tensor(batch.rows, device=self.device))
        similarity, targets = audio @ texts.t(), same_taxon(taxa, taxa)
        atc = contrastive(similarity, targets, scale_of(self.model.logit_scale, c), c.smoothing)
        return atc, {"atc": float(atc.detach()), "accuracy": accuracy(similarity, targets)}
