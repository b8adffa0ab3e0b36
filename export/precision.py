"""Precisions of a pack's graphs, with the bounds of their parity with the checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from export.errors import ExportError, ParityError
from export.halves import to_half
from export.integers import RANGED, Judge, spread, to_integers

Lowered = tuple[onnx.ModelProto, list[str]]  # a graph, and what is left in float32


@dataclass(frozen=True)
class Precision:
    """A precision and its bounds.

    Attributes
    ----------
    cosine : minimum cosine of a vector with that of the checkpoint
    names : minimum share of recordings with the same most likely species as by the checkpoint
    lower : converts a float32 graph, given real inputs [n, ...] and a judge; None for float32
    """

    name: str
    cosine: float
    names: float
    lower: Callable[[onnx.ModelProto, np.ndarray, Judge], Lowered] | None = None

    @property
    def aim(self) -> float:
        """Minimum cosine for choosing layers, a third closer to 1 than the bound that is checked on other inputs."""
        return (2.0 * self.cosine + 1.0) / 3.0


def halved(model: onnx.ModelProto, inputs: np.ndarray, judge: Judge) -> Lowered:
    """A float16 graph, and the number of nodes of each type left in float32."""
    half, in_float = to_half(model, spread(inputs, RANGED))
    return half, [f"{count} {kind}" for kind, count in in_float.items()]


def quantised(model: onnx.ModelProto, inputs: np.ndarray, judge: Judge) -> Lowered:
    """An int8 graph, and the layers left in float32.

    Raises
    ------
    ParityError
        When all are.
    """
    mixed = to_integers(model, inputs, judge)
    if not mixed.quantised:
        why = f": with the fewest of them, {mixed.short}" if mixed.short else ""
        raise ParityError(f"none of its layers can be int8{why}", "no pack was written; export in fp16")
    return mixed.model, list(mixed.kept)


# To add a precision, write the function that converts a graph and add an entry here.
FP32 = Precision("fp32", 0.9999, 0.99)
FP16 = Precision("fp16", 0.999, 0.99, halved)
INT8 = Precision("int8", 0.9, 0.97, quantised)
PRECISIONS = {precision.name: precision for precision in (FP32, FP16, INT8)}


def find_precision(name: str) -> Precision:
    """Precision by name.

    Raises
    ------
    ExportError
        When it does not exist.
    """
    if name not in PRECISIONS:
        raise ExportError(f"precision '{name}' does not exist", f"choose {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def convert(path: Path, precision: Precision, inputs: np.ndarray, judge: Judge) -> list[str]:
    """Convert a float32 graph to another precision, in place.

    Parameters
    ----------
    inputs : real inputs [n, ...], none of which may be used for checks
    judge : criterion for the layers that int8 leaves in float32; it names the input that falls short

    Returns
    -------
    What is left in float32: numbers of nodes by type for fp16, layers for int8, nothing for fp32.

    Raises
    ------
    ParityError
        When no layer can be converted.
    """
    if precision.lower is None:
        return []
    try:
        model, in_float = precision.lower(onnx.load(str(path)), inputs, judge)
    except ParityError as error:
        raise ParityError(f"{path.name}: {error.what}", error.remedy) from None
    onnx.save_model(model, str(path))
    return in_float
