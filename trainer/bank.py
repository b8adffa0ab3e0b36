"""The candidates of the text side: every prompt of every taxon, as tokens, and as vectors while the tower is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from gallery import PROMPT_FORMS, Taxon, prompts
from trainer.models.text import tokenize
from trainer.models.vita import Tower

FORMS = len(PROMPT_FORMS)
ROWS = 256  # prompts through the text tower at once


class TextBank:
    """Tokens [forms, taxa, context] of all prompts of a list of taxa."""

    def __init__(self, taxa: Sequence[Taxon], tokenizer: Tokenizer) -> None:
        texts = [prompts(taxon)[form] for form in PROMPT_FORMS for taxon in taxa]
        self.taxa = len(taxa)
        self.tokens = tokenize(tokenizer, texts).reshape(FORMS, len(taxa), -1)

    @torch.no_grad()
    def embed_all(self, text: Tower, device: torch.device) -> Tensor:
        """Unit vectors of all prompts [forms, taxa, dim], without gradient; computed once where the tower is frozen."""
        was = text.training
        text.eval()
        flat = self.tokens.reshape(-1, self.tokens.shape[-1])
        vectors = torch.cat([text(trim(rows).to(device)) for rows in flat.split(ROWS)])
        text.train(was)
        return vectors.reshape(FORMS, self.taxa, -1)

    def draw(self, text: Tower, targets: Tensor, generator: torch.Generator, device: torch.device) -> DrawnPrompts:
        """Prompts of one step with gradient, every form drawn anew.

        Parameters
        ----------
        targets : [n, taxa], rows that sum to one; a row that holds all taxa alike is noise and holds none
        """
        row, taxon = (targets > 1.0 / self.taxa + 1e-6).nonzero(as_tuple=True)
        which = torch.cat([torch.arange(self.taxa), taxon.cpu()])
        forms = torch.randint(FORMS, (len(which),), generator=generator, device=generator.device).cpu()
        vectors = text(trim(self.tokens[forms, which]).to(device))
        return DrawnPrompts(vectors[: self.taxa], row, taxon, vectors[self.taxa :])


@dataclass(frozen=True)
class DrawnPrompts:
    """One prompt for each taxon as a candidate, and for each sample one of its own for every taxon it holds.

    Two recordings of one species in a batch are so drawn to two forms of its name, while the text tower embeds few more
    prompts than there are taxa.
    """

    texts: Tensor  # [taxa, dim]
    row: Tensor  # [pairs] the sample
    taxon: Tensor  # [pairs] a taxon it holds
    own: Tensor  # [pairs, dim] the prompt drawn for both

    def similarity(self, vectors: Tensor) -> Tensor:
        """Cosines [n, taxa] of the samples' unit vectors [n, dim], each with the prompts drawn for it."""
        own = (vectors[self.row] * self.own).sum(dim=1)
        return (vectors @ self.texts.t()).index_put((self.row, self.taxon), own)


def trim(tokens: Tensor) -> Tensor:
    """Cut columns that are padding in every row."""
    return tokens[:, : int((tokens != 0).sum(dim=1).max())]


def drawn_similarity(vectors: Tensor, bank: Tensor, generator: torch.Generator) -> Tensor:
    """Similarities [n, taxa] where every pair sees a prompt form of its own, drawn anew.

    Parameters
    ----------
    vectors : [n, dim]
    bank : [forms, taxa, dim]
    """
    forms, taxa, _ = bank.shape
    every = torch.einsum("nd,ftd->fnt", vectors, bank)
    drawn = torch.randint(forms, (1, len(vectors), taxa), generator=generator, device=generator.device).to(
        vectors.device
    )
    return every.gather(0, drawn)[0]
