"""The one place where sound is named: window vectors and levels in, what each window holds out.

Several animals can be heard in one window, so each taxon is judged by itself. With the logits z of a window's vector v
(`Vocabulary.logits`), the log-odds of taxon i are ``x_i = z_i - log(e^null + sum_j e^z_j)`` over the taxa j that do not
sound together with i. Which do is found as in matching pursuit (Mallat and Zhang, IEEE Transactions on Signal
Processing, 1993): the likeliest taxon is taken out of v, the likeliest of what is left is next. The coefficients of the
taxa that were found are those of non-negative least squares. A taxon that was found is judged with the others taken
out; so another animal in the window does not lower its confidence, while a taxon that only resembles it does. The
confidence is ``sigmoid(slope x_i + offset)``, fitted on held-out sound (Platt, 1999).

That is the rule ``pursuit``, for a space that says what is similar to what. A classifier of many labels was trained to
answer for each of them beside the others: by the rule ``independent`` its logits are the log-odds, ``x_i = z_i``. One
that was trained to tell which label holds ends with a softmax: by the rule ``shared`` x_i is as above, over all taxa.

What no detected species explains can still be told apart at a higher rank: with the detected species taken out, the
deepest group whose summed probability reaches the floor. Last comes what people reviewed: `gallery.reviewed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gallery.parameters import INDEPENDENT, PURSUIT, SHARED, DecisionParameters
from gallery.reviewed import reconsidered
from gallery.taxon import Taxon
from gallery.vocabulary import Vocabulary, unit

MOST_SPECIES = 6  # in one window
LEAST_LEFT = 0.5  # length, 1 at first, that what is left of a window is taken for at least: less is no song
ROUNDING = 1e-3  # of log-odds: more than a product of other rounding differs by
LEAST_FOUND = 0.1  # confidence below which nothing more is looked for in what is left


@dataclass(frozen=True)
class Candidate:
    """A species that may be heard.

    Attributes
    ----------
    scientific_name, common_name : str
    confidence : float
        Calibrated probability that it is heard.
    similarity : float
        Cosine with the species, over its modalities as they are weighed.
    """

    scientific_name: str
    common_name: str
    confidence: float
    similarity: float


@dataclass(frozen=True)
class Detection:
    """A taxon that is heard, at the deepest rank that is sure enough.

    Attributes
    ----------
    taxon_rank : str
    scientific_name : str
        Of the taxon; at ranks above the species the name of the group.
    common_name : str
        Of a species; empty at other ranks.
    path : tuple of str
        Names of the taxon and of what it lies in, from the kingdom down.
    confidence : float
    candidates : tuple of Candidate
        The likeliest species inside the taxon; a species is its own and only one.
    """

    taxon_rank: str
    scientific_name: str
    common_name: str
    path: tuple[str, ...]
    confidence: float
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, eq=False)
class Recognition:
    """What one window holds.

    Attributes
    ----------
    heard : bool
        False for a window below the level of silence: nothing was compared.
    confidences : numpy.ndarray
        [n_taxa] float32; zeros when not heard.
    detections : tuple of Detection
        Most confident first, species before groups.
    anything : float
        Log-odds that any taxon of the vocabulary is heard, against nothing; -inf when not heard.
    """

    heard: bool
    confidences: np.ndarray
    detections: tuple[Detection, ...]
    anything: float


def loud(levels_dbfs: np.ndarray | Sequence[float], parameters: DecisionParameters) -> np.ndarray:
    """Which windows are above the level of silence and are to be encoded: [n] -> [n] bool."""
    return np.asarray(levels_dbfs, float) >= parameters.silence_dbfs


def recognise(
    vectors: np.ndarray,
    levels_dbfs: np.ndarray | Sequence[float],
    vocabulary: Vocabulary,
    top: int = 5,
    most: int = MOST_SPECIES,
) -> list[Recognition]:
    """Name what windows hold.

    Parameters
    ----------
    vectors : numpy.ndarray
        [n, dim], as the encoder gives them; rows of windows that are not `loud` are not looked at.
    levels_dbfs : numpy.ndarray
        [n] RMS level of each window.
    vocabulary : Vocabulary
    top : int
        Most candidates of a detection above the species.
    most : int
        Most species in one window; 1 for windows that are known to hold one.

    Raises
    ------
    GalleryError
        The vectors are of another dim than the gallery, or not finite.
    ValueError
        There are not as many vectors as levels.
    """
    parameters = vocabulary.parameters
    if len(vectors) != len(levels_dbfs):
        raise ValueError(f"{len(vectors)} vectors and {len(levels_dbfs)} levels")
    heard = np.flatnonzero(loud(levels_dbfs, parameters))
    silent = Recognition(False, np.zeros(len(vocabulary), np.float32), (), -np.inf)
    found = [silent] * len(vectors)
    if len(heard):
        logits = vocabulary.logits(np.asarray(vectors)[heard]).astype(np.float64)
        judge = {PURSUIT: _Window, INDEPENDENT: _Independent, SHARED: _Shared}[parameters.rule]
        for row, z in zip(heard.tolist(), logits):
            found[row] = judge(np.asarray(vectors[row], np.float64), z, vocabulary, top, most).recognition()
    return found


def possible(vectors: np.ndarray, asked: Vocabulary) -> np.ndarray:
    """Which windows may hold one of the taxa that are asked for, or a group of them alone: [n, dim] -> [n] bool.

    The others hold none of them, whatever larger vocabulary of the same gallery they are recognised with: by the rules
    ``independent`` and ``shared`` what competes with a taxon only lowers its log-odds, and those of a group. By the
    rule ``pursuit``, and where people have reviewed sounds, every window may.

    Parameters
    ----------
    vectors : numpy.ndarray
        [n, dim], as the encoder gives them.
    asked : Vocabulary
        The taxa that are asked for.
    """
    parameters = asked.parameters
    if parameters.rule == PURSUIT or asked.reviewed is not None:
        return np.ones(len(vectors), bool)
    logits = asked.logits(vectors).astype(np.float64)
    null = 0.0 if parameters.rule == INDEPENDENT else parameters.null_logit
    odds = parameters.slope * (logits.max(axis=1) - null) + parameters.offset
    together = np.logaddexp.reduce(logits, axis=1) - parameters.null_logit
    shares = np.array([parameters.threshold, min(parameters.floor, 1.0 - ROUNDING)])
    least, floor = np.log(shares / (1.0 - shares)) - ROUNDING
    found: np.ndarray = (odds >= least) | (together >= floor)
    return found


def ranked(confidences: np.ndarray, similarities: np.ndarray, taxa: Sequence[Taxon], top: int) -> tuple[Candidate, ...]:
    """The `top` most confident species, equal ones by name; those of no confidence are left out.

    Parameters
    ----------
    confidences, similarities : numpy.ndarray
        [n_taxa]
    """
    rows = _best(confidences, taxa, top)
    return tuple(_candidate(taxa[row], confidences[row], similarities[row]) for row in rows)


def likeliest(confidences: np.ndarray, vector: np.ndarray, vocabulary: Vocabulary, top: int) -> tuple[Candidate, ...]:
    """The `top` most confident species of a window, as `ranked` gives them, with their similarity to its vector."""
    rows = _best(confidences, vocabulary.taxa, top)
    shown = vocabulary.similarity(vector, rows)
    return tuple(_candidate(vocabulary.taxa[row], confidences[row], cosine) for row, cosine in zip(rows, shown))


class _Window:
    """One window while it is judged."""

    def __init__(self, vector: np.ndarray, logits: np.ndarray, vocabulary: Vocabulary, top: int, most: int) -> None:
        self.vector, self.logits, self.vocabulary = unit(vector[None])[0], logits, vocabulary
        self.length = float(vector @ self.vector)
        self.top, self.most = top, min(most, len(logits))
        self.parameters = vocabulary.parameters
        self._units: dict[int, np.ndarray] = {}  # row -> [dim], direction of the taxon
        self._shifts: dict[int, np.ndarray] = {}  # row -> [n_taxa], what a unit of it adds to every logit

    def recognition(self) -> Recognition:
        detected, unsure = self.species()
        rest = self.without(list(detected))
        confidences = self.confidence(log_odds(rest, self.parameters.null_logit, list(detected)))
        for row, confidence in unsure.items():
            confidences[row] = max(confidences[row], confidence)
        for row, confidence in detected.items():
            confidences[row] = confidence
        return self.recognised(rest, confidences, detected)

    def recognised(self, rest: np.ndarray, confidences: np.ndarray, detected: dict[int, float]) -> Recognition:
        """The species detected, and the group that explains what they leave; then what reviews change."""
        group = self.group(rest, list(detected))
        if changes := self.vocabulary.changes(self.vector):
            detected = reconsidered(changes, confidences, detected, self.parameters.threshold, self.most, self.again)
        species = [self.as_detection(row, confidence) for row, confidence in detected.items()]
        group = self.reviewed(group, list(detected)) if group else None
        species.sort(key=lambda one: (-one.confidence, one.scientific_name))
        detections = species + ([group] if group else [])
        anything = _log_sum_exp(self.logits) - self.parameters.null_logit
        return Recognition(True, confidences.astype(np.float32), tuple(detections), float(anything))

    def species(self) -> tuple[dict[int, float], dict[int, float]]:
        """Row and confidence of every species that is sure enough, and of those found beside it that are not."""
        parameters, found = self.parameters, list[int]()
        while len(found) < self.most:
            odds = log_odds(self.without(found), parameters.null_logit, found)
            odds[found] = -np.inf
            row = int(odds.argmax())
            if self.confidence(odds[row]) < LEAST_FOUND:
                break
            found.append(row)
        unsure: dict[int, float] = {}
        while found:
            sure = {row: self.alone(row, [other for other in found if other != row]) for row in found}
            weakest = min(sure, key=lambda row: sure[row])
            if sure[weakest] >= parameters.threshold:
                return sure, unsure
            unsure[weakest] = sure[weakest]
            found.remove(weakest)
        return {}, unsure

    def alone(self, row: int, others: list[int]) -> float:
        """Confidence of a taxon with those that sound together with it taken out."""
        return float(self.confidence(log_odds(self.without(others), self.parameters.null_logit, others)[row]))

    def again(self, row: int, others: list[int], absent: list[int]) -> float:
        """Confidence of a taxon with others taken out, and without taxa that do not sound after all."""
        odds = log_odds(self.without(others), self.parameters.null_logit, [*others, *absent])
        return float(self.confidence(odds[row]))

    def reviewed(self, group: Detection, detected: list[int]) -> Detection | None:
        """A group after what reviews change: below its floor or explained by a species that they raised it is gone."""
        depth = len(group.path)
        if any(self.vocabulary.taxa[row].path()[:depth] == group.path for row in detected):
            return None
        change = self.vocabulary.change_of_group(self.vector, group.taxon_rank, group.scientific_name)
        changed = group if change is None else replace(group, confidence=change.of(group.confidence))
        return changed if changed.confidence >= self.parameters.floor else None

    def without(self, rows: list[int]) -> np.ndarray:
        """Logits [n_taxa] of what is left of the window when taxa are taken out of it."""
        if not rows:
            return self.logits.copy()
        for row in rows:
            if row not in self._units:
                self._units[row] = self.vocabulary.unit_direction(row)
                self._shifts[row] = self.vocabulary.shifts(self.length * self._units[row])
        units = np.stack([self._units[row] for row in rows])
        taken = _non_negative(units @ units.T, units @ self.vector)
        left = max(float(np.linalg.norm(self.vector - taken @ units)), LEAST_LEFT)
        shift = np.sum([amount * self._shifts[row] for amount, row in zip(taken, rows)], axis=0)
        bias = self.vocabulary.bias
        return (self.logits - bias - shift) / left + bias

    def confidence(self, odds: np.ndarray | float) -> np.ndarray:
        """Calibrated confidences of log-odds."""
        z = self.parameters.slope * np.asarray(odds, np.float64) + self.parameters.offset
        return 1.0 / (1.0 + np.exp(-np.clip(z, -700.0, 700.0)))

    def group(self, rest: np.ndarray, detected: list[int]) -> Detection | None:
        """The deepest group above the species that explains what the detected species leave."""
        parameters, taxa = self.parameters, self.vocabulary.taxa
        others = rest.copy()
        others[detected] = -np.inf
        p = np.exp(others - np.logaddexp(_log_sum_exp(others), parameters.null_logit))
        for groups in self.vocabulary.groups:
            if not groups.paths:
                continue
            masses = np.bincount(groups.members, weights=p, minlength=len(groups.paths) + 1)[:-1]
            explained = groups.members[detected]
            masses[explained[explained < len(masses)]] = 0.0  # its species that is heard already explains it
            best = int(masses.argmax())
            share = groups.shares[best]
            tells = masses[best] * (1.0 - share) >= parameters.evidence * share * (1.0 - masses[best])
            if masses[best] >= parameters.floor and tells:
                inside = np.where(groups.members == best, p, 0.0)
                rows = _best(inside, taxa, self.top)
                shown = self.vocabulary.similarity(self.vector, rows)
                candidates = tuple(_candidate(taxa[row], inside[row], cosine) for row, cosine in zip(rows, shown))
                path = groups.paths[best]
                return Detection(groups.taxon_rank, path[-1], "", path, min(1.0, float(masses[best])), candidates)
        return None

    def as_detection(self, row: int, confidence: float) -> Detection:
        taxon = self.vocabulary.taxa[row]
        [cosine] = self.vocabulary.similarity(self.vector, [row])
        candidate = _candidate(taxon, confidence, cosine)
        name = taxon.scientific_name
        return Detection("species", name, taxon.common_name, taxon.path(), confidence, (candidate,))


class _Independent(_Window):
    """One window whose taxa do not compete."""

    def odds(self) -> np.ndarray:
        """Log-odds [n_taxa] of each taxon."""
        return self.logits

    def again(self, row: int, others: list[int], absent: list[int]) -> float:
        return float(self.confidence(self.odds()[row]))

    def recognition(self) -> Recognition:
        confidences = self.confidence(self.odds())
        sure = np.flatnonzero(confidences >= self.parameters.threshold)
        detected = sure[np.argsort(-confidences[sure], kind="stable")][: self.most].tolist()
        return self.recognised(self.logits, confidences, {row: float(confidences[row]) for row in detected})


class _Shared(_Independent):
    """One window whose taxa, and nothing, share one confidence."""

    def odds(self) -> np.ndarray:
        return log_odds(self.logits, self.parameters.null_logit, [])


def log_odds(logits: np.ndarray, null_logit: float, together: list[int]) -> np.ndarray:
    """Log-odds [n_taxa] of each taxon against nothing and all taxa but itself and those that sound together with it."""
    competing = logits.copy()
    competing[together] = -np.inf
    top = max(float(competing.max(initial=-np.inf)), null_logit)
    shares = np.exp(competing - top)
    others = shares.sum() + np.exp(null_logit - top) - shares
    return logits - top - np.log(np.maximum(others, 1e-300))


def _non_negative(gram: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Coefficients of non-negative least squares for a few directions: the active set that leaves none below 0."""
    active = np.ones(len(products), bool)
    amounts = np.zeros(len(products))
    while active.any():
        amounts[:] = 0.0
        amounts[active] = np.linalg.lstsq(gram[np.ix_(active, active)], products[active], rcond=None)[0]
        negative = amounts < 0
        if not negative.any():
            return amounts
        active &= ~negative
    return np.zeros(len(products))


def _best(values: np.ndarray, taxa: Sequence[Taxon], top: int) -> list[int]:
    """Rows of the `top` largest values above 0, equal ones by name."""
    if top < 1 or not len(values):
        return []
    least = np.partition(values, -top)[-top] if top < len(values) else 0.0
    rows: list[int] = np.flatnonzero((values >= least) & (values > 0)).tolist()
    return sorted(rows, key=lambda row: (-values[row], taxa[row].scientific_name))[:top]


def _candidate(taxon: Taxon, confidence: float, similarity: float) -> Candidate:
    return Candidate(taxon.scientific_name, taxon.common_name, float(confidence), float(similarity))


def _log_sum_exp(z: np.ndarray) -> float:
    top = float(z.max(initial=-np.inf))
    return top + float(np.log(np.exp(z - top).sum())) if np.isfinite(top) else top
