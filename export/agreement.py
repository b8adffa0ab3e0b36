"""Agreement of a pack with its checkpoint on the species of recordings, scored as on the device, by names only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeapp.audio.windows import level_dbfs
from export.errors import ParityError
from export.parity import REMEDY
from gallery import DecisionParameters, Index, Taxon, Vocabulary, pooled, recognise

Recordings = Sequence[tuple[str, np.ndarray]]  # label and windows [n, samples] of each


@dataclass(frozen=True)
class Agreement:
    """Share of recordings with the same most likely species, and the first that differs."""

    share: float
    recordings: int
    first: str

    def to_dict(self) -> dict[str, float | int]:
        return {"same_species": round(self.share, 4), "recordings": self.recordings}


def likeliest(
    recordings: Recordings,
    heard: Sequence[np.ndarray],
    texts: np.ndarray,
    taxa: Sequence[Taxon],
    parameters: DecisionParameters,
) -> list[str]:
    """The most likely species of each recording; empty for silent recordings.

    Parameters
    ----------
    heard : window vectors [n, dim] of each recording
    texts : [taxa, dim] mean vector of each taxon's names, not normalised
    """
    vocabulary = Vocabulary(Index(taxa, {"text": texts}), parameters)
    named = []
    for (_, windows), vectors in zip(recordings, heard, strict=True):
        levels = [level_dbfs(window) for window in windows]
        found = recognise(vectors, levels, vocabulary)
        best = int(pooled(found, vocabulary).argmax())
        named.append(taxa[best].scientific_name if any(window.heard for window in found) else "")
    return named


def agree(recordings: Recordings, wanted: Sequence[str], given: Sequence[str]) -> Agreement:
    """Compare two results of `likeliest` for the same recordings, without the silent ones."""
    heard = [(label, *both) for (label, _), *both in zip(recordings, wanted, given, strict=True) if both[0]]
    different = [f"{label} ({name}, now {now})" for label, name, now in heard if name != now]
    share = 1.0 - len(different) / len(heard) if heard else 0.0
    return Agreement(share, len(heard), different[0] if different else "")


def require(found: Agreement, bound: float) -> Agreement:
    """The agreement, which must not be below a bound.

    Raises
    ------
    ParityError
        When the share is below `bound`, naming the first recording that differs, or when there are no recordings.
    """
    if not found.recordings:
        raise ParityError(
            "audio.onnx: no recording to compare decisions on, or none that is loud enough",
            "name a manifest with --data",
        )
    if found.share < bound:
        raise ParityError(
            f"audio.onnx: the same species as the checkpoint for {found.share:.4f} of {found.recordings} recordings, "
            f"below {bound}; first {found.first}",
            REMEDY,
        )
    return found
