"""Unit vectors of files, in batches, and the files that could not be encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgeapp.audio.microphones.complaints import overheard
from trainer.benchmark.files import Embed, embedded
from trainer.data.manifest import Sample
from trainer.probes.labelled import unit


def encode(
    embed: Embed, files: Sequence[Path | Sample], batch: int, done: Callable[[int], None] = lambda files: None
) -> tuple[np.ndarray, np.ndarray, list[str]] | None:
    """Unit vectors of files.

    Parameters
    ----------
    batch : files per batch
    done : called with the number of files just processed

    Returns
    -------
    Which files could be encoded [n] bool, their unit vectors, and a line for each that could not; None if the encoder
    lacks the modality.

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
        with overheard():  # an MP3 decoder reports damage that it skips
            made = embedded(embed, files, rows)
        if made is None:
            return None
        found, broken = made
        kept[list(broken)] = False
        vectors += found
        faults += broken.values()
        done(len(rows))
    return kept, unit("the encoder", np.stack(vectors)) if vectors else np.zeros((0, 0), np.float32), faults
