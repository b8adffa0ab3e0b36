"""Taxa that compete for a window: log-odds of each against all others and nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEAST_SHARE = 1e-300  # of what a taxon competes with: its logarithm is finite
LEAST_SUM = 1e-30  # of shares in float32 that is as exact as any
SMALL = 1e-4  # share x of a taxon up to which log(1 - x) is taken for -x: they differ by 5e-9


class Competition:
    """Logits of taxa that compete with one another and with nothing, apart from those that sound together.

    With logits z and taxa j that do not sound together with i, the log-odds of taxon i are
    ``z_i - log(e^null + sum_{j != i} e^z_j)``.

    Arrays are float32: at full size it is going through them that takes long. What a taxon competes with is added up
    anew where it is less than the taxon itself, since a difference would be the rounding of the whole.

    Parameters
    ----------
    logits : numpy.ndarray
        [n_taxa] float32
    null_logit : float
    together : sequence of int
        Rows of the taxa that are there anyhow and compete with none.
    """

    def __init__(self, logits: np.ndarray, null_logit: float, together: Sequence[int]) -> None:
        self._logits, self._null_logit = logits, null_logit
        self._competing = logits
        if together:
            self._competing = logits.copy()
            self._competing[together] = -np.inf
        self._top = max(float(self._competing.max(initial=-np.inf)), null_logit)
        self._shares = self._competing - self._top
        np.exp(self._shares, out=self._shares)
        self._of_taxa = float(self._shares.sum())
        self._of_nothing = math.exp(null_logit - self._top)
        self._total = self._of_taxa + self._of_nothing

    def likeliest(self) -> int:
        """Row of the taxon of the highest log-odds among those that compete: they rise with the logit."""
        return int(self._competing.argmax())

    def odds_of(self, row: int, logit: float | None = None) -> float:
        """Log-odds of one taxon, of its logit to more digits if that is given."""
        share = float(self._shares[row])
        others = self._total - share
        if others < share:
            others = float(self._shares[:row].sum()) + float(self._shares[row + 1 :].sum()) + self._of_nothing
        own = float(self._logits[row]) if logit is None else logit
        return own - self._top - math.log(max(others, LEAST_SHARE))

    def odds(self) -> np.ndarray:
        """Log-odds [n_taxa] of every taxon."""
        odds = self._shares * (1.0 / self._total)
        large = np.flatnonzero(odds > SMALL)
        odds += self._logits  # log(1 - x) is -x as long as x is small
        odds -= self._top + math.log(self._total)
        shares = self._shares[large].astype(np.float64)
        odds[large] = self._logits[large] - self._top - np.log(np.maximum(self._total - shares, LEAST_SHARE))
        for row in large[2.0 * shares > self._total].tolist():
            odds[row] = self.odds_of(row)
        return odds

    def probabilities(self) -> np.ndarray:
        """Probabilities [n_taxa] of those that compete, which sum to 1 with that of nothing."""
        return self._shares / self._total

    def of_any(self) -> float:
        """Their sum."""
        return self._of_taxa / self._total

    def anything(self) -> float:
        """Log-odds of any of those that compete against nothing; -inf without one."""
        if self._of_taxa > LEAST_SUM:
            return self._top + math.log(self._of_taxa) - self._null_logit
        top = float(self._competing.max(initial=-np.inf))
        if not np.isfinite(top):
            return top
        return top + float(np.log(np.exp(self._competing - top).sum())) - self._null_logit


def non_negative(gram: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Coefficients of non-negative least squares for a few directions: the active set that leaves none below 0."""
    if len(products) == 1:
        return np.maximum(products / gram[0], 0.0)
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
