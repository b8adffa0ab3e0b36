"""An ONNX graph under construction: names, constants, and the order of the axes of each value.

TFLite stores images as [n, height, width, channels], ONNX as [n, channels, height, width]. A value therefore has
logical axes, and an order in which they are stored: `order[i]` is the axis that is stored as the i-th. Elementwise
operators accept any order, so few transpositions are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.tflite.channels import align
from export.tflite.folding import Shapes

OPSET = 17
IR_VERSION = 8
CHANNELS_FIRST = (0, 3, 1, 2)


class Unsupported(Exception):
    """An operator whose form cannot be converted."""


@dataclass(frozen=True)
class Value:
    """A computed tensor.

    Attributes
    ----------
    shapes : tuple of tuple of int
        Sizes of its axes in TFLite, for each of `folding.BATCHES`.
    order : tuple of int
        Logical axis of each stored axis.
    """

    name: str
    shapes: Shapes
    order: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.order)

    def stored(self, axis: int) -> int:
        """Position at which an axis is stored."""
        return self.order.index(axis % self.rank)


class Builder:
    """Nodes and constants of a graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, data: np.ndarray) -> str:
        """Name of a constant; equal constants are stored once."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(data))
        key = f"{tensor.data_type} {list(tensor.dims)}".encode() + tensor.raw_data
        for name, other in self.constants.items() if len(tensor.raw_data) < 1024 else ():
            if f"{other.data_type} {list(other.dims)}".encode() + other.raw_data == key:
                return name
        tensor.name = f"c{len(self.constants)}"
        self.constants[tensor.name] = tensor
        return tensor.name

    def integers(self, values: Sequence[int]) -> str:
        """Name of a constant of int64."""
        return self.constant(np.array(values, np.int64))

    def node(self, code: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Name of the output of a new node."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(code, list(inputs), [name], **attributes))
        return name

    def maker(self, value: Value) -> onnx.NodeProto | None:
        """The node that gives a value; None for an input of the graph."""
        return next((node for node in reversed(self.nodes) if value.name in node.output), None)

    def in_order(self, value: Value, order: tuple[int, ...]) -> Value:
        """The same value with its axes stored in an order."""
        if value.order == order:
            return value
        moved = [value.order.index(axis) for axis in order]
        return Value(self.node("Transpose", [value.name], perm=moved), value.shapes, order)

    def plain(self, value: Value) -> Value:
        """The same value with its axes stored in logical order."""
        return self.in_order(value, tuple(range(value.rank)))

    def model(self, name: str, inputs: Sequence[tuple[str, int]], output: tuple[str, str, int]) -> onnx.ModelProto:
        """The finished graph: inputs (name, size), output (name of the value, name in the graph, size)."""
        value, called, numbers = output
        nodes, wanted = [helper.make_node("Identity", [value], [called])], {value}
        for node in reversed(self.nodes):
            if wanted & {*node.output}:
                nodes.insert(0, node)
                wanted |= {*node.input}
        align(nodes, self.constants)
        used = {one for node in nodes for one in node.input}
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info(one, TensorProto.FLOAT, ["n", size]) for one, size in inputs],
            [helper.make_tensor_value_info(called, TensorProto.FLOAT, ["n", numbers])],
            [tensor for constant, tensor in self.constants.items() if constant in used],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(made, full_check=True)
        return made
