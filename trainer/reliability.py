"""Calibration error of confidences, and precision and recall at a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LIKELIEST = 10  # taxa of each window that are measured; the many others at nearly zero would hide all errors
BINS = 10
FIRST = (2, 5)  # ranks of the recall


@dataclass(frozen=True)
class Reliability:
    """Metrics on windows whose taxa are known.

    Attributes
    ----------
    windows : int
    expected_calibration_error : float
        Mean difference between confidence and accuracy over ten bins of equal width, for the ten most likely taxa of
        each window (Guo et al., ICML 2017).
    precision, recall : float or None
        Of the species at or above the threshold; None if there are no detections, or no taxa to detect.
    named : int
        Windows with a species at or above the threshold.
    recall_among : dict of int to float
        Share of the taxa that are among the first k of their window.
    """

    windows: int
    expected_calibration_error: float
    precision: float | None
    recall: float | None
    named: int
    recall_among: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """As values of JSON."""
        return {
            "windows": self.windows,
            "expected_calibration_error": round(self.expected_calibration_error, 4),
            "precision": None if self.precision is None else round(self.precision, 4),
            "recall": None if self.recall is None else round(self.recall, 4),
            "named": self.named,
            **{f"recall_among_{k}": round(share, 4) for k, share in self.recall_among.items()},
        }


def reliability(confidences: np.ndarray, truth: np.ndarray, threshold: float) -> Reliability:
    """Measure confidences against the truth.

    Parameters
    ----------
    confidences : numpy.ndarray
        [n, taxa]
    truth : numpy.ndarray
        [n, taxa] bool; a row may have no taxon.
    threshold : float
        At or above which a taxon is detected.
    """
    order = np.argsort(-confidences, axis=1, kind="stable")
    likeliest = order[:, :LIKELIEST]
    detected = confidences >= threshold
    right, present = int((detected & truth).sum()), int(truth.sum())
    return Reliability(
        windows=len(confidences),
        expected_calibration_error=calibration_error(
            np.take_along_axis(confidences, likeliest, axis=1).ravel(),
            np.take_along_axis(truth, likeliest, axis=1).ravel(),
        ),
        precision=right / int(detected.sum()) if detected.any() else None,
        recall=right / present if present else None,
        named=int(detected.any(axis=1).sum()),
        recall_among={
            k: float(np.take_along_axis(truth, order[:, :k], axis=1).sum() / present) for k in FIRST if present
        },
    )


def calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error of confidences [n], given whether each is correct [n] bool."""
    if not len(confidences):
        return 0.0
    bin_of = np.minimum((confidences * BINS).astype(int), BINS - 1)
    n = np.bincount(bin_of, minlength=BINS)
    gap = np.abs(np.bincount(bin_of, confidences, BINS) - np.bincount(bin_of, right, BINS))
    return float(gap[n > 0].sum() / len(confidences))
