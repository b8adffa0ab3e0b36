"""The towers for BirdNET's space that are part of this project, added to the public network in a pack.

A folder; all files are optional:

- `taxonomy.csv.gz`: the labels as taxa (`gallery.labels`); the project's own if there is none
- `space.npz`: `mean` [1024] and `matrix` [1024, 1024], float16; the vector of a window is
  `matrix @ (embedding - mean)`
- `recordings.npz`: `vectors` [n, dim] float16 of recordings in the space, `scientific_name` [n]; with
  `recordings.csv`, a row each: scientific_name, author, licence, source, sha256
- `text.onnx`, `tokenizer.json`, `image.onnx`: encoders of names and photos
- `golden.npz`: outputs of the public network, run by TensorFlow Lite, for the bundled example
- `towers.json`: `context` of the text encoder, `size` of the image encoder, `decision`, `metrics`
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.paths import BIRDNET_TOWERS, TAXONOMY
from export.errors import ExportError
from gallery.entry import Entry
from gallery.errors import BiovitaError
from gallery.labels import Label, read_taxonomy
from gallery.parameters import INDEPENDENT, DecisionParameters

SPACE, RECORDINGS, CREDITS, GOLDEN, DOCUMENT = (
    "space.npz",
    "recordings.npz",
    "recordings.csv",
    "golden.npz",
    "towers.json",
)
TEXT, TOKENIZER, IMAGE = "text.onnx", "tokenizer.json", "image.onnx"

# BirdNET's own confidences, for packs without towers; names and recordings of other taxa are uncalibrated.
UNFITTED = DecisionParameters(
    scale={"text": 20.0, "image": 20.0, "audio": 30.0},
    bias={"text": -8.0, "image": -8.0, "audio": -14.0},
    weight={"text": 1.0, "image": 1.0, "audio": 1.0},
    null_logit=0.0,
    slope=1.0,
    offset=0.0,
    threshold=0.25,
    floor=0.5,
    evidence=1.0,
    silence_dbfs=-70.0,
    pool_windows=3,
    rule=INDEPENDENT,
)


@dataclass(frozen=True, eq=False)
class Space:
    """The map from a network's embedding to the space.

    Attributes
    ----------
    mean : numpy.ndarray
        [dim]
    matrix : numpy.ndarray
        [dim, dim], invertible
    """

    mean: np.ndarray
    matrix: np.ndarray

    @classmethod
    def identity(cls, dim: int) -> Space:
        """The space of the embedding itself."""
        return cls(np.zeros(dim, np.float32), np.eye(dim, dtype=np.float32))

    @property
    def is_identity(self) -> bool:
        """Whether the space is the embedding itself."""
        return not self.mean.any() and np.array_equal(self.matrix, np.eye(len(self.mean), dtype=np.float32))

    def class_vectors(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The last layer of the network, [classes, dim] and [classes], as one over vectors of the space."""
        rows = np.linalg.solve(self.matrix.astype(np.float64).T, weights.astype(np.float64).T).T
        return rows, bias + weights.astype(np.float64) @ self.mean.astype(np.float64)


@dataclass(frozen=True)
class Towers:
    """A folder of towers."""

    folder: Path = BIRDNET_TOWERS
    document: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path = BIRDNET_TOWERS) -> Towers:
        """Open a folder of towers.

        Raises
        ------
        ExportError
            It does not exist, or its document cannot be read.
        """
        if not folder.is_dir():
            raise ExportError(f"{folder}: no folder of towers", "install biovita-edge again, or name one with --towers")
        path = folder / DOCUMENT
        if not path.is_file():
            return cls(folder)
        try:
            return cls(folder, dict(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise ExportError(f"{path}: cannot be read ({error})", "install biovita-edge again") from error

    def has(self, name: str) -> bool:
        """Whether a file exists."""
        return (self.folder / name).is_file()

    @cached_property
    def labels(self) -> list[Label]:
        """BirdNET's labels as taxa, in the order of its outputs."""
        return read_taxonomy(self.folder / TAXONOMY.name if self.has(TAXONOMY.name) else TAXONOMY)

    @property
    def decision(self) -> DecisionParameters:
        """The fitted decision parameters, or `UNFITTED`."""
        try:
            return DecisionParameters.from_dict(self.document["decision"]) if "decision" in self.document else UNFITTED
        except BiovitaError as error:
            raise ExportError(f"{self.folder / DOCUMENT}: {error}", "install biovita-edge again") from error

    def space(self, dim: int) -> Space:
        """The map from embeddings of dimension `dim` to the space."""
        if not self.has(SPACE):
            return Space.identity(dim)
        with np.load(self.folder / SPACE) as file:
            return Space(file["mean"].astype(np.float32), file["matrix"].astype(np.float32))

    def recordings(self) -> list[Entry]:
        """Vectors of recordings, with their authors and licences."""
        if not self.has(RECORDINGS):
            return []
        with np.load(self.folder / RECORDINGS) as file:
            vectors = file["vectors"].astype(np.float32)
        with (self.folder / CREDITS).open(encoding="utf-8", newline="") as lines:
            credits = list(csv.DictReader(lines))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return [
            Entry(
                row["scientific_name"],
                "audio",
                vector,
                row["source"],
                row["author"],
                row["licence"],
                row["source"],
                row["sha256"],  # parts of one source are separate recordings
            )
            for row, vector in zip(credits, vectors, strict=True)
        ]
