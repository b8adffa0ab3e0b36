"""Parity of a graph with its checkpoint: cosines of their vectors on real inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.errors import ParityError

REMEDY = "no pack was written; export with a higher --precision, or report this"


@dataclass(frozen=True)
class Parity:
    """Minimum and mean cosine of a graph over its inputs."""

    least: float
    mean: float
    inputs: int

    def to_dict(self) -> dict[str, float | int | str]:
        return {"least": round(self.least, 7), "mean": round(self.mean, 7), "inputs": self.inputs}


def cosines(wanted: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Cosine [n] of two sets of vectors [n, dim], row by row; -1 if one is not finite."""
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(given, axis=1)
    with np.errstate(invalid="ignore"):
        found = (wanted * given).sum(axis=1) / np.maximum(lengths, 1e-12)
    return np.where(np.isfinite(found), found, -1.0)


def compare(
    graph: str, labels: Sequence[str], wanted: Sequence[np.ndarray], given: Sequence[np.ndarray], bound: float
) -> Parity:
    """Compare the vectors of a checkpoint and of a graph for the same inputs.

    Parameters
    ----------
    graph : name for messages
    labels : of the inputs
    wanted, given : vectors [n, dim] of each input
    bound : minimum cosine

    Raises
    ------
    ParityError
        When a cosine is below `bound`, or a vector is not finite, naming the input and the value.
    """
    found = [cosines(*both) for both in zip(wanted, given, strict=True)]
    if not found:
        raise ParityError(f"{graph}: nothing to compare on", "name a manifest with --data")
    lows = [float(one.min()) for one in found]
    worst = int(np.argmin(lows))
    if lows[worst] < bound:
        raise ParityError(f"{graph}: cosine {lows[worst]:.6f} on {labels[worst]}, below {bound}", REMEDY)
    every = np.concatenate(found)
    return Parity(lows[worst], float(every.mean()), len(every))
