"""Taxa that compete for a window: log-odds of each against all others and nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

SMALL = 1e-4  # probability p up to which log(1 - p) is taken for -p: they differ by 5e-9


class Competition:
    """Logits of taxa that compete with one another and with nothing, apart from those that sound together.

    With logits z and taxa j that do not sound together with i, the log-odds of taxon i are
    ``z_i - log(e^null + sum_{j != i} e^z_j)``.

    Arrays are float32: at full size it is going through them that takes long. The likeliest taxon is added up apart
    from the others, as what it competes with would otherwise be the rounding of the whole.

    Parameters
    ----------
    logits : numpy.ndarray
        [n_taxa] float32; those of `together` are changed for a moment.
    null_logit : float
    together : sequence of int
        Rows of the taxa that are there anyhow and compete with none.

    Attributes
    ----------
    likeliest : int
        Row of the taxon of the highest log-odds among those that compete: they rise with the logit.
    """

    def __init__(self, logits: np.ndarray, null_logit: float, together: Sequence[int] = ()) -> None:
        self._logits, self._null_logit = logits, null_logit
        rows = list(together)
        apart = logits[rows] if rows else None
        if rows:
            logits[rows] = -np.inf
        self.likeliest = int(logits.argmax())
        highest = float(logits[self.likeliest])
        self._highest, self._first = (highest, 1.0) if highest > -np.inf else (null_logit, 0.0)
        self._shares = logits - self._highest
        np.exp(self._shares, out=self._shares)
        if rows:
            logits[rows] = apart
        self._shares[self.likeliest] = 0.0
        self._others = float(np.add.reduce(self._shares))
        self._shares[self.likeliest] = self._first
        self._total = self._with_nothing(self._others + self._first)

    def odds_of(self, row: int, logit: float | None = None) -> float:
        """Log-odds of one taxon, of its logit to more digits if that is given."""
        others = self._others
        if row != self.likeliest:
            others += self._first - float(self._shares[row])
        return (float(self._logits[row]) if logit is None else logit) - self._with_nothing(others)

    def odds(self) -> np.ndarray:
        """Log-odds [n_taxa] of every taxon."""
        odds = self.probabilities()
        large = (odds > SMALL).nonzero()[0]
        p = np.minimum(odds[large].astype(np.float64), 0.5)  # as no other than the likeliest has more
        odds += self._logits
        odds -= self._total
        odds[large] = self._logits[large] - self._total - np.log1p(-p)
        odds[self.likeliest] = self.odds_of(self.likeliest)
        return odds

    def probabilities(self) -> np.ndarray:
        """Probabilities [n_taxa] of those that compete, which sum to 1 with that of nothing."""
        return self._shares * math.exp(self._highest - self._total)

    def of_any(self) -> float:
        """Their sum."""
        return (self._others + self._first) * math.exp(self._highest - self._total)

    def anything(self) -> float:
        """Log-odds of any of those that compete against nothing; -inf without one."""
        return self._log(self._others + self._first) - self._null_logit

    def _log(self, shares: float) -> float:
        """Logarithm of a sum of e^z, given as shares of the highest."""
        return self._highest + math.log(shares) if shares > 0.0 else -math.inf

    def _with_nothing(self, shares: float) -> float:
        """The same with e^null beside it."""
        of_taxa = self._log(shares)
        return max(of_taxa, self._null_logit) + math.log1p(math.exp(-abs(of_taxa - self._null_logit)))


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
