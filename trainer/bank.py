"""Every prompt of every taxon, as tokens, and as vectors while the text tower is frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgeapp.progress_bar import each
from gallery import PROMPT_FORMS, Taxon, prompts
from gallery.files import replacing
from trainer.checkpoint import digest
from trainer.models.text import tokenize

FORMS = len(PROMPT_FORMS)
BATCH = 256  # prompts


class TextBank:
    """Tokens [forms, taxa, context] of all prompts of a list of taxa."""

    def __init__(self, taxa: Sequence[Taxon], tokenizer: Tokenizer) -> None:
        texts = [prompts(taxon)[form] for form in PROMPT_FORMS for taxon in taxa]
        self.taxa = len(taxa)
        self.tokens = tokenize(tokenizer, texts).reshape(FORMS, len(taxa), -1)

    def embed_all(self, text: nn.Module, device: torch.device) -> Tensor:
        """Unit vectors of all prompts [forms, taxa, dim], without gradient."""
        return torch.stack([self.embed_form(text, form, device) for form in range(FORMS)])

    @torch.no_grad()
    def embed_form(self, text: nn.Module, form: int, device: torch.device) -> Tensor:
        """Unit vectors [taxa, dim] of one form of all taxa, without gradient."""
        was = text.training
        text.eval()
        parts = self.tokens[form].split(BATCH)
        vectors = torch.cat([text(trim(rows).to(device)) for rows in each(f"names: {PROMPT_FORMS[form]}", parts)])
        text.train(was)
        return vectors

    def embed_cached(self, text: nn.Module, folder: Path, device: torch.device) -> Tensor:
        """As `embed_all`, cached in a folder until the tower or the prompts change."""
        key = hashlib.sha256(digest(text).encode() + self.tokens.numpy().tobytes()).hexdigest()[:16]
        path = folder / f"prompts-{key}.npy"
        if path.is_file():
            return torch.from_numpy(np.load(path)).to(device)
        vectors = self.embed_all(text, device)
        for older in folder.glob("prompts-*.npy"):
            older.unlink()
        with replacing(path, parents=True) as part:
            save_array(part, vectors.cpu().numpy())
        return vectors

    def embed(self, text: nn.Module, taxa: np.ndarray, forms: np.ndarray, device: torch.device) -> Tensor:
        """Unit vectors [n, dim] of the prompts of `taxa` [n] in `forms` [n], with gradient."""
        return text(trim(self.tokens[torch.from_numpy(forms), torch.from_numpy(taxa)]).to(device))

    def draw(self, text: nn.Module, targets: Tensor, generator: torch.Generator, device: torch.device) -> DrawnPrompts:
        """Vectors of the prompts of one step with gradient, in random forms.

        Parameters
        ----------
        targets : [n, taxa], rows that sum to one; a uniform row is noise, which has no taxon
        """
        row, taxon = (targets > 1.0 / self.taxa + 1e-6).nonzero(as_tuple=True)
        which = torch.cat([torch.arange(self.taxa), taxon.cpu()])
        forms = torch.randint(FORMS, (len(which),), generator=generator, device=generator.device).cpu()
        vectors = text(trim(self.tokens[forms, which]).to(device))
        return DrawnPrompts(vectors[: self.taxa], row, taxon, vectors[self.taxa :])


@dataclass(frozen=True)
class DrawnPrompts:
    """One prompt for each taxon as a candidate, and one for each taxon of each sample.

    Two recordings of one species in a batch are thus trained against two forms of its name, while the text tower embeds
    only a few more prompts than there are taxa.
    """

    texts: Tensor  # [taxa, dim]
    row: Tensor  # [pairs] the sample
    taxon: Tensor  # [pairs] a taxon of it
    own: Tensor  # [pairs, dim] the prompt drawn for the pair

    @classmethod
    def of_batch(cls, texts: Tensor) -> DrawnPrompts:
        """Prompts [n, dim] of the samples of a batch, which are the only candidates."""
        none = torch.zeros(0, dtype=torch.int64, device=texts.device)
        return cls(texts, none, none, texts[:0])

    def similarity(self, vectors: Tensor) -> Tensor:
        """Cosines [n, taxa] of the samples' unit vectors [n, dim], each with the prompts drawn for it."""
        own = (vectors[self.row] * self.own).sum(dim=1)
        return (vectors @ self.texts.t()).index_put((self.row, self.taxon), own)


def save_array(path: Path, array: np.ndarray) -> None:
    """`np.save` to a path that does not end in .npy."""
    with path.open("wb") as file:
        np.save(file, array)


def trim(tokens: Tensor) -> Tensor:
    """Remove trailing columns that are padding in every row."""
    used = (tokens != 0).any(dim=0).nonzero()
    return tokens[:, : int(used.max()) + 1]


def drawn_similarity(vectors: Tensor, bank: Tensor, generator: torch.Generator) -> Tensor:
    """Similarities [n, taxa] with a random prompt form for every pair.

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
