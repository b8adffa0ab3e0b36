"""Vectors of files, some at a time: a damaged file costs itself alone, and is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgeapp.errors import AudioError
from trainer.data.manifest import Sample
from trainer.data.media import called
from trainer.errors import DataError

UNUSABLE = (AudioError, DataError, OSError, ValueError)  # by one file

# The method `audio` or `images` of an encoder: files, or pieces of shards, to vectors [n, dim]; None when it lacks the
# modality.
Embed = Callable[[Sequence[Path | Sample]], np.ndarray | None]


def told(file: Path | Sample) -> str:
    """What a person calls a file or a piece of one."""
    return called(file) if isinstance(file, Sample) else str(file)


def embedded(
    embed: Embed, files: Sequence[Path | Sample], rows: Sequence[int]
) -> tuple[list[np.ndarray], dict[int, str]] | None:
    """Vectors of the files that can be used, and a line for each row that cannot; None when the modality is lacking.

    Some files that fail together are tried one by one. A zero vector has no direction: its file cannot be used. One
    that is not finite is the model's fault, and is left to the caller.
    """
    try:
        vectors = embed([files[row] for row in rows])
        if vectors is None:
            return None
        directed = np.any(vectors, axis=1)
        silent = [row for row, has in zip(rows, directed) if not has]
        return list(vectors[directed]), {row: f"{told(files[row])}: its vector is zero" for row in silent}
    except UNUSABLE as error:
        if len(rows) == 1:
            name, reason = told(files[rows[0]]), str(error) or type(error).__name__
            return [], {rows[0]: reason if name in reason else f"{name}: {reason}"}
    alone = [embedded(embed, files, [row]) for row in rows]
    several = [one for one in alone if one is not None]
    return [v for vectors, _ in several for v in vectors], {k: x for _, faults in several for k, x in faults.items()}
