"""Decision parameters of a pack built from a classifier: the weight of recordings beside class vectors.

Where only a class vector speaks, the confidence stays the classifier's own: slope 1, offset 0. What is fitted is a
logistic regression of "this taxon sounds in this window" for taxa with recordings: on their cosine where there is no
class vector, on the class vector's logit, the recordings' linear discriminant and their number where there is one, and
on the quality of the window. It is fitted on single recordings, mixtures, noise, and foreign sound: the single
recordings of taxa with a class vector, whose own recordings are taken out of the gallery, so that those of their
relatives have to stay below the class.

A gallery has recordings of what somebody expects to hear, so all of them are then made likelier, by the same log-odds.
By how much is what gives the best ranks among the steps of `LIKELIER` whose confidences can be believed (`MOST_ERROR`)
and that name no more noise than `MOST_NOISE` of it beyond what the classifier names itself. The ranks of foreign sound
count among these: what makes recordings likelier lowers what has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gallery import DecisionParameters, Vocabulary, recognise
from gallery.parameters import INDEPENDENT
from gallery.pooling import Pool
from trainer.reliability import calibration_error, reliability
from trainer.trunk.held_out import FOLDS, NONE, Evidence, Query, evidence, odds_of

ENTRIES = 3.0  # recordings that a class vector counts as in their mean; 2 and 5 give ranks within a point
LIKELIER = tuple(step / 10 for step in range(16))
LOWERED = 0.5  # most that recordings take from a class vector's logit: they are few, and of other places
THRESHOLD = 0.25  # BirdNET's own default
MOST_ERROR = 0.08  # expected calibration error of single recordings, and of mixtures
MOST_NOISE = 0.05
POOL = 3
LIKELIEST = 10
REST = 5  # taxa without recordings that can stand before others among the first five
SURE = 16.0  # log-odds beyond which confidences in single precision do not differ
STEPS = 50  # of Newton's method
RIDGE = 1e-6
LEAST_OWN = 0.05  # of the class vector in a taxon's log-odds, and of the recordings
LEAST_SCALE = 1.0

TOPS = {"single": (1, 5), "mixture": (2, 5)}
FOREIGN = "foreign"
RANKED = {**TOPS, FOREIGN: (1, 5)}


@dataclass(frozen=True, eq=False)
class Material:
    """Evidence on sound of each kind, and the best log-odds of taxa without recordings.

    Attributes
    ----------
    sets : of each kind
    rest : of each kind [windows, REST]
    pooled : of each kind [queries, REST], as a recording's are
    folds : of each kind the folds of every query
    """

    sets: dict[str, Evidence]
    rest: dict[str, np.ndarray]
    pooled: dict[str, np.ndarray]
    folds: dict[str, list[tuple[int, ...]]]

    def without(self, fold: int) -> Material:
        """What no source of a fold takes part in."""
        sets, rest, pooled, folds = {}, {}, {}, {}
        for name, found in self.sets.items():
            kept = np.array([fold not in of_one for of_one in self.folds[name]])
            of_window = np.repeat(kept, np.diff(np.r_[found.first, len(found.truth)]))
            sets[name], rest[name] = found.of(of_window), self.rest[name][of_window]
            pooled[name] = self.pooled[name][kept]
            folds[name] = [of_one for of_one, keep in zip(self.folds[name], kept) if keep]
        return Material(sets, rest, pooled, folds)


def starting() -> DecisionParameters:
    """Parameters before fitting; names and photos count only for taxa without a class vector."""
    return DecisionParameters(
        scale={"text": 20.0, "image": 20.0, "audio": 20.0},
        bias={"text": -8.0, "image": -8.0, "audio": -5.2},
        weight={"text": 0.25, "image": 0.25, "audio": 1.0},
        null_logit=0.0,
        slope=1.0,
        offset=0.0,
        threshold=THRESHOLD,
        floor=0.5,
        evidence=3.0,
        silence_dbfs=-85.0,
        pool_windows=POOL,
        rule=INDEPENDENT,
        beside_class={"audio": 1.5},
        class_scale=30.0,
        class_bias=3.0,
        class_lowered=LOWERED,
    )


def read(queries: Mapping[str, Sequence[Query]]) -> Material:
    """Evidence in single, mixture and noise, and foreign sound."""
    rest = {name: best_of_others(found) for name, found in queries.items()}
    pooled = {name: pooled_of_others(found) for name, found in queries.items()}
    folds = {name: [query.folds for query in found] for name, found in queries.items()}
    sets = {name: evidence(found, ENTRIES) for name, found in queries.items()}
    return with_foreign(Material(sets, rest, pooled, folds))


def with_foreign(material: Material) -> Material:
    """The same with foreign sound, made of the single recordings."""
    found = material.sets["single"]
    known = ~(found.truth & ~found.has_class).any(axis=1)
    kept = known[found.first]
    folds = [of_one for of_one, keep in zip(material.folds["single"], kept) if keep]
    return Material(
        {**material.sets, FOREIGN: found.foreign()},
        {**material.rest, FOREIGN: material.rest["single"][known]},
        {**material.pooled, FOREIGN: material.pooled["single"][kept]},
        {**material.folds, FOREIGN: folds},
    )


def fit_fusion(material: Material, parameters: DecisionParameters) -> DecisionParameters:
    """Fit how recordings count; all else of the parameters is kept."""
    plain, named = regression(material, parameters), noise_named(material, None)
    tried = list[tuple[bool, float, DecisionParameters]]()
    for more in LIKELIER:
        one = likelier(plain, more)
        error = max(error_of(material, name, one) for name in TOPS)
        believed = error <= MOST_ERROR and noise_named(material, one) <= named + MOST_NOISE
        tried.append((believed, sum(ranks(material, name, one, tops) for name, tops in RANKED.items()), one))
    return max(tried, key=lambda one: (one[0], one[1] if one[0] else -tried.index(one)))[2]


def nested(material: Material, parameters: DecisionParameters) -> list[DecisionParameters]:
    """Of each fold, parameters fitted on sources of other folds alone."""
    return [fit_fusion(material.without(fold), parameters) for fold in range(FOLDS)]


def regression(material: Material, parameters: DecisionParameters) -> DecisionParameters:
    """The likeliest parameters.

    Each kind of sound counts alike, and so do the taxa in it; a single recording counts by its window that is surest of
    its own taxon.
    """
    inputs, truth, share = [], [], []
    for name, found in material.sets.items():
        rows = surest(found, found.fused(parameters)) if name == "single" else np.arange(len(found.truth))
        weight = fair(found.truth[rows])
        there = ~np.isnan(found.by_recordings[rows])
        taxa = np.nonzero(there)[1]
        has_class, said = found.has_class[taxa].astype(float), found.by_recordings[rows][there]
        by_class = np.clip(found.by_class[rows][there], -SURE, SURE)
        quality = np.repeat(found.quality[rows], there.sum(axis=1), axis=0)
        count = np.log1p(found.count[rows][there])
        inputs.append(
            np.stack(
                [
                    by_class * has_class,
                    said * has_class,
                    count * has_class,
                    has_class,
                    said * (1 - has_class),
                    1 - has_class,
                    *quality.T,
                ]
            )
        )
        truth.append(found.truth[rows][there])
        share.append(np.repeat(weight, there.sum(axis=1)) / len(rows))
    x, y, by = np.concatenate(inputs, axis=1), np.concatenate(truth), np.concatenate(share)
    weights = logistic(x, y, by)
    of_class, beside, by_count, constant, alone, alone_constant, by_mean, by_length = weights.tolist()
    usual = float(by @ (by_mean * x[-2] + by_length * x[-1]) / by.sum())  # taken out, for galleries without classes
    own = min(max(of_class, LEAST_OWN), 1.0 - LEAST_OWN)
    return replace(
        parameters,
        scale={**parameters.scale, "audio": round(max(alone, LEAST_SCALE), 2)},
        bias={**parameters.bias, "audio": round(alone_constant + usual, 3)},
        beside_class={"audio": round(1.0 / own - 1.0, 3)},
        class_entries=ENTRIES,
        class_scale=round(max(beside, LEAST_SCALE) / (1.0 - own), 2),
        class_bias=round((constant + usual) / (1.0 - own), 3),
        class_count=round(by_count / (1.0 - own), 3),
        quality_mean=round(by_mean, 4),
        quality_length=round(by_length, 4),
        quality_bias=round(-usual, 3),
    )


def logistic(inputs: np.ndarray, truth: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Weights [inputs] of the logistic regression of truth [n] on inputs [inputs, n], weighed by share [n], by Newton's
    method with steps halved until they help."""
    weights = np.zeros(len(inputs))

    def loss(at: np.ndarray) -> float:
        z = at @ inputs
        return float((share * np.logaddexp(0.0, np.where(truth, -z, z))).sum() + RIDGE * at @ at / 2)

    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(weights @ inputs, -50.0, 50.0)))
        gradient = inputs @ (share * (p - truth)) + RIDGE * weights
        curvature = (inputs * (share * p * (1.0 - p))) @ inputs.T + RIDGE * np.eye(len(inputs))
        step, before = np.linalg.solve(curvature, gradient), loss(weights)
        while loss(weights - step) > before and np.abs(step).max() > 1e-6:
            step /= 2
        weights = weights - step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def fair(truth: np.ndarray) -> np.ndarray:
    """Weight [windows] by which every taxon of truth [windows, taxa] counts alike; 1 on average, and 1 of noise."""
    counts = truth.sum(axis=0)
    if not counts.any():
        return np.ones(len(truth))
    weight = truth @ (1.0 / np.maximum(counts, 1))
    return np.asarray(weight / weight.mean())


def likelier(parameters: DecisionParameters, more: float) -> DecisionParameters:
    """Parameters by which every taxon with recordings has log-odds higher by so much."""
    weight = parameters.beside_class["audio"]
    return replace(
        parameters,
        bias={**parameters.bias, "audio": round(parameters.bias["audio"] + more, 3)},
        class_bias=round(parameters.class_bias + more * (1.0 + weight) / weight, 3),
    )


def fused_odds(material: Material, name: str, parameters: DecisionParameters | None) -> np.ndarray:
    """[windows, taxa with recordings and REST others]; None is the classifier alone."""
    found = material.sets[name]
    fused = found.by_class if parameters is None else found.fused(parameters)
    return np.concatenate([fused, material.rest[name]], axis=1)


def noise_named(material: Material, parameters: DecisionParameters | None) -> float:
    """Share of the noise in which a species reaches the threshold."""
    least = np.log(THRESHOLD / (1.0 - THRESHOLD))
    return float((fused_odds(material, "noise", parameters) >= least).any(axis=1).mean())


def error_of(material: Material, name: str, parameters: DecisionParameters) -> float:
    """Expected calibration error of the likeliest taxa, of a recording in the window surest of its own taxon."""
    odds, found = fused_odds(material, name, parameters), material.sets[name]
    truth = np.concatenate([found.truth, np.zeros((len(odds), REST), bool)], axis=1)
    best = surest(found, odds[:, : found.truth.shape[1]])
    confidences = 1.0 / (1.0 + np.exp(-odds[best]))
    likeliest = np.argsort(-confidences, axis=1)[:, :LIKELIEST]
    at_them = [np.take_along_axis(values, likeliest, axis=1).ravel() for values in (confidences, truth[best])]
    return calibration_error(*at_them)


def surest(found: Evidence, odds: np.ndarray) -> np.ndarray:
    """Row [queries] of the window surest of a taxon that sounds in it, by log-odds [windows, taxa]."""
    own = np.where(found.truth, odds, NONE).max(axis=1)
    ends = np.r_[found.first[1:], len(odds)]
    return np.array([start + int(own[start:end].argmax()) for start, end in zip(found.first, ends)])


def ranks(material: Material, name: str, parameters: DecisionParameters, tops: tuple[int, int]) -> float:
    """Sum of the shares of taxa that are among the first names, with log-odds pooled as a recording's are."""
    found = material.sets[name]
    odds, ends = found.fused(parameters), np.r_[found.first[1:], len(found.truth)]
    positions: list[int] = []
    for start, end, others in zip(found.first, ends, material.pooled[name]):
        best = np.concatenate([best_windows(odds[start:end]), others])
        positions += [int((best > best[row]).sum()) for row in np.flatnonzero(found.truth[start])]
    return float(sum((np.array(positions) < top).mean() for top in tops))


def best_windows(odds: np.ndarray) -> np.ndarray:
    """[taxa] mean log-odds of the best windows [windows, taxa], as `gallery.recognition.Pool` has it."""
    return np.asarray(np.sort(np.clip(odds, -SURE, SURE), axis=0)[-POOL:].mean(axis=0))


def best_of_others(found: Sequence[Query]) -> np.ndarray:
    """Best log-odds [windows, REST] of the taxa without recordings."""
    return np.concatenate([odds_of(np.partition(query.others, -REST, axis=1)[:, -REST:]) for query in found])


def pooled_of_others(found: Sequence[Query]) -> np.ndarray:
    """Best log-odds [queries, REST] of the taxa without recordings over a whole recording."""
    return np.stack([np.sort(best_windows(odds_of(query.others)))[-REST:] for query in found])


def measure(
    found: Sequence[Query], parameters: DecisionParameters | Sequence[DecisionParameters], tops: tuple[int, int]
) -> dict[str, Any]:
    """What parameters reach on queries over all taxa, through `gallery.recognise`, pooled as a recording is.

    Taxa do not compete by the rule `independent`, so those without recordings are recognised once.

    Parameters
    ----------
    parameters : of all, or of each; their thresholds are the same
    """
    of_each = [parameters] * len(found) if isinstance(parameters, DecisionParameters) else list(parameters)
    positions: list[int] = []
    confidences, truth = [], []
    for query, own_parameters in zip(found, of_each, strict=True):
        vocabulary = Vocabulary(query.index, own_parameters)
        own = recognise(query.windows, query.levels, vocabulary)
        place = {taxon.scientific_name: row for row, taxon in enumerate(vocabulary.taxa)}
        right = [place[query.index.taxa[row].scientific_name] for row in query.taxa if has_name(query, row, place)]
        pool = Pool(len(vocabulary) + query.others.shape[1], own_parameters)
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
    told = reliability(np.stack(confidences), np.stack(truth), of_each[0].threshold).to_dict()
    named = {f"top{top}": round(float((np.array(positions) < top).mean()), 4) for top in tops} if positions else {}
    return {**named, **told}


def has_name(query: Query, row: int, place: dict[str, int]) -> bool:
    """Whether a taxon of a query can be named by its gallery at all."""
    return query.index.taxa[row].scientific_name in place
