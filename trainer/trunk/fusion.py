"""Decision parameters of a pack built from a classifier: the weight of recordings beside class vectors.

For a taxon with only a class vector, the confidence is the classifier's own: slope 1, offset 0. Fitted are the scale
and bias of the recordings' cosine, their weight beside a class vector, and the number of recordings that a class vector
counts for in their mean. Among the parameters with a calibration error up to `MAX_ERROR`, and with detections in at
most `MAX_NOISE` more of the noise than the classifier alone, those with the best ranks are chosen. Maximum likelihood
gives ranks that are two points worse, because it is dominated by taxa that are easily separated.
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
ZEROS = (0.18, 0.22, 0.26, 0.30)  # cosine with log-odds of zero
WEIGHTS = (1.0, 2.0, 3.0, 4.0, 6.0)
ENTRIES = (2.0, 3.0, 5.0)
THRESHOLD = 0.25  # BirdNET's own default
MAX_ERROR = 0.08  # expected calibration error of single recordings, and of mixtures
MAX_NOISE = 0.05
POOL = 3
LIKELIEST = 10
REST = 5  # taxa without recordings that can be among the first five


@dataclass(frozen=True, eq=False)
class Material:
    """Evidence on single recordings, mixtures and noise, and the best log-odds of taxa without recordings.

    Attributes
    ----------
    rest : [windows, REST] of each set
    """

    sets: dict[str, Evidence]
    rest: dict[str, np.ndarray]


def starting(threshold: float = THRESHOLD) -> DecisionParameters:
    """Parameters before fitting; names and photos count only for taxa without a class vector."""
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
    """Parameters with scale, zero and weight of recordings, and entries of a class vector."""
    return replace(
        parameters,
        scale={**parameters.scale, "audio": scale},
        bias={**parameters.bias, "audio": round(-scale * zero, 4)},
        beside_class={"audio": weight},
        class_entries=entries,
    )


def fit_fusion(queries: dict[str, Sequence[Query]], parameters: DecisionParameters) -> DecisionParameters:
    """Fit the parameters of recordings.

    Parameters
    ----------
    queries : single, mixture and noise
    parameters : all others are kept
    """
    rest = {name: best_of_others(found) for name, found in queries.items()}
    tried: list[tuple[bool, float, DecisionParameters]] = []
    for entries in ENTRIES:
        material = Material({name: evidence(found, entries) for name, found in queries.items()}, rest)
        named = noise_named(material, None)
        for scale, zero, weight in product(SCALES, ZEROS, WEIGHTS):
            at = (scale, -scale * zero, weight)
            error = max(error_of(material, name, at) for name in ("single", "mixture"))
            calibrated = error <= MAX_ERROR and noise_named(material, at) <= named + MAX_NOISE
            rank = sum(ranks(material, name, at, tops) for name, tops in (("single", (1, 5)), ("mixture", (2, 5))))
            tried.append(
                (calibrated, rank if calibrated else -error, with_recordings(parameters, scale, zero, weight, entries))
            )
    return max(tried, key=lambda one: one[:2])[2]


def fused_odds(material: Material, name: str, at: tuple[float, float, float] | None) -> np.ndarray:
    """Log-odds [windows, taxa with recordings and REST others]."""
    found = material.sets[name]
    fused = found.by_class if at is None else found.fused(*at)
    return np.concatenate([fused, material.rest[name]], axis=1)


def noise_named(material: Material, at: tuple[float, float, float] | None) -> float:
    """Share of the noise in which a species reaches the threshold."""
    least = np.log(THRESHOLD / (1.0 - THRESHOLD))
    return float((fused_odds(material, "noise", at) >= least).any(axis=1).mean())


def error_of(material: Material, name: str, at: tuple[float, float, float]) -> float:
    """Expected calibration error of the most likely taxa, in the best window of each recording for its own taxon."""
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
    """Sum of the shares of taxa among the first k, with log-odds pooled over a recording."""
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
    """Metrics of parameters on queries over all taxa, by `gallery.recognise`, pooled over a recording.

    Taxa do not compete under the rule `independent`, so those without recordings are scored once.
    """
    positions: list[int] = []
    confidences, truth = [], []
    for query in found:
        vocabulary = Vocabulary(query.index, parameters)
        own = recognise(query.windows, query.levels, vocabulary)
        place = {taxon.scientific_name: row for row, taxon in enumerate(vocabulary.taxa)}
        names = [query.index.taxa[row].scientific_name for row in query.taxa]
        right = [place[name] for name in names if name in place]
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
    metrics = reliability(np.stack(confidences), np.stack(truth), parameters.threshold).to_dict()
    named = {f"top{top}": round(float((np.array(positions) < top).mean()), 4) for top in tops} if positions else {}
    return {**named, **metrics}
