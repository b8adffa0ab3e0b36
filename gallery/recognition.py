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

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from gallery.candidates import Candidate, best
from gallery.competition import Competition, non_negative
from gallery.parameters import INDEPENDENT, PURSUIT, SHARED, DecisionParameters
from gallery.products import unit_of
from gallery.reviewed import reconsidered
from gallery.vocabulary import Shift, Vocabulary

MOST_SPECIES = 6  # in one window
MOST_CANDIDATES = 5  # of a detection above the species
WINDOWS_AT_ONCE = 256  # whose products with all taxa are one: a taxon's vector is read once for all of them
LEAST_LEFT = 0.5  # length, 1 at first, that what is left of a window is taken for at least: less is no song
ROUNDING = 1e-3  # of log-odds: more than a product of other rounding differs by
LEAST_FOUND = 0.1  # confidence below which nothing more is looked for in what is left


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
    judge = {PURSUIT: _Window, INDEPENDENT: _Independent, SHARED: _Shared}[parameters.rule]
    for at in range(0, len(heard), WINDOWS_AT_ONCE):
        rows = heard[at : at + WINDOWS_AT_ONCE]
        some = np.asarray(vectors)[rows]
        each = zip(rows.tolist(), some.astype(np.float64), vocabulary.logits(some))
        seeking = [(row, judge(vector, logits, vocabulary, most)) for row, vector, logits in each]
        while seeking:
            going = []
            while seeking:
                row, window = seeking.pop()  # which is then gone, with its arrays
                if window.seek():
                    going.append((row, window))
                else:  # now, while what was worked out last is in the processor's cache
                    found[row] = window.recognition()
            shifts = vocabulary.shifts({window.found[-1] for _, window in going})  # in one product for all of them
            for _, window in going:
                window.take(shifts[window.found[-1]])
            seeking = going
    return found


def possible(vectors: np.ndarray, asked: Vocabulary) -> np.ndarray:
    """Which windows may hold one of the taxa that are asked for, or a group of them alone: [n, dim] -> [n] bool.

    The others hold none of them, whatever larger vocabulary of the same gallery they are recognised with: by the rules
    ``independent`` and ``shared`` what competes with a taxon only lowers its log-odds, and those of a group. By the
    rule ``pursuit``, and where people have reviewed sounds, every window may. Vectors are as the encoder gives them.
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


class _Taken(NamedTuple):
    """What taking taxa out of a window leaves of it."""

    shifts: list[tuple[float, np.ndarray]]  # how much of each is in it, and what a unit adds to every logit, [n_taxa]
    left: float  # length of what is left
    rest: np.ndarray  # [dim], what is left, over that length


class _Window:
    """One window while it is judged."""

    def __init__(self, vector: np.ndarray, logits: np.ndarray, vocabulary: Vocabulary, most: int) -> None:
        self.vector, self.logits, self.vocabulary = unit_of(vector), logits, vocabulary
        self.length = float(vector @ self.vector)
        self.most = min(most, len(logits))
        self.parameters = vocabulary.parameters
        self.found: list[int] = []  # rows of the species found so far, each in what the ones before it leave
        self.anything = -math.inf
        self._shifts: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # of those found
        self._odds: dict[tuple[int, frozenset[int]], float] = {}
        self._taken: dict[frozenset[int], _Taken] = {}
        self._left: dict[frozenset[int], Competition] = {}

    def seek(self) -> bool:
        """Look for one more species in what the others leave; whether there is one, now the last of `found`."""
        left = self.left(self.found)
        if not self.found:
            self.anything = left.anything()
        if len(self.found) >= self.most:
            return False
        row = left.likeliest
        if self.alone(row, self.found) < LEAST_FOUND:
            return False
        self.found.append(row)
        self._left.clear()  # megabytes, where many windows wait for what was found in them
        return True

    def take(self, shift: Shift) -> None:
        """What the species that was found last adds to windows."""
        self._shifts[self.found[-1]] = shift.direction, shift.of(self.length)

    def recognition(self) -> Recognition:
        detected, unsure = self.species()
        rest = self.left(list(detected))
        confidences = self.parameters.confidences(rest.odds())
        for row, confidence in unsure.items():
            confidences[row] = max(confidences[row], confidence)
        for row, confidence in detected.items():
            confidences[row] = confidence
        return self.recognised(rest, confidences, detected)

    def recognised(self, rest: Competition, confidences: np.ndarray, detected: dict[int, float]) -> Recognition:
        """The species detected, and the group that explains what they leave; then what reviews change."""
        group = self.group(rest, list(detected))
        if changes := self.vocabulary.changes(self.vector):
            detected = reconsidered(changes, confidences, detected, self.parameters.threshold, self.most, self.again)
        shown = self.vocabulary.similarity(self.vector, list(detected)) if detected else ()
        species = [self.as_detection(row, detected[row], cosine) for row, cosine in zip(detected, shown)]
        group = self.reviewed(group, list(detected)) if group else None
        species.sort(key=lambda one: (-one.confidence, one.scientific_name))
        detections = species + ([group] if group else [])
        return Recognition(True, confidences, tuple(detections), self.anything)

    def species(self) -> tuple[dict[int, float], dict[int, float]]:
        """Row and confidence of every species found that is sure enough, and of those that are not."""
        found, unsure = list(self.found), dict[int, float]()
        while found:
            sure = {row: self.alone(row, [other for other in found if other != row]) for row in found}
            weakest = min(sure, key=lambda row: sure[row])
            if sure[weakest] >= self.parameters.threshold:
                return sure, unsure
            unsure[weakest] = sure[weakest]
            found.remove(weakest)
        return {}, unsure

    def alone(self, row: int, others: Sequence[int]) -> float:
        """Confidence of a taxon with those that sound together with it taken out."""
        key = row, frozenset(others)
        if key not in self._odds:
            self._odds[key] = self.left(others).odds_of(row, self.logit(row, others))
        return self.parameters.confidence(self._odds[key])

    def again(self, row: int, others: list[int], absent: list[int]) -> float:
        """Confidence of a taxon with others taken out, and without taxa that do not sound after all."""
        left = Competition(self.without(others), self.parameters.null_logit, [*others, *absent])
        return self.parameters.confidence(left.odds_of(row))

    def reviewed(self, group: Detection, detected: list[int]) -> Detection | None:
        """A group after what reviews change: below its floor or explained by a species that they raised it is gone."""
        depth = len(group.path)
        if any(self.vocabulary.taxa[row].path()[:depth] == group.path for row in detected):
            return None
        change = self.vocabulary.change_of_group(self.vector, group.taxon_rank, group.scientific_name)
        changed = group if change is None else replace(group, confidence=change.of(group.confidence))
        return changed if changed.confidence >= self.parameters.floor else None

    def left(self, rows: Sequence[int]) -> Competition:
        """What competes for the window when taxa that sound together are taken out of it."""
        key = frozenset(rows)
        if key not in self._left:
            self._left[key] = Competition(self.without(rows), self.parameters.null_logit, rows)
        return self._left[key]

    def without(self, rows: Sequence[int]) -> np.ndarray:
        """Logits [n_taxa] float32 of what is left of the window when taxa are taken out of it."""
        if not rows:
            return self.logits
        taken = self.taken(rows)
        # In place: at full size, arrays of their own take longer than what is worked out.
        rest = self.logits * (1.0 / taken.left)
        part = np.empty_like(rest)
        for amount, shift in taken.shifts:
            rest -= np.multiply(shift, amount / taken.left, out=part)
        if self.vocabulary.biased:
            rest += self.vocabulary.bias32 * (1.0 - 1.0 / taken.left)
        self.vocabulary.sharpen(rest, taken.rest)
        return rest

    def logit(self, row: int, rows: Sequence[int]) -> float:
        """The same of one taxon, in float64."""
        if not rows:
            return float(self.logits[row])
        taken, bias = self.taken(rows), float(self.vocabulary.bias[row])
        if self.vocabulary.compared.are_rounded:
            return float(self.vocabulary.exact(np.array([row]), taken.rest)[0])
        rest = float(self.logits[row]) - bias - sum(amount * float(shift[row]) for amount, shift in taken.shifts)
        return rest / taken.left + bias

    def taken(self, rows: Sequence[int]) -> _Taken:
        """Taxa taken out of the window."""
        key = frozenset(rows)
        if key not in self._taken:
            known = [self._shifts[row] for row in rows]
            units = known[0][0][None] if len(known) == 1 else np.array([direction for direction, _ in known])
            amounts = non_negative(units @ units.T, units @ self.vector)
            difference = self.vector - amounts @ units
            left = max(math.sqrt(float(difference @ difference)), LEAST_LEFT)
            shifts = [(amount, shift) for amount, (_, shift) in zip(amounts.tolist(), known)]
            self._taken[key] = _Taken(shifts, left, difference / left)
        return self._taken[key]

    def group(self, rest: Competition, detected: list[int]) -> Detection | None:
        """The deepest group above the species that explains what the detected species leave."""
        parameters, taxa = self.parameters, self.vocabulary.taxa
        if rest.of_any() < parameters.floor - ROUNDING:
            return None  # all taxa together are less likely than a group must be
        p = rest.probabilities()
        group = self.vocabulary.groups.deepest(p, detected, parameters.floor, parameters.evidence)
        if group is None:
            return None
        inside = np.where(group.members, p, 0.0)
        rows = best(inside, taxa, MOST_CANDIDATES)
        shown = self.vocabulary.similarity(self.vector, rows)
        candidates = tuple(Candidate.of(taxa[row], inside[row], cosine) for row, cosine in zip(rows, shown))
        return Detection(group.taxon_rank, group.path[-1], "", group.path, group.probability, candidates)

    def as_detection(self, row: int, confidence: float, cosine: float) -> Detection:
        taxon = self.vocabulary.taxa[row]
        name, itself = taxon.scientific_name, Candidate.of(taxon, confidence, cosine)
        return Detection("species", name, taxon.common_name, taxon.path(), confidence, (itself,))


class _Independent(_Window):
    """One window whose taxa do not compete."""

    def seek(self) -> bool:
        return False

    def odds(self) -> np.ndarray:
        """Log-odds [n_taxa] of each taxon."""
        return self.logits.copy()

    def again(self, row: int, others: list[int], absent: list[int]) -> float:
        return self.parameters.confidence(float(self.odds()[row]))

    def recognition(self) -> Recognition:
        confidences = self.parameters.confidences(self.odds())
        sure = np.flatnonzero(confidences >= self.parameters.threshold)
        rows = sure[np.argsort(-confidences[sure], kind="stable")][: self.most].tolist()
        every = self.left([])
        self.anything = every.anything()
        rest = Competition(self.logits, self.parameters.null_logit, rows) if rows else every
        return self.recognised(rest, confidences, {row: float(confidences[row]) for row in rows})


class _Shared(_Independent):
    """One window whose taxa, and nothing, share one confidence."""

    def odds(self) -> np.ndarray:
        return self.left([]).odds()
