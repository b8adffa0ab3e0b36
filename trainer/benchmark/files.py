"""Vectors of files in batches, in which a damaged file is reported and does not affect the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgeapp.errors import AudioError
from trainer.data.manifest import Sample
from trainer.data.media import called
from trainer.errors import DataError

UNUSABLE = (AudioError, DataError, OSError, ValueError)  # raised for one file

# The method `audio` or `images` of an encoder: files, or parts of shards, to vectors [n, dim]; None if it lacks the
# modality.
Embed = Callable[[Sequence[Path | Sample]], np.ndarray | None]


def embedded(
    embed: Embed, files: Sequence[Path | Sample], rows: Sequence[int]
) -> tuple[list[np.ndarray], dict[int, str]] | None:
    """Vectors of the usable files, and a line for each row that is not; None if the encoder lacks the modality.

    If a batch fails, its files are tried one by one. A file with a zero vector, which has no direction, is unusable. A
    vector that is not finite is the fault of the model, and is left to the caller.
    """
    try:
        vectors = embed([files[row] for row in rows])
        if vectors is None:
            return None
        directed = np.any(vectors, axis=1)
        silent = [row for row, has in zip(rows, directed) if not has]
        return list(vectors[directed]), {row: f"{called(files[row])}: its vector is zero" for row in silent}
    except UNUSABLE as error:
        if len(rows) == 1:
            name, reason = called(files[rows[0]]), str(error) or type(error).__name__
            return [], {rows[0]: reason if name in reason else f"{name}: {reason}"}
    alone = [embedded(embed, files, [row]) for row in rows]
    several = [one for one in alone if one is not None]
    return [v for vectors, _ in several for v in vectors], {k: x for _, faults in several for k, x in faults.items()}
