"""Retrieval between sound, picture and text: six directions, three ranks, Top-1/5/10.

Protocol: a query ranks the taxa of the other side; a taxon's score is that of its best sample (BioVITA, released
evaluation code). Queries and candidates are held-out samples only; at genus and family the samples of a group are those
of all its species. A text side has one entry a taxon, "scientific name with common name X".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edgeapp.audio.windows import HOP_S
from gallery import PROMPT_FORMS, Taxon
from trainer.bank import TextBank
from trainer.data.sounds import Sounds, each_whole, taxon_of
from trainer.data.windows import recording_windows
from trainer.errors import DataError
from trainer.models.vita import Vita

DIRECTIONS = (
    ("audio", "image"),
    ("image", "audio"),
    ("audio", "text"),
    ("text", "audio"),
    ("image", "text"),
    ("text", "image"),
)
LEVELS = ("species", "genus", "family")
TOPS = (1, 5, 10)
TEXT_FORM = "scientific_common"


@dataclass(frozen=True)
class Embedded:
    """Vectors [n, dim] of one modality and the taxon of each."""

    vectors: np.ndarray
    taxon: np.ndarray


@dataclass(frozen=True)
class Retrieval:
    """One row of the table: shares of queries whose right group is among the first 1, 5 and 10."""

    query: str
    target: str
    level: str
    top: dict[int, float]
    queries: int
    candidates: int


@torch.no_grad()
def embed_sounds(model: Vita, sounds: Sounds, window_s: float, device: torch.device) -> Embedded:
    """One vector a recording: the mean of its windows, cut as on the device."""
    vectors, rows = [], []
    for row, sound in each_whole(sounds):
        windows = recording_windows(sound, sounds.rate_hz, window_s, HOP_S)
        each = model.audio(torch.from_numpy(windows).to(device)).cpu().numpy()
        mean = each.mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))
        rows.append(row)
    if not rows:
        raise DataError("not one held-out recording could be decoded", "get the files again")
    return Embedded(np.stack(vectors), taxon_of(sounds.samples)[rows])


def embed_all(
    model: Vita, bank: TextBank, sounds: Sounds, photos: Embedded, window_s: float, device: torch.device
) -> dict[str, Embedded]:
    """Vectors of the three modalities; those of the photos are given."""
    texts = bank.embed_form(model.text, PROMPT_FORMS.index(TEXT_FORM), device).cpu().numpy()
    return {
        "audio": embed_sounds(model, sounds, window_s, device),
        "image": photos,
        "text": Embedded(texts, np.arange(bank.taxa)),
    }


def retrieve(query: Embedded, target: Embedded, groups: np.ndarray) -> tuple[dict[int, float], int, int]:
    """Rank the groups of the target side for every query whose group is there.

    Parameters
    ----------
    query, target : vectors with their taxa
    groups : [taxa] group of each taxon (itself at species level), -1 for unknown

    Returns
    -------
    shares at Top-1/5/10, number of queries, number of candidate groups
    """
    of_query, of_target = groups[query.taxon], groups[target.taxon]
    candidates = np.unique(of_target[of_target >= 0])
    asked = np.isin(of_query, candidates)
    if not asked.any():
        return {top: float("nan") for top in TOPS}, 0, len(candidates)
    similarity = query.vectors[asked] @ target.vectors.T
    best = np.stack([similarity[:, of_target == group].max(axis=1) for group in candidates], axis=1)
    right = np.searchsorted(candidates, of_query[asked])
    position = (best > best[np.arange(len(best)), right][:, None]).sum(axis=1)
    return {top: float((position < top).mean()) for top in TOPS}, int(asked.sum()), len(candidates)


def group_rows(taxa: Sequence[Taxon], level: str) -> np.ndarray:
    """Group of each taxon at a rank, -1 where the rank is unknown."""
    names = [taxon.at(level) for taxon in taxa]
    known = {name: row for row, name in enumerate(sorted(set(names) - {""}))}
    return np.array([known.get(name, -1) for name in names])


def table(embedded: dict[str, Embedded], taxa: Sequence[Taxon]) -> list[Retrieval]:
    """All directions at all levels."""
    rows = []
    for level in LEVELS:
        groups = group_rows(taxa, level)
        for query, target in DIRECTIONS:
            top, queries, candidates = retrieve(embedded[query], embedded[target], groups)
            rows.append(Retrieval(query, target, level, top, queries, candidates))
    return rows


def summary(embedded: dict[str, Embedded], taxa: Sequence[Taxon]) -> dict[str, float]:
    """The few figures logged during training: species Top-1 and Top-5 of three directions that have queries."""
    groups = group_rows(taxa, "species")
    figures: dict[str, float] = {}
    for query, target in (("audio", "text"), ("audio", "image"), ("image", "text")):
        top, queries, _ = retrieve(embedded[query], embedded[target], groups)
        if queries:
            figures |= {f"{query}_{target}_top{k}": round(top[k], 4) for k in (1, 5)}
    return figures
