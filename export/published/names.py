"""Vectors of the names of a gallery, in pieces that are each kept: 14,133 species have 70,665 prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgeapp.progress_bar import progress
from export.published.steps import Steps
from gallery import Entry, Taxon
from gallery.prompts import prompts
from trainer.bank import trim
from trainer.checkpoint import Checkpoint
from trainer.models.text import tokenize

PIECE = 1024  # prompts
BATCH = 64
VECTORS = "vectors.npy"


def name_vectors(
    steps: Steps, space: str, checkpoint: Callable[[], Checkpoint], taxa: Sequence[Taxon]
) -> tuple[list[Entry], np.ndarray]:
    """Entries of the five prompts of every taxon, and the sum of each taxon's vectors [taxa, dim].

    The text tower runs in torch, where short prompts cost less than in a graph of fixed length; the pack's graph was
    compared with it.

    Parameters
    ----------
    space : of the checkpoint, which the vectors depend on
    checkpoint : loads it, if any vector is missing
    """
    rows = [(row, form, text) for row, taxon in enumerate(taxa) for form, text in prompts(taxon).items()]
    found: list[np.ndarray] = []
    with progress("names", len(rows)) as done:
        for at in range(0, len(rows), PIECE):
            texts = [text for _, _, text in rows[at : at + PIECE]]
            key = f"{space} {hashlib.sha256(chr(10).join(texts).encode()).hexdigest()}"

            def make(folder: Path, texts: Sequence[str] = texts) -> None:
                loaded = checkpoint()
                np.save(folder / VECTORS, embedded(loaded.model.text, tokenize(loaded.tokenizer, list(texts))))

            found.append(np.load(steps.step(f"names-{at // PIECE:04d}", key, make) / VECTORS))
            done(len(texts))
    vectors = np.concatenate(found)
    entries = [
        Entry(taxa[row].scientific_name, "text", vector, f"{form}: {text}")
        for (row, form, text), vector in zip(rows, vectors, strict=True)
    ]
    sums = np.zeros((len(taxa), vectors.shape[1]), np.float32)
    np.add.at(sums, [row for row, _, _ in rows], vectors)
    return entries, sums


@torch.no_grad()
def embedded(text: nn.Module, tokens: torch.Tensor) -> np.ndarray:
    """Unit vectors [n, dim] of prompts as tokens [n, context], short ones together."""
    order = (tokens != 0).sum(dim=1).argsort()
    vectors = torch.cat([text(trim(tokens[rows])) for rows in order.split(BATCH)])
    return vectors[order.argsort()].numpy()
