"""Products of windows with the directions of taxa."""

from __future__ import annotations

import math
from threading import Lock

import numpy as np

from gallery.entry import UNIT_TOLERANCE
from gallery.rounded import IntegerProducts, Rounded

FEW = 32  # vectors for which a product is faster the other way round
MOST_ERROR = 0.1  # standard deviation of a logit's rounding, from which it is not used


class Directions:
    """Directions of taxa, which windows are compared with: in float32, or at a first look in 8 bits.

    Parameters
    ----------
    vectors : numpy.ndarray
        [m, dim] float32, of the length that a logit has in their direction.
    integers : IntegerProducts or None
        For a first look in 8 bits; they are made when they are first needed.

    Attributes
    ----------
    vectors : numpy.ndarray
    are_rounded : bool
        Whether products are those of the first look.
    """

    def __init__(self, vectors: np.ndarray, integers: IntegerProducts | None) -> None:
        self.vectors, self.are_rounded = vectors, integers is not None
        self._integers, self._making = integers, Lock()
        self._rounded: Rounded | None = None

    def products(self, units: np.ndarray) -> np.ndarray:
        """Products with unit vectors [n, dim] float32, [n, m]; in float32 where rounding would show."""
        rounded = self.rounded()
        if rounded is None:
            return products(units, self.vectors)
        found, errors = rounded.products(units)
        if (far := np.flatnonzero(errors > MOST_ERROR)).size:
            found[far] = products(units[far], self.vectors)
        return found

    def rounded(self) -> Rounded | None:
        """The directions in 8 bits; None where all is worked out in float32."""
        if self._integers is None:
            return None
        with self._making:
            self._rounded = self._rounded or Rounded(self.vectors, self._integers)
        return self._rounded


def products(vectors: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Products [n, m] of vectors [n, dim] with directions [m, dim], in the order that takes BLAS the least time."""
    return vectors @ directions.T if len(vectors) > FEW else np.ascontiguousarray((directions @ vectors.T).T)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, dim] at unit length; those of an encoder that gives unit vectors stay as they are, and zeros too."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where((np.abs(lengths - 1.0) <= UNIT_TOLERANCE) | (lengths == 0.0), 1.0, lengths)


def unit_of(vector: np.ndarray) -> np.ndarray:
    """The same of one [dim]."""
    length = math.sqrt(float(vector @ vector))
    return vector if abs(length - 1.0) <= UNIT_TOLERANCE or length == 0.0 else vector / length
