"""Does a pack call recordings what the checkpoint calls them? Scored as on the device, by names alone."""

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
    """Share of recordings whose likeliest species is the same, and the first where it is not."""

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
    """The likeliest species of each recording; nothing for one that is silent.

    Parameters
    ----------
    heard : the window vectors [n, dim] of each recording
    texts : [taxa, dim] mean vector of each taxon's names; of any length
    """
    vocabulary = Vocabulary(Index(taxa, {"text": texts}), parameters)
    named = []
    for (_, windows), vectors in zip(recordings, heard, strict=True):
        levels = [level_dbfs(window) for window in windows]
        confidences = pooled(recognise(vectors, levels, vocabulary), vocabulary)
        named.append(taxa[int(confidences.argmax())].scientific_name if confidences.any() else "")
    return named


def agree(recordings: Recordings, wanted: Sequence[str], given: Sequence[str]) -> Agreement:
    """Compare what `likeliest` gave for the same recordings; those that are silent do not count."""
    heard = [(label, *both) for (label, _), *both in zip(recordings, wanted, given, strict=True) if both[0]]
    apart = [f"{label} ({name}, now {now})" for label, name, now in heard if name != now]
    share = 1.0 - len(apart) / len(heard) if heard else 0.0
    return Agreement(share, len(heard), apart[0] if apart else "")


def enough(found: Agreement, bound: float) -> Agreement:
    """The agreement, where it is one.

    Raises
    ------
    ParityError
        When the share is below `bound`; the message names the first recording, or that there was none.
    """
    if not found.recordings:
        raise ParityError("audio.onnx: no recording to compare decisions on", "name a manifest with --data")
    if found.share < bound:
        raise ParityError(
            f"audio.onnx: the same species as the checkpoint for {found.share:.4f} of {found.recordings} recordings, "
            f"below {bound}; first {found.first}",
            REMEDY,
        )
    return found
