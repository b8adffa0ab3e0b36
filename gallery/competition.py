"""Taxa that compete for a window: log-odds of each against all others and nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEAST_SHARE = 1e-300  # of what a taxon competes with: its logarithm is finite
SMALL = 1e-4  # share x of a taxon up to which log(1 - x) is taken for -x: they differ by 5e-9


class Competition:
    """Logits of taxa that compete with one another and with nothing, apart from those that sound together.

    With logits z and taxa j that do not sound together with i, the log-odds of taxon i are
    ``z_i - log(e^null + sum_{j != i} e^z_j)``.

    Parameters
    ----------
    logits : numpy.ndarray
        [n_taxa] float64
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
        self._shares = np.exp(self._competing - self._top)
        self._of_taxa = float(self._shares.sum())
        self._total = self._of_taxa + math.exp(null_logit - self._top)

    def likeliest(self) -> int:
        """Row of the taxon of the highest log-odds among those that compete: they rise with the logit."""
        return int(self._competing.argmax())

    def odds_of(self, row: int) -> float:
        """Log-odds of one taxon."""
        others = max(self._total - float(self._shares[row]), LEAST_SHARE)
        return float(self._logits[row]) - self._top - math.log(others)

    def odds(self) -> np.ndarray:
        """Log-odds [n_taxa] of every taxon."""
        odds = self._shares * (1.0 / self._total)
        large = np.flatnonzero(odds > SMALL)
        odds += self._logits  # log(1 - x) is -x as long as x is small
        odds -= self._top + math.log(self._total)
        others = np.maximum(self._total - self._shares[large], LEAST_SHARE)
        odds[large] = self._logits[large] - self._top - np.log(others)
        return odds

    def probabilities(self) -> np.ndarray:
        """Probabilities [n_taxa] of those that compete, which sum to 1 with that of nothing."""
        return self._shares / self._total

    def of_any(self) -> float:
        """Their sum."""
        return self._of_taxa / self._total

    def anything(self) -> float:
        """Log-odds of any of those that compete against nothing; -inf without one."""
        if self._of_taxa > LEAST_SHARE:
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
