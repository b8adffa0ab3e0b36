"""Quantisation of the weighted layers of a float32 graph to int8, except those with the largest errors.

Static quantisation by QuantizeLinear and DequantizeLinear on the inputs of each layer: weights with a scale per output
channel, activations with a scale per tensor, measured on real inputs. Both are symmetric int8, the only scheme that
TensorRT and ONNX Runtime share. Products of two computed tensors, as in attention, the front end, biases and everything
else stay in float32.

Groups of adjacent layers are quantised one at a time, to measure the error that each causes by itself. As few groups as
possible are left in float32, those with the largest error per weight first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgeapp.progress_bar import each
from export.nodes import Nodes, named
from export.sessions import magnitude, run_all, vectors

GROUPS = 32  # maximum number of groups, each of which is a graph to run
JUDGED = 12  # inputs on which the error of a group is measured
TRIES = 12  # maximum number of tries, with more and more groups in float32
RANGED = 32  # inputs on which the scales are measured
STEPS = 127.0  # of int8 on either side of zero

# What falls short when the vectors [n, dim] in float32 and in a lower precision are compared; empty if nothing does.
Judge = Callable[[np.ndarray, np.ndarray], str]


@dataclass(frozen=True)
class Mixed:
    """A quantised graph, its quantised layers, and those left in float32."""

    model: onnx.ModelProto
    quantised: tuple[str, ...]
    kept: tuple[str, ...]
    short: str = ""  # what fell short in the last graph that was refused


def to_integers(model: onnx.ModelProto, inputs: np.ndarray, judge: Judge) -> Mixed:
    """Quantise as many layers as possible.

    Parameters
    ----------
    model : float32, as written by `export.graphs`
    inputs : real inputs [n, ...] for calibration, none of which may be used for checks
    judge : what falls short when the vectors [n, dim] in float32 and those of a quantised graph are compared

    Returns
    -------
    The graph, which may be completely in float32.
    """
    model = with_separate_biases(named(model))
    weights = Nodes(model.graph).layers()
    names = list(weights)
    if not names:
        return Mixed(model, (), ())
    scales = activation_scales(model, names, spread(inputs, RANGED))
    whole = quantised(model, names, scales)
    wanted = vectors(model, inputs)
    short = judge(wanted, vectors(whole, inputs))
    if not short:
        return Mixed(whole, tuple(names), ())
    groups = [list(group) for group in np.array_split(np.array(names, object), min(GROUPS, len(names)))]
    few = spread(inputs, JUDGED)
    right = spread(wanted, JUDGED)
    errors = [error_of(right, vectors(quantised(model, group, scales), few)) for group in each("int8", groups)]
    saved = [sum(weights[name] for name in group) for group in groups]
    order = np.argsort([-error / size for error, size in zip(errors, saved)], kind="stable")

    for count in np.unique(np.geomspace(1, len(groups), TRIES).round().astype(int)):
        back = {name for group in order[:count] for name in groups[group]}
        left = tuple(name for name in names if name not in back)
        mixed = Mixed(quantised(model, left, scales), left, tuple(name for name in names if name in back), short)
        if not left or not (short := judge(wanted, vectors(mixed.model, inputs))):
            break
    return mixed


def spread_rows(length: int, most: int) -> np.ndarray:
    """At most `most` row numbers of a table of a given length, evenly spaced."""
    return np.unique(np.linspace(0, length - 1, min(most, length)).round().astype(int))


def spread(inputs: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the inputs, evenly spaced."""
    return inputs[spread_rows(len(inputs), count)]


def error_of(wanted: np.ndarray, given: np.ndarray) -> float:
    """1 - mean cosine of two sets of vectors."""
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(given, axis=1)
    angle = float(1.0 - ((wanted * given).sum(axis=1) / np.maximum(lengths, 1e-12)).mean())
    return angle if np.isfinite(angle) else 2.0


def activation_scales(model: onnx.ModelProto, layers: Sequence[str], inputs: np.ndarray) -> dict[str, float]:
    """Scale of the input of each layer: the largest magnitude, averaged over the inputs, becomes 127.

    The average keeps precision for all inputs if a single one is much louder.
    """
    nodes = Nodes(model.graph)
    taken = sorted({computed(nodes, node) for node in model.graph.node if node.name in set(layers)})
    sums = dict.fromkeys(taken, 0.0)
    for found in run_all(model, taken, inputs):
        for name, values in found.items():
            sums[name] += magnitude(values)
    return {name: scale(total / len(inputs)) for name, total in sums.items()}


def scale(largest: float) -> float:
    """Size of a step; 1 for a tensor of zeros."""
    return largest / STEPS if largest > 0.0 else 1.0


def computed(nodes: Nodes, layer: NodeProto) -> str:
    """The input of a layer that is not its weights."""
    return next(name for name in layer.input[:2] if name not in nodes.constants)


def with_separate_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """Move the bias of each Gemm to an Add node; `model` is changed.

    ONNX Runtime computes a Gemm with a bias in int8 only if the bias is an integer tensor, which TensorRT does not
    support; otherwise it dequantises the weights in every run.
    """
    made: list[NodeProto] = []
    for node in model.graph.node:
        made.append(node)
        beta = next((attribute.f for attribute in node.attribute if attribute.name == "beta"), 1.0)
        if node.op_type == "Gemm" and len(node.input) == 3 and beta == 1.0:
            bias, out = node.input.pop(), node.output[0]
            node.output[0] = f"{out}.product"
            made.append(helper.make_node("Add", [node.output[0], bias], [out], f"{node.name}.bias"))
    graph = model.graph
    model.graph.CopyFrom(helper.make_graph(made, graph.name, graph.input, graph.output, graph.initializer))
    return model


def quantised(model: onnx.ModelProto, layers: Sequence[str], scales: Mapping[str, float]) -> onnx.ModelProto:
    """A copy of the graph with some layers quantised."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph, nodes, chosen = made.graph, Nodes(model.graph), set(layers)
    added: list[NodeProto] = []
    rounded: set[str] = set()
    stored: list[TensorProto] = []

    def store(name: str, values: np.ndarray) -> str:
        stored.append(numpy_helper.from_array(values, name))
        return name

    def rounding(name: str, axis: int | None) -> str:
        """Add the nodes that round a tensor, once; returns the name of the rounded tensor."""
        out = f"{name}.rounded"
        if out in rounded:
            return out
        rounded.add(out)
        if axis is None:
            step = store(f"{name}.scale", np.array(scales[name], np.float32))
            zero = store(f"{name}.zero", np.array(0, np.int8))
            integers = f"{name}.int8"
            added.append(helper.make_node("QuantizeLinear", [name, step, zero], [integers], f"{name}.quantize"))
            added.append(helper.make_node("DequantizeLinear", [integers, step, zero], [out], f"{name}.dequantize"))
            return out
        array = nodes.array(name)
        largest = np.abs(array).max(axis=tuple(other for other in range(array.ndim) if other != axis), keepdims=True)
        steps = np.where(largest > 0.0, largest / STEPS, 1.0).astype(np.float32)
        integers = store(f"{name}.int8", np.rint(array / steps).astype(np.int8))
        step = store(f"{name}.scale", steps.reshape(-1))
        zero = store(f"{name}.zero", np.zeros(steps.size, np.int8))
        added.append(
            helper.make_node("DequantizeLinear", [integers, step, zero], [out], f"{name}.dequantize", axis=axis)
        )
        return out

    for node in graph.node:
        if node.name in chosen:
            for place, name in enumerate(node.input[:2]):
                axis = weights_axis(node, nodes) if name in nodes.constants else None
                node.input[place] = rounding(name, axis)
        added.append(node)
    used = {name for node in added for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    made.graph.CopyFrom(helper.make_graph(added, graph.name, graph.input, graph.output, [*kept, *stored]))
    return made


def weights_axis(layer: NodeProto, nodes: Nodes) -> int:
    """Axis of the output channels in the weights of a layer."""
    if layer.op_type == "Conv":
        return 0
    transposed = any(attribute.name == "transB" and attribute.i for attribute in layer.attribute)
    return 0 if transposed else nodes.array(layer.input[1]).ndim - 1
