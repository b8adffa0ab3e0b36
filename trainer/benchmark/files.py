"""Vectors of files, some at a time: a damaged file costs itself alone, and is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgeapp.audio.complaints import overheard
from edgeapp.errors import AudioError
from trainer.benchmark.labelled import unit
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


def encode(
    embed: Embed, files: Sequence[Path | Sample], batch: int, done: Callable[[int], None] = lambda files: None
) -> tuple[np.ndarray, np.ndarray, list[str]] | None:
    """Unit vectors of files, `batch` of them at a time.

    Parameters
    ----------
    done : told how many files were dealt with

    Returns
    -------
    which files could be encoded [n] bool, their unit vectors, and a line for each that could not; None when the encoder
    lacks the modality

    Raises
    ------
    DataError
        A vector is not finite.
    """
    kept = np.ones(len(files), dtype=bool)
    vectors: list[np.ndarray] = []
    faults: list[str] = []
    for start in range(0, len(files), batch):
        rows = range(start, min(start + batch, len(files)))
        with overheard():  # what an MP3 decoder says of damage it passes over
            made = embedded(embed, files, rows)
        if made is None:
            return None
        found, broken = made
        kept[list(broken)] = False
        vectors += found
        faults += broken.values()
        done(len(rows))
    return kept, unit("the encoder", np.stack(vectors)) if vectors else np.zeros((0, 0), np.float32), faults
