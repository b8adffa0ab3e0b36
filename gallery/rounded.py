"""A first look at many taxa at once: their directions in 8 bits, where 32 take most of a decision's time to read.

Both factors of a product are rounded to whole steps, a step for each taxon and one for each window, and whole numbers
are added up, so the sums are exact on every processor and do not depend on which windows are compared together. What
rounding does to a product is one of many small errors of either sign: `Rounded.error` says how far off it is. That is
little for the taxa far below the likeliest, of which only the sum counts; the others are worked out in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

ROWS_AT_ONCE = 1024
OF_TAXON = 127  # largest of a taxon's numbers in steps: 8 bits with a sign
OF_WINDOW = 63  # the same of a window's: 7 bits, for some processors add two products in 16
ZERO = 64  # what stands for 0 in windows, whose steps have no sign


class IntegerProducts(Protocol):
    """How products of whole numbers are made, by a library that the gallery does not need."""

    def __call__(self, taxa: np.ndarray, steps: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """A function from windows in steps, [n, dim] uint8 about `ZERO`, to ``((windows - ZERO) @ taxa) * steps``.

        Parameters
        ----------
        taxa : numpy.ndarray
            [dim, m] int8
        steps : numpy.ndarray
            [m] float32
        """


class Rounded:
    """Directions of taxa in steps.

    Parameters
    ----------
    directions : numpy.ndarray
        [m, dim] float32, of any length.
    integers : IntegerProducts
    """

    def __init__(self, directions: np.ndarray, integers: IntegerProducts) -> None:
        taxa, steps, longest = np.empty(directions.shape, np.int8), np.empty(len(directions), np.float32), 0.0
        for at in range(0, len(taxa), ROWS_AT_ONCE):
            some = slice(at, at + ROWS_AT_ONCE)
            steps[some] = _steps(directions[some], OF_TAXON)
            taxa[some] = np.rint(directions[some] / steps[some, None])
            longest = max(longest, float(np.linalg.norm(directions[some], axis=1).max()))
        self._products = integers(np.ascontiguousarray(taxa.T), steps)
        self._longest, self._largest_step = longest, float(steps.max())

    def products(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Products with unit vectors [n, dim] float32, [n, m] float32, and the `error` of each vector's, [n]."""
        steps = _steps(vectors, OF_WINDOW)
        products = self._products((np.rint(vectors / steps[:, None]) + ZERO).astype(np.uint8))
        products *= steps[:, None]
        return products, self.error(steps)

    def error(self, steps: np.ndarray) -> np.ndarray:
        """Standard deviation [n] of the errors in products of windows with these steps [n], at most.

        A number is off by up to half a step, all of it alike (variance 1/12 of a squared step), and a sum of such
        errors, weighed by the numbers of the other factor, by their length times that.
        """
        return np.asarray(np.hypot(steps * self._longest, self._largest_step) / np.sqrt(12.0))


def _steps(vectors: np.ndarray, largest: int) -> np.ndarray:
    """Step [n] of each vector, such that its largest number is so many of them; 1 for zeros."""
    steps = np.maximum(vectors.max(axis=1), -vectors.min(axis=1)) / np.float32(largest)
    return np.where(steps > 0, steps, np.float32(1.0))
