"""Constant folding: shape computations and stored weights, evaluated with NumPy.

The batch size is not in the file. Everything is therefore evaluated for two of them, `BATCHES`: values that differ
depend on the batch, values that agree are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from export.tflite.reader import Operator

BATCHES = (2, 3)
MOST_NUMBERS = 1 << 20  # of a range: the frames of a window

Known = tuple[np.ndarray, ...]  # a value for each of BATCHES
Shapes = tuple[tuple[int, ...], ...]  # a shape for each of BATCHES


def constant(data: np.ndarray) -> Known:
    """A value that does not depend on the batch."""
    return (data,) * len(BATCHES)


def is_constant(known: Known) -> bool:
    """Whether a value does not depend on the batch."""
    return all(np.array_equal(known[0], other) for other in known[1:])


def fold(operator: Operator, inputs: Sequence[np.ndarray]) -> list[np.ndarray] | None:
    """Outputs of an operator for known inputs; None if the operator cannot be folded."""
    if operator.code == "SPLIT_V":
        values, sizes, axis = inputs
        return np.split(values, np.cumsum(sizes)[:-1], int(axis))
    made = FOLDED.get(operator.code)
    return None if made is None else [np.asarray(made(operator, *inputs))]


def _strided_slice(
    operator: Operator, values: np.ndarray, begin: np.ndarray, end: np.ndarray, step: np.ndarray
) -> np.ndarray:
    return np.asarray(values[tuple(slices(operator, begin, end, step))])


def slices(operator: Operator, begin: np.ndarray, end: np.ndarray, step: np.ndarray) -> list[slice | int]:
    """The index of each axis of a `STRIDED_SLICE`."""
    masks = {name: int(operator.options.get(name, 0)) for name in ("BeginMask", "EndMask", "ShrinkAxisMask")}
    found: list[slice | int] = []
    for axis in range(len(begin)):
        if masks["ShrinkAxisMask"] >> axis & 1:
            found.append(int(begin[axis]))
            continue
        first = None if masks["BeginMask"] >> axis & 1 else int(begin[axis])
        last = None if masks["EndMask"] >> axis & 1 else int(end[axis])
        found.append(slice(first, last, int(step[axis])))
    return found


def _gather(operator: Operator, values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    return np.take(values, indices, int(operator.options.get("Axis", 0)))


def _pack(operator: Operator, *values: np.ndarray) -> np.ndarray:
    return np.stack(values, int(operator.options.get("Axis", 0)))


def _concatenation(operator: Operator, *values: np.ndarray) -> np.ndarray:
    return np.concatenate(values, int(operator.options.get("Axis", 0)))


def _reduce_prod(operator: Operator, values: np.ndarray, axes: np.ndarray) -> np.ndarray:
    keep = bool(operator.options.get("KeepDims", False))
    return np.prod(values, axis=tuple(np.atleast_1d(axes).tolist()), keepdims=keep, dtype=values.dtype)


def _range(operator: Operator, start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> np.ndarray:
    numbers = range(int(start), int(limit), int(delta))
    if len(numbers) > MOST_NUMBERS:
        raise ValueError(f"{len(numbers)} numbers in a row")
    return np.array(numbers, np.int32)


def _expand_dims(operator: Operator, values: np.ndarray, axis: np.ndarray) -> np.ndarray:
    return np.expand_dims(values, int(axis))


FOLDED: dict[str, Callable[..., np.ndarray]] = {
    "ADD": lambda operator, a, b: a + b,
    "SUB": lambda operator, a, b: a - b,
    "MUL": lambda operator, a, b: a * b,
    "FLOOR_DIV": lambda operator, a, b: a // b,
    "MAXIMUM": lambda operator, a, b: np.maximum(a, b),
    "MINIMUM": lambda operator, a, b: np.minimum(a, b),
    "RANGE": _range,
    "RESHAPE": lambda operator, values, shape: values.reshape(np.atleast_1d(shape).tolist() if shape.size else ()),
    "TRANSPOSE": lambda operator, values, order: values.transpose(order.tolist()),
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "PACK": _pack,
    "CONCATENATION": _concatenation,
    "REDUCE_PROD": _reduce_prod,
    "EXPAND_DIMS": _expand_dims,
    "SQUEEZE": lambda operator, values: values.squeeze(),
    "DEQUANTIZE": lambda operator, values: values.astype(np.float32),
}
FOLDS = {*FOLDED, "SPLIT_V"}
