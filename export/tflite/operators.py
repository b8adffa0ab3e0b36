"""TFLite operators as ONNX nodes; operators that are not in `LOWERINGS` are not supported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from export.tflite.builder import CHANNELS_FIRST, Builder, Unsupported, Value
from export.tflite.folding import BATCHES, Known, Shapes, is_constant, slices
from export.tflite.reader import Operator

SAME = 0  # of Padding
ACTIVATIONS: dict[int, tuple[str, tuple[float, ...]]] = {  # ActivationFunctionType
    1: ("Relu", ()),
    2: ("Clip", (-1.0, 1.0)),
    3: ("Clip", (0.0, 6.0)),
    4: ("Tanh", ()),
}
REMEDY = "use a network of BirdNET 2.4's operators"

Operand: TypeAlias = "Value | Known"


@dataclass
class Step:
    """An operator to convert.

    Attributes
    ----------
    operator : Operator
    inputs : list of Value or Known or None
        None for an omitted input.
    """

    build: Builder
    operator: Operator
    inputs: list[Operand | None]

    def value(self, number: int) -> Value:
        """A computed input."""
        found = self.inputs[number]
        if not isinstance(found, Value):
            raise self.error("an input that should be computed is a constant")
        return found

    def constant(self, number: int) -> np.ndarray:
        """A constant input."""
        found = self.inputs[number]
        if not isinstance(found, tuple) or not is_constant(found):
            raise self.error("an input that should be a constant is computed")
        return found[0]

    def option(self, name: str) -> int:
        """A numeric option of the operator."""
        return int(self.operator.options.get(name, 0))

    def weights(self, number: int) -> np.ndarray:
        """A constant input that is not quantised, float32."""
        found = self.constant(number)
        if found.dtype.kind != "f":
            raise self.error(f"weights of the type {found.dtype}")
        return found.astype(np.float32)

    def error(self, what: str) -> Unsupported:
        """Error that this operator cannot be converted."""
        return Unsupported(what)

    def activated(self, value: Value) -> Value:
        """A value after the activation that is fused with the operator."""
        number = self.option("FusedActivationFunction")
        if not number:
            return value
        if number not in ACTIVATIONS:
            raise self.error(f"fused activation {number}")
        code, limits = ACTIVATIONS[number]
        bounds = [self.build.constant(np.array(limit, np.float32)) for limit in limits]
        return Value(self.build.node(code, [value.name, *bounds]), value.shapes, value.order)


def _aligned(step: Step, operand: Operand, order: tuple[int, ...]) -> str:
    """Name of an operand of an elementwise operator, stored in the order of the others."""
    if isinstance(operand, Value):
        if operand.rank == len(order):
            return step.build.in_order(operand, order).name
        if order == tuple(range(len(order))):
            return step.build.plain(operand).name
        raise step.error("values of different ranks")
    data = operand[0]
    if data.ndim > len(order):
        raise step.error("a constant of a higher rank than the value")
    wide = data.reshape((1,) * (len(order) - data.ndim) + data.shape).transpose(order) if data.size > 1 else data
    return step.build.constant(wide.reshape(()) if data.size == 1 else wide)


def _broadcast(operands: Sequence[Operand]) -> Shapes:
    shapes = [one.shapes if isinstance(one, Value) else tuple(data.shape for data in one) for one in operands]
    return tuple(np.broadcast_shapes(*(shape[i] for shape in shapes)) for i in range(len(BATCHES)))


def _elementwise(code: str) -> Callable[[Step], Value]:
    """Lowering of an elementwise operator with broadcasting."""

    def lower(step: Step) -> Value:
        operands = [one for one in step.inputs if one is not None]
        values = [one for one in operands if isinstance(one, Value)]
        order = max(values, key=lambda one: one.rank).order
        for one in operands:
            if not isinstance(one, Value) and not is_constant(one):
                raise step.error("a constant that depends on the batch")
        names = [_aligned(step, one, order) for one in operands]
        return step.activated(Value(step.build.node(code, names), _broadcast(operands), order))

    return lower


def _square(step: Step) -> Value:
    value = step.value(0)
    return Value(step.build.node("Mul", [value.name, value.name]), value.shapes, value.order)


def _power(step: Step) -> Value:
    """A power; of a square as exp(p log), which ONNX Runtime computes in half the time."""
    maker = step.build.maker(step.value(0)) if isinstance(step.inputs[0], Value) else None
    known = step.inputs[1]
    if maker is None or maker.op_type != "Mul" or maker.input[0] != maker.input[1] or not isinstance(known, tuple):
        return _elementwise("Pow")(step)
    power, value = step.constant(1), step.value(0)
    if power.size != 1 or float(power.reshape(())) <= 0:
        return _elementwise("Pow")(step)
    logarithm = step.build.node("Log", [value.name])  # of zero -inf, and its exponential zero
    scaled = step.build.node("Mul", [logarithm, step.build.constant(power.reshape(()).astype(np.float32))])
    return step.activated(Value(step.build.node("Exp", [scaled]), value.shapes, value.order))


def _rsqrt(step: Step) -> Value:
    value = step.value(0)
    root = step.build.node("Sqrt", [value.name])
    return Value(step.build.node("Reciprocal", [root]), value.shapes, value.order)


def _leaky_relu(step: Step) -> Value:
    value, alpha = step.value(0), float(step.operator.options.get("Alpha", 0.0))
    return Value(step.build.node("LeakyRelu", [value.name], alpha=alpha), value.shapes, value.order)


def _softmax(step: Step) -> Value:
    value = step.value(0)
    if step.operator.options.get("Beta", 1.0) not in (0.0, 1.0):
        raise step.error("a beta that is not 1")
    name = step.build.node("Softmax", [value.name], axis=value.stored(-1))
    return Value(name, value.shapes, value.order)


def _pads(
    step: Step, sizes: tuple[int, ...], kernel: tuple[int, ...]
) -> tuple[list[int], tuple[int, int], dict[str, list[int]]]:
    """Pads of ONNX, sizes of the output, and strides and dilations, over [height, width]."""
    strides = step.option("StrideH") or 1, step.option("StrideW") or 1
    dilations = step.option("DilationHFactor") or 1, step.option("DilationWFactor") or 1
    begins, ends, out = [], [], []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations):
        reach = (taps - 1) * dilation + 1
        if step.option("Padding") == SAME:
            count = -(-size // stride)
            missing = max(0, (count - 1) * stride + reach - size)
        else:
            count, missing = (size - reach) // stride + 1, 0
        begins.append(missing // 2)
        ends.append(missing - missing // 2)
        out.append(count)
    return [*begins, *ends], (out[0], out[1]), {"strides": list(strides), "dilations": list(dilations)}


def _convolution(step: Step) -> Value:
    value, weights = step.build.in_order(step.value(0), CHANNELS_FIRST), step.weights(1)
    channels = value.shapes[0][3]
    if step.operator.code == "DEPTHWISE_CONV_2D":  # [1, height, width, channels * multiplier]
        kernel, groups = weights.transpose(3, 0, 1, 2), channels
    else:  # [out, height, width, channels of a group]
        kernel, groups = weights.transpose(0, 3, 1, 2), channels // weights.shape[3]
    taps = (kernel.shape[2], kernel.shape[3])
    pads, (height, width), spacing = _pads(step, value.shapes[0][1:3], taps)
    names = [value.name, step.build.constant(kernel)]
    if len(step.inputs) > 2 and step.inputs[2] is not None:
        names.append(step.build.constant(step.weights(2)))
    name = step.build.node("Conv", names, kernel_shape=list(taps), pads=pads, group=groups, **spacing)
    shapes = tuple((shape[0], height, width, kernel.shape[0]) for shape in value.shapes)
    return step.activated(Value(name, shapes, CHANNELS_FIRST))


def _pool(step: Step) -> Value:
    value = step.build.in_order(step.value(0), CHANNELS_FIRST)
    taps = step.option("FilterHeight"), step.option("FilterWidth")
    pads, (height, width), spacing = _pads(step, value.shapes[0][1:3], taps)
    code = "MaxPool" if step.operator.code == "MAX_POOL_2D" else "AveragePool"
    name = step.build.node(code, [value.name], kernel_shape=list(taps), pads=pads, strides=spacing["strides"])
    shapes = tuple((shape[0], height, width, shape[3]) for shape in value.shapes)
    return step.activated(Value(name, shapes, CHANNELS_FIRST))


def _pad(step: Step) -> Value:
    value, pads = step.value(0), step.constant(1)
    stored = pads[list(value.order)]
    amounts = step.build.integers([*stored[:, 0].tolist(), *stored[:, 1].tolist()])
    shapes = tuple(tuple(n + int(a) + int(b) for n, (a, b) in zip(shape, pads)) for shape in value.shapes)
    return Value(step.build.node("Pad", [value.name, amounts]), shapes, value.order)


def _reduction(code: str) -> Callable[[Step], Value]:
    """Lowering of a reduction over axes."""

    def lower(step: Step) -> Value:
        value = step.value(0)
        axes = sorted(int(axis) % value.rank for axis in np.atleast_1d(step.constant(1)))
        keep = step.option("KeepDims")
        stored = sorted(value.stored(axis) for axis in axes)
        if code == "ReduceMean" and value.order == CHANNELS_FIRST and stored == [2, 3] and not keep:
            pooled = step.build.node("GlobalAveragePool", [value.name])  # ONNX Runtime keeps its layout for this one
            flat: Shapes = tuple((shape[0], shape[3]) for shape in value.shapes)
            return Value(step.build.node("Flatten", [pooled]), flat, (0, 1))
        if code == "ReduceSum":  # its axes are an input from opset 13 on
            name = step.build.node(code, [value.name, step.build.integers(stored)], keepdims=keep)
        else:
            name = step.build.node(code, [value.name], axes=stored, keepdims=keep)
        if keep:
            shapes = tuple(tuple(1 if i in axes else n for i, n in enumerate(shape)) for shape in value.shapes)
            return Value(name, shapes, value.order)
        left = [axis for axis in range(value.rank) if axis not in axes]
        shapes = tuple(tuple(shape[axis] for axis in left) for shape in value.shapes)
        return Value(name, shapes, tuple(left.index(axis) for axis in value.order if axis in left))

    return lower


def _fully_connected(step: Step) -> Value:
    value, weights = step.build.plain(step.value(0)), step.weights(1)
    if value.rank != 2:
        raise step.error(f"an input of {value.rank} axes")
    name = step.build.node("MatMul", [value.name, step.build.constant(weights.T)])
    if len(step.inputs) > 2 and step.inputs[2] is not None:
        name = step.build.node("Add", [name, step.build.constant(step.weights(2))])
    shapes = tuple((shape[0], weights.shape[0]) for shape in value.shapes)
    return step.activated(Value(name, shapes, (0, 1)))


def _reshape(step: Step) -> Value:
    value, wanted = step.value(0), step.inputs[1]
    if not isinstance(wanted, tuple):
        raise step.error("a shape that is computed from sound")
    targets = [
        [int(np.prod(shape)) // -int(np.prod(to)) if n == -1 else int(n) for n in np.atleast_1d(to)]
        for shape, to in zip(value.shapes, wanted)
    ]
    shapes = tuple(tuple(to) for to in targets)
    if value.shapes == shapes:
        return value
    fixed = [n if all(other[i] == n for other in targets) else -1 for i, n in enumerate(targets[0])]
    if fixed.count(-1) > 1:
        raise step.error("a shape with several axes that depend on the batch")
    first = shapes[0]
    if len(first) == 4 and first[1] == first[2] == 1 and value.rank == 2:  # channels only: both orders are the same
        maker = step.build.maker(value)
        if maker is not None and maker.op_type == "Flatten":
            return Value(maker.input[0], shapes, CHANNELS_FIRST)
        ordered = [fixed[0], fixed[3], 1, 1]
        return Value(step.build.node("Reshape", [value.name, step.build.integers(ordered)]), shapes, CHANNELS_FIRST)
    plain = step.build.plain(value)
    name = step.build.node("Reshape", [plain.name, step.build.integers(fixed)])
    return Value(name, shapes, tuple(range(len(first))))


def _expand_dims(step: Step) -> Value:
    value = step.value(0)
    axis = int(step.constant(1)) % (value.rank + 1)
    shapes = tuple((*shape[:axis], 1, *shape[axis:]) for shape in value.shapes)
    moved = [old + (old >= axis) for old in value.order]
    at = 1 if axis == 3 and value.order == (0, 1, 2) else min(axis, value.rank)  # channels go to their position in ONNX
    name = step.build.node("Unsqueeze", [value.name, step.build.integers([at])])
    return Value(name, shapes, tuple([*moved[:at], axis, *moved[at:]]))


def _squeeze(step: Step) -> Value:
    value = step.value(0)
    gone = [axis for axis in range(1, value.rank) if all(shape[axis] == 1 for shape in value.shapes)]
    left = [axis for axis in range(value.rank) if axis not in gone]
    name = step.build.node("Squeeze", [value.name, step.build.integers([value.stored(axis) for axis in gone])])
    shapes = tuple(tuple(shape[axis] for axis in left) for shape in value.shapes)
    return Value(name, shapes, tuple(left.index(axis) for axis in value.order if axis in left))


def _transpose(step: Step) -> Value:
    value, turned = step.value(0), [int(axis) for axis in step.constant(1)]
    shapes = tuple(tuple(shape[axis] for axis in turned) for shape in value.shapes)
    return Value(
        value.name, shapes, tuple(turned.index(axis) for axis in value.order)
    )  # only the logical order changes


def _reverse(step: Step) -> Value:
    value = step.value(0)
    [axis] = [int(axis) % value.rank for axis in np.atleast_1d(step.constant(1))]
    backwards = step.build.integers(list(range(value.shapes[0][axis]))[::-1])
    name = step.build.node("Gather", [value.name, backwards], axis=value.stored(axis))
    return Value(name, value.shapes, value.order)


def _concatenation(step: Step) -> Value:
    values = [step.value(number) for number in range(len(step.inputs))]
    axis, order = step.option("Axis") % values[0].rank, values[0].order
    names = [step.build.in_order(value, order).name for value in values]
    name = step.build.node("Concat", names, axis=order.index(axis))
    shapes = tuple(
        tuple(sum(value.shapes[i][axis] for value in values) if at == axis else n for at, n in enumerate(shape))
        for i, shape in enumerate(values[0].shapes)
    )
    return step.activated(Value(name, shapes, order))


def _strided_slice(step: Step) -> Value:
    value = step.value(0)
    wanted = slices(step.operator, *(step.constant(number) for number in (1, 2, 3)))
    starts, ends, axes, steps, gone = [], [], [], [], []
    for axis, one in enumerate(wanted):
        if isinstance(one, int):
            gone.append(axis)
            one = slice(one, one + 1 or None, 1)
        if one == slice(None, None, 1):
            continue
        if axis == 0:
            raise step.error("a part of the batch")
        first, last, stride = one.indices(value.shapes[0][axis])
        starts.append(first)
        ends.append(last if last >= 0 else -(2**31))
        steps.append(stride)
        axes.append(value.stored(axis))
    name = value.name
    if axes:
        name = step.build.node("Slice", [name, *(step.build.integers(part) for part in (starts, ends, axes, steps))])
    shapes = tuple(
        tuple(len(range(n)[one]) if isinstance(one, slice) else 1 for n, one in zip(shape, wanted))
        + shape[len(wanted) :]
        for shape in value.shapes
    )
    if not gone:
        return Value(name, shapes, value.order)
    name = step.build.node("Squeeze", [name, step.build.integers([value.stored(axis) for axis in gone])])
    left = [axis for axis in range(value.rank) if axis not in gone]
    shapes = tuple(tuple(shape[axis] for axis in left) for shape in shapes)
    return Value(name, shapes, tuple(left.index(axis) for axis in value.order if axis in left))


LOWERINGS: dict[str, Callable[[Step], Value]] = {
    "ABS": _elementwise("Abs"),
    "ADD": _elementwise("Add"),
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "DIV": _elementwise("Div"),
    "EXP": _elementwise("Exp"),
    "EXPAND_DIMS": _expand_dims,
    "FULLY_CONNECTED": _fully_connected,
    "GREATER": _elementwise("Greater"),
    "GREATER_EQUAL": _elementwise("GreaterOrEqual"),
    "HARD_SWISH": _elementwise("HardSwish"),
    "LEAKY_RELU": _leaky_relu,
    "LESS": _elementwise("Less"),
    "LESS_EQUAL": _elementwise("LessOrEqual"),
    "LOG": _elementwise("Log"),
    "LOGISTIC": _elementwise("Sigmoid"),
    "MAXIMUM": _elementwise("Max"),
    "MAX_POOL_2D": _pool,
    "MEAN": _reduction("ReduceMean"),
    "MINIMUM": _elementwise("Min"),
    "MUL": _elementwise("Mul"),
    "NEG": _elementwise("Neg"),
    "PAD": _pad,
    "POW": _power,
    "REDUCE_MAX": _reduction("ReduceMax"),
    "REDUCE_MIN": _reduction("ReduceMin"),
    "RELU": _elementwise("Relu"),
    "RESHAPE": _reshape,
    "REVERSE_V2": _reverse,
    "RSQRT": _rsqrt,
    "SELECT_V2": _elementwise("Where"),
    "SIN": _elementwise("Sin"),
    "COS": _elementwise("Cos"),
    "SOFTMAX": _softmax,
    "SQRT": _elementwise("Sqrt"),
    "SQUARE": _square,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _elementwise("Sub"),
    "SUM": _reduction("ReduceSum"),
    "TANH": _elementwise("Tanh"),
    "TRANSPOSE": _transpose,
}
