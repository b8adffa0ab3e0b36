"""Whether the converted network gives what the public one gives, on the user's own machine.

The public file is run by a library that a user need not have. So what it gives for the bundled example is kept beside
the towers, ``golden.npz``: ``embedding`` [windows, dim] and ``first`` [windows], the number of the first class.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np

from edgeapp.audio.file import FileSource
from edgeapp.audio.resample import resampled
from edgeapp.audio.windows import windows
from edgeapp.pack.format import Pack
from edgeapp.paths import EXAMPLE
from edgeapp.runtime.encoders import AudioEncoder
from export.birdnet.towers import GOLDEN, Space, Towers
from export.errors import ParityError
from export.tflite.convert import Converted

LEAST_COSINE = 0.99999


def example_windows(pack: Pack) -> np.ndarray:
    """The windows of the bundled example, [n, samples]."""
    spec = pack.audio
    with closing(FileSource(EXAMPLE)) as source:
        cut = windows(resampled(source, spec.rate_hz), spec.window_s, spec.hop_s, pad=spec.pad)
        return np.stack([window.samples for window in cut])


def against_golden(pack: Pack, converted: Converted, space: Space, towers: Towers) -> dict[str, Any]:
    """Compare the pack's audio graph with what the public network gave.

    Returns
    -------
    dict
        For ``pack.json``: least cosine of embeddings, windows, and the share with the same first class.

    Raises
    ------
    ParityError
        A cosine is below `LEAST_COSINE`, or the first class of a window is another.
    """
    if not towers.has(GOLDEN):
        return {}
    with np.load(towers.folder / GOLDEN) as file:
        wanted, first = file["embedding"].astype(np.float64), file["first"]
    vectors = AudioEncoder(pack).encode(example_windows(pack)).astype(np.float64)
    found = np.linalg.solve(space.matrix.astype(np.float64), vectors.T).T + space.mean
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    cosines = (found * wanted).sum(axis=1) / lengths
    same = (found @ converted.weights.T + converted.bias).argmax(axis=1) == first
    if cosines.min() < LEAST_COSINE or not same.all():
        raise ParityError(
            f"audio.onnx gives other vectors than BirdNET for the example (cosine {cosines.min():.6f})",
            "report it, with the versions of onnx and onnxruntime",
        )
    return {"audio": {"least": float(cosines.min()), "inputs": len(cosines), "same_first": float(same.mean())}}
