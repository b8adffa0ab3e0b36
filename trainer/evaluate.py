"""Retrieval between sound, picture and text: six directions, three ranks, Top-1/5/10.

Protocol: a query ranks the taxa of the other side; a taxon's score is that of its best sample (BioVITA, released
evaluation code). A recording is the mean of its windows. Queries and candidates are held-out samples only; at genus
and family the samples of a group are those of all its species. A text side has one entry a taxon, "scientific name
with common name X".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gallery import PROMPT_FORMS, Index, Taxon, Vocabulary, loud
from trainer.bank import TextBank
from trainer.heard import Heard, identified, uncalibrated
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


def recording_vectors(heard: Heard) -> Embedded:
    """One vector a recording: the mean of its windows above the level of silence, of all where none is."""
    parameters = uncalibrated(("text",))
    vectors = []
    for windows, levels in zip(heard.windows, heard.levels, strict=True):
        kept = loud(levels, parameters)
        mean = windows[kept if kept.any() else slice(None)].mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))
    return Embedded(np.stack(vectors), heard.taxon)


def identification(heard: Heard, texts: np.ndarray, taxa: Sequence[Taxon]) -> dict[int, float]:
    """Share of recordings whose species is among the first 1, 5 and 10 names, identified as on the device.

    Parameters
    ----------
    texts : [taxa, dim] unit vectors of the names
    """
    vocabulary = Vocabulary(Index(taxa, {"text": texts}), uncalibrated(("text",)))
    confidences = identified(heard, vocabulary)
    right = confidences[np.arange(len(heard)), heard.taxon]
    position = (confidences > right[:, None]).sum(axis=1)
    return {top: float((position < top).mean()) for top in TOPS}


def embed_all(model: Vita, bank: TextBank, heard: Heard, photos: Embedded, device: torch.device) -> dict[str, Embedded]:
    """Vectors of the three modalities; those of the photos are given."""
    texts = bank.embed_form(model.text, PROMPT_FORMS.index(TEXT_FORM), device).cpu().numpy()
    return {
        "audio": recording_vectors(heard),
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


def summary(embedded: dict[str, Embedded], heard: Heard, taxa: Sequence[Taxon]) -> dict[str, float]:
    """The few metrics logged during training: species Top-1 and Top-5.

    Sound is identified by the names as on the device; photos are retrieved, where any are asked for.
    """
    groups = group_rows(taxa, "species")
    named = identification(heard, embedded["text"].vectors, taxa)
    metrics = {f"audio_text_top{k}": round(named[k], 4) for k in (1, 5)}
    for query, target in (("audio", "image"), ("image", "text")):
        top, queries, _ = retrieve(embedded[query], embedded[target], groups)
        if queries:
            metrics |= {f"{query}_{target}_top{k}": round(top[k], 4) for k in (1, 5)}
    return metrics
