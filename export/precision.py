"""Precisions that a pack's graphs can compute in, and what each has to keep of the checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from export.errors import ExportError, ParityError
from export.halves import to_half
from export.integers import RANGED, spread, to_integers

Judge = Callable[[np.ndarray, np.ndarray], bool]  # vectors in fp32 and in the precision, both [n, dim]: near enough?


Lowered = tuple[onnx.ModelProto, list[str]]  # a graph, and what still computes in float32 in it


@dataclass(frozen=True)
class Precision:
    """A precision and its bounds.

    Attributes
    ----------
    cosine : least cosine of a vector with the checkpoint's
    names : least share of recordings whose likeliest species is the checkpoint's
    lower : brings a graph of float32 to it, given real inputs [n, ...] and a judge; gives None where no part of the
        graph can be lowered. No function where graphs stay as they are exported
    """

    name: str
    cosine: float
    names: float
    lower: Callable[[onnx.ModelProto, np.ndarray, Judge], Lowered | None] | None = None

    @property
    def aim(self) -> float:
        """Least cosine that layers are chosen for, stricter than the bound by a third: other inputs check."""
        return (2.0 * self.cosine + 1.0) / 3.0


def halved(model: onnx.ModelProto, inputs: np.ndarray, judge: Judge) -> Lowered:
    """A float16 graph, and the kinds of nodes that are left in float32 with their numbers."""
    half, in_float = to_half(model, spread(inputs, RANGED))
    return half, [f"{count} {kind}" for kind, count in in_float.items()]


def quantised(model: onnx.ModelProto, inputs: np.ndarray, judge: Judge) -> Lowered | None:
    """An int8 graph, and the layers that are left in float32; None where all are."""
    mixed = to_integers(model, inputs, judge)
    return (mixed.model, list(mixed.kept)) if mixed.quantised else None


# To add a precision, write the function that lowers a graph to it and a line here.
FP32 = Precision("fp32", 0.9999, 0.99)
FP16 = Precision("fp16", 0.999, 0.99, halved)
INT8 = Precision("int8", 0.9, 0.97, quantised)
PRECISIONS = {precision.name: precision for precision in (FP32, FP16, INT8)}


def find_precision(name: str) -> Precision:
    """Precision by name.

    Raises
    ------
    ExportError
        When there is none of that name.
    """
    if name not in PRECISIONS:
        raise ExportError(f"precision '{name}' does not exist", f"choose {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def convert(path: Path, precision: Precision, inputs: np.ndarray, judge: Judge) -> list[str]:
    """Bring a graph of float32 to another precision, in its place.

    Parameters
    ----------
    inputs : real inputs [n, ...], none of which may be used to check
    judge : chooses the layers that int8 leaves in float32

    Returns
    -------
    What still computes in float32: kinds of nodes with their numbers for fp16, layers for int8; nothing is listed of a
    graph that stays as it is.

    Raises
    ------
    ParityError
        When not one layer can be lowered.
    """
    if precision.lower is None:
        return []
    lowered = precision.lower(onnx.load(str(path)), inputs, judge)
    if lowered is None:
        raise ParityError(f"{path.name}: no layer of it can be {precision.name}", "no pack was written; export in fp16")
    model, in_float = lowered
    onnx.save_model(model, str(path))
    return in_float
