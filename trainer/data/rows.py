"""Rows of each taxon in a table of millions of rows, and sums over them."""

from __future__ import annotations

import numpy as np


def sums_of_taxa(vectors: np.ndarray, taxon: np.ndarray, taxa: int) -> np.ndarray:
    """Sum of the vectors [n, dim] of each taxon, [taxa, dim]; zero for a taxon without any."""
    sums = np.zeros((taxa, vectors.shape[1]), vectors.dtype)
    np.add.at(sums, taxon, vectors)
    return sums


class RowsOfTaxon:
    """Rows of each taxon: all rows ordered by taxon, and the start of each taxon.

    Parameters
    ----------
    taxon : [samples] int, taxon of each sample
    taxa : number of taxa
    rows : [n] int, the samples to include; None for all
    """

    def __init__(self, taxon: np.ndarray, taxa: int, rows: np.ndarray | None = None) -> None:
        taxon = np.asarray(taxon)
        rows = np.arange(len(taxon)) if rows is None else np.asarray(rows, np.int64)
        of = taxon[rows]
        if len(of) and (of.min() < 0 or of.max() >= taxa):
            raise ValueError(f"taxa {of.min()} to {of.max()} are not all in 0 .. {taxa - 1}")
        self._rows = rows[np.argsort(of, kind="stable")]
        self._count = np.bincount(of, minlength=taxa)
        self._first = np.cumsum(self._count) - self._count

    def has(self, taxa: np.ndarray) -> np.ndarray:
        """Whether each taxon has a row, [n] bool."""
        return self._count[taxa] > 0

    def of(self, taxon: int) -> np.ndarray:
        """All rows of one taxon, in order."""
        return self._rows[self._first[taxon] : self._first[taxon] + self._count[taxon]]

    def draw(self, taxa: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One row of each taxon, drawn uniformly, [n] int64.

        Raises
        ------
        ValueError
            When one of them has no row.
        """
        taxa = np.asarray(taxa, np.int64)
        if not self.has(taxa).all():
            raise ValueError(f"taxon {taxa[~self.has(taxa)][0]} has no row to draw")
        return self._rows[self._first[taxa] + rng.integers(self._count[taxa])]
