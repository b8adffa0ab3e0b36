"""Retrieval of sounds by names that a text tower was not trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from gallery import Index, Taxon, Vocabulary
from trainer.bank import TextBank
from trainer.evaluate import Embedded, identification, positions, recording_vectors, shares, table
from trainer.heard import Heard, identified, uncalibrated
from trainer.models.vita import Vita

TOPS = (1, 5)
ADDED = (1, 3, 5)  # recordings of a taxon in addition to its name


@torch.no_grad()
def name_vectors(model: Vita, bank: TextBank, device: torch.device) -> np.ndarray:
    """One unit vector per taxon [taxa, dim]: the mean of its prompts, as in a gallery."""
    return F.normalize(bank.embed_all(model.text, device).mean(dim=0), dim=-1).cpu().numpy()


def names_found(model: Vita, bank: TextBank, prototypes: np.ndarray, device: torch.device) -> dict[str, float]:
    """Share of class vectors whose name is among the first 1 and 5 of the names of a bank.

    Parameters
    ----------
    prototypes : [taxa, dim] unit vectors, in the order of the bank
    """
    names = name_vectors(model, bank, device)
    similarity = prototypes @ names.T
    right = similarity.diagonal()
    found = shares(positions(similarity, np.arange(len(similarity))), TOPS)
    metrics = {f"class_text_top{top}": round(share, 4) for top, share in found.items()}
    return {**metrics, "class_text_cosine": round(float(right.mean()), 4), "names": float(len(names))}


def named(heard: Heard, names: np.ndarray, taxa: Sequence[Taxon]) -> dict[str, float]:
    """Share of recordings whose taxon is among the first 1 and 5, identified by names only, as on the device.

    Parameters
    ----------
    heard : recordings whose taxa are rows of `taxa`
    names : [taxa, dim] unit vectors of names
    """
    found = identification(heard, names, taxa)
    return {"queries": float(len(heard)), **{f"top{top}": round(found[top], 4) for top in TOPS}}


def named_with(
    heard: Heard, names: np.ndarray, taxa: Sequence[Taxon], sources: Sequence[object], count: int
) -> dict[str, float]:
    """As `named`, with recordings of `count` sources in the gallery for each taxon with more; the others are queries.

    Parameters
    ----------
    sources : of each recording
    """
    vectors = recording_vectors(heard).vectors
    added = np.zeros_like(names)
    asked = np.zeros(len(heard), bool)
    for row in range(len(taxa)):
        own = np.flatnonzero(heard.taxon == row)
        known = list(dict.fromkeys(sources[int(one)] for one in own))
        if len(known) > count:
            first = np.array([sources[int(one)] in known[:count] for one in own])
            added[row] = vectors[own[first]].sum(axis=0)
            asked[own[~first]] = True
    if not asked.any():
        return {"queries": 0.0, **{f"top{top}": float("nan") for top in TOPS}}
    index = Index(taxa, {"text": names, "audio": added})
    queries = heard.of(asked)
    confidences = identified(queries, Vocabulary(index, uncalibrated(("text", "audio"))), most=1)
    found = shares(positions(confidences, queries.taxon), TOPS)
    return {"queries": float(len(queries)), **{f"top{top}": round(share, 4) for top, share in found.items()}}


def six_directions(
    heard: Heard, names: np.ndarray, taxa: Sequence[Taxon], photos: Embedded | None = None
) -> list[dict[str, Any]]:
    """Retrieval between sound, photos and text at three ranks, as in `python -m trainer evaluate`.

    Parameters
    ----------
    heard : recordings whose taxa are rows of `taxa`
    names : [taxa, dim] unit vectors of names
    photos : their taxa are rows of `taxa` as well; without them two directions remain
    """
    embedded = {
        "audio": recording_vectors(heard),
        "image": photos or Embedded(np.zeros((0, names.shape[1]), np.float32), np.zeros(0, np.int64)),
        "text": Embedded(names, np.arange(len(taxa))),
    }
    return [dataclasses.asdict(row) for row in table(embedded, taxa)]
