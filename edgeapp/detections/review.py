"""Review verdicts."""

from __future__ import annotations

from enum import Enum


class ReviewVerdict(str, Enum):
    """Whether a detection is right; the last review of a detection counts."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    CORRECTED = "corrected"  # it is another taxon, which the review names
