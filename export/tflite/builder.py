"""An ONNX graph while it is built: names, constants, and in which order the axes of each value lie.

TFLite keeps pictures as [n, height, width, channels], ONNX as [n, channels, height, width]. So a value has the axes it
is spoken of by, and an order in which they are stored: ``order[i]`` is the axis that is stored as the i-th. Operators
that work on every number alike take any order, and hardly anything is ever moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.tflite.folding import Shapes

OPSET = 17
IR_VERSION = 8
CHANNELS_FIRST = (0, 3, 1, 2)


@dataclass(frozen=True)
class Value:
    """A computed tensor.

    Attributes
    ----------
    shapes : tuple of tuple of int
        By its axes as TFLite has them, for each of `folding.BATCHES`.
    order : tuple of int
        Axis that each stored axis is.
    """

    name: str
    shapes: Shapes
    order: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.order)

    def stored(self, axis: int) -> int:
        """Where an axis is stored."""
        return self.order.index(axis % self.rank)


class Builder:
    """Nodes and constants of a graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, data: np.ndarray) -> str:
        """Name of a constant; equal ones are one."""
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
        """Name of what a new node gives."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(code, list(inputs), [name], **attributes))
        return name

    def in_order(self, value: Value, order: tuple[int, ...]) -> Value:
        """The same value with its axes stored in an order."""
        if value.order == order:
            return value
        moved = [value.order.index(axis) for axis in order]
        return Value(self.node("Transpose", [value.name], perm=moved), value.shapes, order)

    def plain(self, value: Value) -> Value:
        """The same value, stored as its axes are named."""
        return self.in_order(value, tuple(range(value.rank)))

    def model(self, name: str, inputs: Sequence[tuple[str, int]], output: tuple[str, str, int]) -> onnx.ModelProto:
        """The finished graph: inputs (name, numbers a row), output (name of the value, name in the graph, numbers)."""
        value, called, numbers = output
        nodes = [*self.nodes, helper.make_node("Identity", [value], [called])]
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
