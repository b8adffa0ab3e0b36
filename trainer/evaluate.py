"""Retrieval between sound, pictures and text: six directions, three ranks, Top-1/5/10.

Protocol: a query ranks the taxa of the other modality by their best sample (BioVITA, released evaluation code). A
recording is the mean of its windows. Queries and candidates are held-out samples only; at genus and family the samples
of a group are those of all its species. Text has one entry per taxon, "scientific name with common name X".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gallery import PROMPT_FORMS, Index, Taxon, Vocabulary, loud
from trainer.bank import TextBank
from trainer.benchmark.layout import DIRECTIONS, LEVELS
from trainer.heard import Heard, identified, uncalibrated
from trainer.models.vita import Vita

TOPS = (1, 5, 10)
TEXT_FORM = "scientific_common"


@dataclass(frozen=True)
class Embedded:
    """Vectors [n, dim] of one modality and the taxon of each."""

    vectors: np.ndarray
    taxon: np.ndarray


@dataclass(frozen=True)
class Retrieval:
    """Share of queries whose correct group is among the first 1, 5 and 10."""

    query: str
    target: str
    level: str
    top: dict[int, float]
    queries: int
    candidates: int


def recording_vectors(heard: Heard) -> Embedded:
    """One vector per recording: the mean of its windows above the level of silence, or of all windows."""
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
    return shares(positions(identified(heard, vocabulary), heard.taxon), TOPS)


def positions(scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Rank [n] of the column `right` [n] in each row of scores [n, m], counted from 0; ties count for the query."""
    return (scores > scores[np.arange(len(scores)), right][:, None]).sum(axis=1)


def shares(position: np.ndarray, tops: Sequence[int]) -> dict[int, float]:
    """Share of positions [n], counted from 0, among the first k, for each k."""
    return {top: float((position < top).mean()) for top in tops}


def embed_all(model: Vita, bank: TextBank, heard: Heard, photos: Embedded, device: torch.device) -> dict[str, Embedded]:
    """Vectors of the three modalities."""
    texts = bank.embed_form(model.text, PROMPT_FORMS.index(TEXT_FORM), device).cpu().numpy()
    return {
        "audio": recording_vectors(heard),
        "image": photos,
        "text": Embedded(texts, np.arange(bank.taxa)),
    }


def retrieve(query: Embedded, target: Embedded, groups: np.ndarray) -> tuple[dict[int, float], int, int]:
    """Rank the groups of the targets for every query whose group is among them.

    Parameters
    ----------
    query, target : vectors with their taxa
    groups : [taxa] group of each taxon (itself at species level), -1 if unknown

    Returns
    -------
    Shares at Top-1/5/10, number of queries, number of candidate groups.
    """
    of_query, of_target = groups[query.taxon], groups[target.taxon]
    candidates = np.unique(of_target[of_target >= 0])
    asked = np.isin(of_query, candidates)
    if not asked.any():
        return {top: float("nan") for top in TOPS}, 0, len(candidates)
    similarity = query.vectors[asked] @ target.vectors.T
    best = np.stack([similarity[:, of_target == group].max(axis=1) for group in candidates], axis=1)
    right = np.searchsorted(candidates, of_query[asked])
    return shares(positions(best, right), TOPS), int(asked.sum()), len(candidates)


def group_rows(taxa: Sequence[Taxon], level: str) -> np.ndarray:
    """Group of each taxon at a rank, -1 if the rank is unknown."""
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
    """Metrics logged during training: species Top-1 and Top-5.

    Recordings are identified by names as on the device; retrieval with photos is included if there are any.
    """
    groups = group_rows(taxa, "species")
    named = identification(heard, embedded["text"].vectors, taxa)
    metrics = {f"audio_text_top{k}": round(named[k], 4) for k in (1, 5)}
    for query, target in (("audio", "image"), ("image", "text")):
        top, queries, _ = retrieve(embedded[query], embedded[target], groups)
        if queries:
            metrics |= {f"{query}_{target}_top{k}": round(top[k], 4) for k in (1, 5)}
    return metrics
