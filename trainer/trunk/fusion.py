"""How much recordings count beside class vectors: decision parameters of a pack made of a classifier.

Where only a class vector speaks, the confidence stays the classifier's own: slope 1, offset 0. What is fitted are the
scale and bias of the recordings' cosine, their weight beside a class vector, and for how many recordings a class vector
counts in their mean. Among the parameters whose confidences can be believed (`MOST_ERROR`) and that name no more noise
than `MOST_NOISE` of it beyond what the classifier names itself, those with the best ranks are taken. By likelihood
alone the ranks are two points worse: it spends the fit on separating what nobody confuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from gallery import DecisionParameters, Vocabulary, recognise
from gallery.parameters import INDEPENDENT
from gallery.pooling import Pool
from trainer.reliability import calibration_error, reliability
from trainer.trunk.held_out import NONE, Evidence, Query, evidence, odds_of

SCALES = (12.0, 15.0, 20.0, 25.0)
ZEROS = (0.18, 0.22, 0.26, 0.30)  # cosine that is evidence neither for nor against
WEIGHTS = (1.0, 2.0, 3.0, 4.0, 6.0)
ENTRIES = (2.0, 3.0, 5.0)
THRESHOLD = 0.25  # BirdNET's own default
MOST_ERROR = 0.08  # expected calibration error of single recordings, and of mixtures
MOST_NOISE = 0.05
POOL = 3
LIKELIEST = 10
REST = 5  # taxa without recordings that can stand before others among the first five


@dataclass(frozen=True, eq=False)
class Material:
    """Evidence on single recordings, mixtures and noise, and the best log-odds of the taxa without recordings.

    Attributes
    ----------
    rest : of each set [windows, REST]
    """

    sets: dict[str, Evidence]
    rest: dict[str, np.ndarray]


def starting(threshold: float = THRESHOLD) -> DecisionParameters:
    """Parameters before the recordings' are fitted; names and photos count only for taxa without a class vector."""
    return DecisionParameters(
        scale={"text": 20.0, "image": 20.0, "audio": 20.0},
        bias={"text": -8.0, "image": -8.0, "audio": -5.2},
        weight={"text": 0.25, "image": 0.25, "audio": 1.0},
        null_logit=0.0,
        slope=1.0,
        offset=0.0,
        threshold=threshold,
        floor=0.5,
        evidence=3.0,
        silence_dbfs=-85.0,
        pool_windows=POOL,
        rule=INDEPENDENT,
    )


def with_recordings(
    parameters: DecisionParameters, scale: float, zero: float, weight: float, entries: float
) -> DecisionParameters:
    """Parameters in which recordings count so."""
    return replace(
        parameters,
        scale={**parameters.scale, "audio": scale},
        bias={**parameters.bias, "audio": round(-scale * zero, 4)},
        beside_class={"audio": weight},
        class_entries=entries,
    )


def fit_fusion(queries: dict[str, Sequence[Query]], parameters: DecisionParameters) -> DecisionParameters:
    """Fit how recordings count.

    Parameters
    ----------
    queries : single, mixture and noise
    parameters : of which all else is kept
    """
    rest = {name: best_of_others(found) for name, found in queries.items()}
    tried: list[tuple[bool, float, DecisionParameters]] = []
    for entries in ENTRIES:
        material = Material({name: evidence(found, entries) for name, found in queries.items()}, rest)
        named = noise_named(material, None)
        for scale, zero, weight in product(SCALES, ZEROS, WEIGHTS):
            at = (scale, -scale * zero, weight)
            error = max(error_of(material, name, at) for name in ("single", "mixture"))
            believed = error <= MOST_ERROR and noise_named(material, at) <= named + MOST_NOISE
            rank = sum(ranks(material, name, at, tops) for name, tops in (("single", (1, 5)), ("mixture", (2, 5))))
            tried.append(
                (believed, rank if believed else -error, with_recordings(parameters, scale, zero, weight, entries))
            )
    return max(tried, key=lambda one: one[:2])[2]


def fused_odds(material: Material, name: str, at: tuple[float, float, float] | None) -> np.ndarray:
    """[windows, taxa with recordings and REST others]."""
    found = material.sets[name]
    fused = found.by_class if at is None else found.fused(*at)
    return np.concatenate([fused, material.rest[name]], axis=1)


def noise_named(material: Material, at: tuple[float, float, float] | None) -> float:
    """Share of the noise in which a species reaches the threshold."""
    least = np.log(THRESHOLD / (1.0 - THRESHOLD))
    return float((fused_odds(material, "noise", at) >= least).any(axis=1).mean())


def error_of(material: Material, name: str, at: tuple[float, float, float]) -> float:
    """Expected calibration error of the likeliest taxa, of a recording in the window surest of its own taxon."""
    odds, found = fused_odds(material, name, at), material.sets[name]
    truth = np.concatenate([found.truth, np.zeros((len(odds), REST), bool)], axis=1)
    own = np.where(truth, odds, NONE).max(axis=1)
    ends = np.r_[found.first[1:], len(odds)]
    best = np.array([start + int(own[start:end].argmax()) for start, end in zip(found.first, ends)])
    confidences = 1.0 / (1.0 + np.exp(-odds[best]))
    likeliest = np.argsort(-confidences, axis=1)[:, :LIKELIEST]
    at_them = [np.take_along_axis(values, likeliest, axis=1).ravel() for values in (confidences, truth[best])]
    return calibration_error(*at_them)


def ranks(material: Material, name: str, at: tuple[float, float, float], tops: tuple[int, int]) -> float:
    """Sum of the shares of taxa that are among the first names, with log-odds pooled as a recording's are."""
    odds, found = fused_odds(material, name, at), material.sets[name]
    ends = np.r_[found.first[1:], len(odds)]
    positions: list[int] = []
    for start, end in zip(found.first, ends):
        best = np.sort(odds[start:end], axis=0)[-POOL:].mean(axis=0)
        positions += [int((best > best[row]).sum()) for row in np.flatnonzero(found.truth[start])]
    return float(sum((np.array(positions) < top).mean() for top in tops))


def best_of_others(found: Sequence[Query]) -> np.ndarray:
    """Best log-odds [windows, REST] of the taxa without recordings."""
    return np.concatenate([odds_of(np.partition(query.others, -REST, axis=1)[:, -REST:]) for query in found])


def measure(found: Sequence[Query], parameters: DecisionParameters, tops: tuple[int, int]) -> dict[str, Any]:
    """What parameters reach on queries over all taxa, through `gallery.recognise`, pooled as a recording is.

    Taxa do not compete by the rule `independent`, so those without recordings are recognised once.
    """
    positions: list[int] = []
    confidences, truth = [], []
    for query in found:
        vocabulary = Vocabulary(query.index, parameters)
        own = recognise(query.windows, query.levels, vocabulary)
        place = {taxon.scientific_name: row for row, taxon in enumerate(vocabulary.taxa)}
        right = [place[query.index.taxa[row].scientific_name] for row in query.taxa if row_named(query, row, place)]
        pool = Pool(len(vocabulary) + query.others.shape[1], parameters)
        windows = [
            replace(window, confidences=np.concatenate([window.confidences, others]))
            for window, others in zip(own, query.others)
        ]
        for window in windows:
            pool.add(window)
        together = pool.confidences()
        positions += [int((together > together[row]).sum()) for row in right]
        positions += [len(together)] * (len(query.taxa) - len(right))
        most = np.max([window.confidences for window in windows], axis=0)
        kept = np.union1d(np.argsort(-most)[:LIKELIEST], right).astype(int)
        row = np.zeros((2, len(query.taxa) + LIKELIEST))
        row[0, : len(kept)], row[1, : len(kept)] = most[kept], np.isin(kept, right)
        confidences.append(row[0])
        truth.append(row[1] > 0)
    told = reliability(np.stack(confidences), np.stack(truth), parameters.threshold).to_dict()
    named = {f"top{top}": round(float((np.array(positions) < top).mean()), 4) for top in tops} if positions else {}
    return {**named, **told}


def row_named(query: Query, row: int, place: dict[str, int]) -> bool:
    """Whether a taxon of a query can be named by its gallery at all."""
    return query.index.taxa[row].scientific_name in place
