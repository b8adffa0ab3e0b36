"""Is the graph the checkpoint? Compared from waveform, text and picture to vector, on real inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from export.errors import ParityError

FP32_BOUND = 0.9999  # least cosine between what torch and what the graph gives


@dataclass(frozen=True)
class Parity:
    """Least and mean cosine of one graph over its inputs, and the input it was least on."""

    least: float
    mean: float
    worst: str
    inputs: int

    def to_dict(self) -> dict[str, float | int | str]:
        return {"least": round(self.least, 7), "mean": round(self.mean, 7), "inputs": self.inputs}


def compare(
    graph: str,
    inputs: Sequence[tuple[str, np.ndarray]],
    reference: Callable[[np.ndarray], np.ndarray],
    exported: Callable[[np.ndarray], np.ndarray],
    bound: float = FP32_BOUND,
) -> Parity:
    """Run both on every input and compare.

    Parameters
    ----------
    graph : name for messages
    inputs : (label, [n, ...] array) pairs
    reference, exported : [n, ...] -> [n, dim]

    Raises
    ------
    ParityError
        When a cosine is below `bound`, or a vector is not finite; the message names the input and the figure.
    """
    least, worst, total, count = 2.0, "", 0.0, 0
    for label, values in inputs:
        wanted, given = reference(values), exported(values)
        lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(given, axis=1)
        with np.errstate(invalid="ignore"):
            cosines = (wanted * given).sum(axis=1) / np.maximum(lengths, 1e-12)
        cosines = np.where(np.isfinite(cosines), cosines, -1.0)
        if cosines.min() < least:
            least, worst = float(cosines.min()), label
        total, count = total + float(cosines.sum()), count + len(cosines)
    if not count:
        raise ParityError(f"{graph}: nothing to compare on", "name a manifest with --data")
    if least < bound:
        raise ParityError(
            f"{graph}: cosine {least:.6f} on {worst}, below {bound}",
            "no pack was written; export in fp32, or report this",
        )
    return Parity(least, total / count, worst, count)
