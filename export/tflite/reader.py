"""Read the tensors and operators of a TFLite file with the package `tflite` (FlatBuffers)."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import ExportError

IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every file
OMITTED = -1  # number of the tensor of an input that is not given
DAMAGED = "copy the file again"
OPERATOR_CODE_PLACEHOLDER = 127  # in the old one-byte field, if the code is in the new one

MALFORMED = (ArithmeticError, LookupError, MemoryError, TypeError, ValueError)  # what numbers that do not fit raise

DTYPES = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "FLOAT64": np.float64,
    "INT32": np.int32,
    "INT64": np.int64,
    "INT16": np.int16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "BOOL": np.bool_,
    "COMPLEX64": np.complex64,
}

# Operator -> its table of options and the fields that are used; operators without options are not listed.
OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "SUB": ("SubOptions", ("FusedActivationFunction",)),
    "MUL": ("MulOptions", ("FusedActivationFunction",)),
    "DIV": ("DivOptions", ("FusedActivationFunction",)),
    "CONV_2D": (
        "Conv2DOptions",
        ("Padding", "StrideW", "StrideH", "DilationWFactor", "DilationHFactor", "FusedActivationFunction"),
    ),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        ("Padding", "StrideW", "StrideH", "DilationWFactor", "DilationHFactor", "FusedActivationFunction"),
    ),
    "AVERAGE_POOL_2D": (
        "Pool2DOptions",
        ("Padding", "StrideW", "StrideH", "FilterWidth", "FilterHeight", "FusedActivationFunction"),
    ),
    "MAX_POOL_2D": (
        "Pool2DOptions",
        ("Padding", "StrideW", "StrideH", "FilterWidth", "FilterHeight", "FusedActivationFunction"),
    ),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "KeepNumDims")),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "SUM": ("ReducerOptions", ("KeepDims",)),
    "REDUCE_MAX": ("ReducerOptions", ("KeepDims",)),
    "REDUCE_MIN": ("ReducerOptions", ("KeepDims",)),
    "REDUCE_PROD": ("ReducerOptions", ("KeepDims",)),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"),
    ),
    "PACK": ("PackOptions", ("Axis", "ValuesCount")),
    "GATHER": ("GatherOptions", ("Axis", "BatchDims")),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",)),
    "SQUEEZE": ("SqueezeOptions", ()),
}


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the file.

    Attributes
    ----------
    shape : tuple of int
        As in the file, in which the batch, and sizes that depend on it, are 1.
    data : numpy.ndarray or None
        Value of a constant.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data: np.ndarray | None


@dataclass(frozen=True)
class Operator:
    """An operator of the file.

    Attributes
    ----------
    code : str
        Name in TensorFlow Lite's schema, `CONV_2D`; that of a custom operator is ``custom NAME``.
    inputs, outputs : tuple of int
        Numbers of tensors; -1 for an omitted input.
    options : dict
        Name of an option -> value.
    """

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Model:
    """The first subgraph of a file, in execution order."""

    path: Path
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_model(path: Path) -> Model:
    """Read a TFLite file.

    Raises
    ------
    ExportError
        It cannot be read, is not a TFLite file, is truncated, or the package `tflite` is not installed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}", "name a readable TFLite file") from error
    if data[4:8] != IDENTIFIER:
        raise ExportError(f"{path}: is not a TFLite file", "name a .tflite file")
    try:
        schema = importlib.import_module("tflite")
    except ImportError as error:
        raise ExportError("the tflite package is missing", "pip install 'biovita-edge[birdnet]'") from error
    try:
        return _read(path, schema.Model.GetRootAs(data, 0), schema)
    except (*MALFORMED, struct.error, AttributeError) as error:
        raise ExportError(f"{path}: is damaged or truncated", DAMAGED) from error


def _read(path: Path, model: Any, schema: Any) -> Model:
    graph = model.Subgraphs(0)
    codes = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    dtypes = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    tensors = tuple(_tensor(model, graph.Tensors(i), dtypes) for i in range(graph.TensorsLength()))
    operators = tuple(_operator(model, graph.Operators(i), codes, schema) for i in range(graph.OperatorsLength()))
    inputs, outputs = (tuple(int(i) for i in numbers) for numbers in (graph.InputsAsNumpy(), graph.OutputsAsNumpy()))
    made = {*inputs, *outputs, *(i for one in operators for i in one.outputs)}
    used = made | {i for one in operators for i in one.inputs if i != OMITTED}
    if not inputs or not outputs or not used <= {*range(len(tensors))} or not all(one.outputs for one in operators):
        raise ValueError("operators name tensors that do not exist")
    return Model(path, tensors, operators, inputs, outputs)


def _tensor(model: Any, tensor: Any, dtypes: Mapping[int, str]) -> Tensor:
    name = dtypes[tensor.Type()]
    dtype = np.dtype(DTYPES.get(name, np.void))
    shape = tuple(int(n) for n in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
    buffer = model.Buffers(tensor.Buffer())
    data = None
    if buffer is not None and buffer.DataLength():
        data = np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype).reshape(shape)
    elif 0 in shape and dtype.kind in "iuf":
        data = np.zeros(shape, dtype)
    return Tensor(tensor.Name().decode(errors="replace"), shape, dtype, data)


def _operator(model: Any, operator: Any, codes: Mapping[int, str], schema: Any) -> Operator:
    kind = model.OperatorCodes(operator.OpcodeIndex())
    number = kind.DeprecatedBuiltinCode()
    if number == OPERATOR_CODE_PLACEHOLDER or kind.BuiltinCode() > number:
        number = kind.BuiltinCode()
    code = codes[number]
    if code == "CUSTOM":
        code = f"custom {(kind.CustomCode() or b'').decode(errors='replace')}"
    options: dict[str, int | float] = {}
    table, wanted = OPTIONS.get(code, ("", ()))
    if wanted and operator.BuiltinOptions() is not None:
        given = getattr(schema, table)()
        given.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        options = {name: getattr(given, name)() for name in wanted}
    inputs = tuple(int(operator.Inputs(i)) for i in range(operator.InputsLength()))
    return Operator(code, inputs, tuple(int(operator.Outputs(i)) for i in range(operator.OutputsLength())), options)
