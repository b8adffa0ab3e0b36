"""The candidates of the text side: every prompt of every taxon, as tokens, and as vectors while the tower is frozen."""

from __future__ import annotations

from collections.abc import Sequence

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

    def embed_drawn(self, text: Tower, generator: torch.Generator, device: torch.device) -> Tensor:
        """Unit vectors [taxa, dim] of one prompt a taxon, its form drawn anew, with gradient."""
        forms = torch.randint(FORMS, (self.taxa,), generator=generator, device=generator.device).cpu()
        return text(trim(self.tokens[forms, torch.arange(self.taxa)]).to(device))


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
