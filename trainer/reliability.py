"""How far confidences can be believed, and what a threshold makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LIKELIEST = 10  # taxa of each window that count: all others have next to no confidence, and would hide every error
BINS = 10
FIRST = (2, 5)  # names among which the taxa of a window are looked for


@dataclass(frozen=True)
class Reliability:
    """Of windows whose taxa are known.

    Attributes
    ----------
    windows : int
    expected_calibration_error : float
        Mean difference between confidence and share that is right, over ten bins of equal width, of the ten likeliest
        taxa of each window (Guo et al., ICML 2017).
    precision, recall : float or None
        Of the species at or above the threshold; None where nothing was named, or nothing could be.
    named : int
        Windows with a species at or above the threshold.
    recall_among : dict of int to float
        Share of the taxa that are among the first so many names of their window.
    """

    windows: int
    expected_calibration_error: float
    precision: float | None
    recall: float | None
    named: int
    recall_among: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "windows": self.windows,
            "expected_calibration_error": round(self.expected_calibration_error, 4),
            "precision": None if self.precision is None else round(self.precision, 4),
            "recall": None if self.recall is None else round(self.recall, 4),
            "named": self.named,
            **{f"recall_among_{k}": round(share, 4) for k, share in self.recall_among.items()},
        }


def reliability(confidences: np.ndarray, truth: np.ndarray, threshold: float) -> Reliability:
    """Measure confidences against what is there.

    Parameters
    ----------
    confidences : numpy.ndarray
        [n, taxa]
    truth : numpy.ndarray
        [n, taxa] bool; a row may have no taxon.
    threshold : float
        At or above which a taxon is named.
    """
    order = np.argsort(-confidences, axis=1, kind="stable")
    likeliest = order[:, :LIKELIEST]
    told = confidences >= threshold
    right, there = int((told & truth).sum()), int(truth.sum())
    return Reliability(
        windows=len(confidences),
        expected_calibration_error=calibration_error(
            np.take_along_axis(confidences, likeliest, axis=1).ravel(),
            np.take_along_axis(truth, likeliest, axis=1).ravel(),
        ),
        precision=right / int(told.sum()) if told.any() else None,
        recall=right / there if there else None,
        named=int(told.any(axis=1).sum()),
        recall_among={k: float(np.take_along_axis(truth, order[:, :k], axis=1).sum() / there) for k in FIRST if there},
    )


def calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error of confidences [n] and whether each is right [n] bool."""
    if not len(confidences):
        return 0.0
    bin_of = np.minimum((confidences * BINS).astype(int), BINS - 1)
    n = np.bincount(bin_of, minlength=BINS)
    gap = np.abs(np.bincount(bin_of, confidences, BINS) - np.bincount(bin_of, right, BINS))
    return float(gap[n > 0].sum() / len(confidences))
