"""Species that may be heard, the most confident first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gallery.taxon import Taxon
from gallery.vocabulary import Vocabulary


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

    @classmethod
    def of(cls, taxon: Taxon, confidence: float, similarity: float) -> Candidate:
        """The same of a species."""
        return cls(taxon.scientific_name, taxon.common_name, float(confidence), float(similarity))


def ranked(confidences: np.ndarray, similarities: np.ndarray, taxa: Sequence[Taxon], top: int) -> tuple[Candidate, ...]:
    """The `top` most confident species of arrays [n_taxa], equal ones by name; those of no confidence are left out."""
    rows = best(confidences, taxa, top)
    return tuple(Candidate.of(taxa[row], confidences[row], similarities[row]) for row in rows)


def likeliest(confidences: np.ndarray, vector: np.ndarray, vocabulary: Vocabulary, top: int) -> tuple[Candidate, ...]:
    """The `top` most confident species of a window, as `ranked` gives them, with their similarity to its vector."""
    rows = best(confidences, vocabulary.taxa, top)
    shown = vocabulary.similarity(vector, rows)
    return tuple(Candidate.of(vocabulary.taxa[row], confidences[row], cosine) for row, cosine in zip(rows, shown))


def best(values: np.ndarray, taxa: Sequence[Taxon], top: int) -> list[int]:
    """Rows of the `top` largest values above 0, equal ones by name."""
    if top < 1 or not len(values):
        return []
    least = np.partition(values, -top)[-top] if top < len(values) else 0.0
    rows: list[int] = np.flatnonzero((values >= least) & (values > 0)).tolist()
    return sorted(rows, key=lambda row: (-values[row], taxa[row].scientific_name))[:top]
