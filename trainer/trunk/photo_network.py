"""The photo network that an image tower starts from: its classes and its last layer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gallery import Names, Taxon, TaxonError
from trainer.errors import CheckpointError
from trainer.models.mobilenet import FEATURES

NETWORK, LABELS = "inat_bird_mobilenetv2.onnx", "inat_bird_labels.txt"
COMMON = re.compile(r"\s*\([^()]*\)\s*$")  # the common name after the scientific one


@dataclass(frozen=True)
class PhotoClasses:
    """The last layer of a photo network, for its classes that are in a list of taxa.

    Attributes
    ----------
    weights : [classes, 1280] float32
    bias : [classes] float32
    taxa : [classes] row in the list
    """

    weights: np.ndarray
    bias: np.ndarray
    taxa: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Rows of the taxa that are classes of the network, each once."""
        return np.unique(self.taxa)


def read_labels(path: Path) -> list[str]:
    """Scientific names of the classes, from one line each such as `Parus major (Great Tit)`.

    Raises
    ------
    CheckpointError
        When the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "not UTF-8"
        raise CheckpointError(f"{path}: cannot be read ({reason})", "name its folder with --pretrained") from error
    return [COMMON.sub("", line).strip() for line in lines if line.strip()]


def read_photo_classes(folder: Path, taxa: list[Taxon]) -> PhotoClasses:
    """The classes of the photo network in a folder of public weights that are in `taxa`, matched by name.

    Raises
    ------
    CheckpointError
        When a file is missing or damaged, labels and layer differ in number, or no class is in `taxa`.
    """
    import onnx
    from onnx import numpy_helper

    path = folder / NETWORK
    labels = read_labels(folder / LABELS)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file", "name the folder of the public weights with --pretrained")
    try:
        tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(path)).graph.initializer}
    except Exception as error:
        raise CheckpointError(f"{path}: not an ONNX model ({type(error).__name__})", "fetch the file again") from error
    last = [name for name, array in tensors.items() if array.ndim == 2 and array.shape == (len(labels), FEATURES)]
    bias = tensors.get(f"b{last[0][1:]}") if last else None
    if bias is None:
        raise CheckpointError(
            f"{path}: has no last layer with the {len(labels)} classes of {LABELS}", "give both files of one network"
        )
    matched = rows_of([(label,) for label in labels], taxa)
    found = matched >= 0
    if not found.any():
        raise CheckpointError(f"{folder / LABELS}: has no taxon with a class vector", "name a pack of birds")
    weights, bias = tensors[last[0]].astype(np.float32), bias.reshape(-1).astype(np.float32)
    return PhotoClasses(weights[found], bias[found], matched[found])


def rows_of(names: Iterable[Sequence[str]], taxa: Sequence[Taxon]) -> np.ndarray:
    """Row in `taxa` [n] int64 of the first known name of each sequence of names, -1 if none is known."""
    known, row_of = Names(taxa), {taxon.scientific_name: row for row, taxon in enumerate(taxa)}

    def row(candidates: Sequence[str]) -> int:
        for name in candidates:
            with suppress(TaxonError):
                return row_of[known.find(name, suggest=False).scientific_name]
        return -1

    return np.array([row(candidates) for candidates in names], np.int64)
