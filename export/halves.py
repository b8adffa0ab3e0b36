"""Conversion of a float32 graph to float16, with the nodes that need it left in float32 between casts.

Left in float32 are the front end, because a power spectrum exceeds the range of float16; softmax, layer and batch norm,
sums and means; the normalisation of the vectors and everything after it; and nodes with values near the largest
float16, or that divide by a constant near its smallest, on real inputs. The latter cannot be found by running a float16
graph on the CPU, because ONNX Runtime computes it in float32 there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.nodes import Nodes, named
from export.sessions import magnitude, run_all

LARGEST = float(np.finfo(np.float16).max)  # 65504
SMALLEST = float(np.finfo(np.float16).tiny)  # 2^-14, below which digits are lost
ROOM = 4.0  # margin for inputs with larger values than those used here

# Computed in float16.
COMPUTING = frozenset(
    ("Conv", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Neg", "Relu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish")
    + ("Tanh", "Erf", "Gelu")
)
# Computed in the precision of their input: ONNX Runtime 1.31 crashes with a segmentation fault when it loads a CLIP
# tower on the CPU with casts between a LayerNormalization and nodes that only move values.
MOVING = frozenset(
    ("Reshape", "Transpose", "Slice", "Concat", "Split", "Squeeze", "Unsqueeze", "Expand", "Gather", "GatherND", "Pad")
    + ("Where", "Identity", "Flatten")
)


def to_half(model: onnx.ModelProto, inputs: np.ndarray) -> tuple[onnx.ModelProto, dict[str, int]]:
    """Convert a graph to float16, except its input and output.

    Parameters
    ----------
    model : float32, as written by `export.graphs`
    inputs : real inputs [n, ...], to measure the magnitude of values

    Returns
    -------
    The graph, and the number of nodes of each type left in float32.
    """
    model = named(onnx.shape_inference.infer_shapes(model))
    nodes = Nodes(model.graph)
    last = {node.name for out in model.graph.output for node in [nodes.made_by[out.name]]}
    kept = nodes.front_end() | nodes.end() | last | too_large(model, nodes, inputs) | too_small(nodes)
    return _Halving(model, nodes, kept).done()


def floats(model: onnx.ModelProto) -> set[str]:
    """Names of the float32 tensors; the shapes must have been inferred."""
    graph = model.graph
    typed = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output, *graph.value_info)}
    typed |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {name for name, kind in typed.items() if kind == TensorProto.FLOAT}


def too_large(model: onnx.ModelProto, nodes: Nodes, inputs: np.ndarray) -> set[str]:
    """Nodes with a value near the largest float16, without intended infinities, such as in masks."""
    front = nodes.front_end()
    computed = [
        name for node in model.graph.node if node.name not in front for name in node.output if name in floats(model)
    ]
    largest = largest_of(model, computed, inputs)
    largest |= {name: magnitude(nodes.array(name)) for name, tensor in nodes.constants.items() if tensor.data_type == 1}
    wide = {name for name, value in largest.items() if value * ROOM > LARGEST}
    return {node.name for node in model.graph.node if wide & {*node.input, *node.output}}


def largest_of(model: onnx.ModelProto, names: Sequence[str], inputs: np.ndarray) -> dict[str, float]:
    """The largest magnitude of tensors over inputs."""
    largest: dict[str, float] = {}
    for found in run_all(model, names, inputs):
        for name, values in found.items():
            largest[name] = max(largest.get(name, 0.0), magnitude(values))
    return largest


def too_small(nodes: Nodes) -> set[str]:
    """Divisions by constants that are too small for float16."""
    return {
        node.name
        for node in nodes.graph.node
        if node.op_type == "Div"
        and node.input[1] in nodes.constants
        and nodes.constants[node.input[1]].data_type == TensorProto.FLOAT
        and np.abs(nodes.array(node.input[1])).min(initial=1.0) < SMALLEST
    }


class _Halving:
    """The conversion of one graph."""

    def __init__(self, model: onnx.ModelProto, nodes: Nodes, kept: set[str]) -> None:
        self.model, self.nodes, self.kept = model, nodes, kept
        self.floats = floats(model)
        self.halves: set[str] = set()  # tensors that are computed in float16
        self.casts: dict[str, str] = {}  # tensors that were cast, to their new names
        self.constants: dict[str, TensorProto] = {}
        self.made: list[NodeProto] = []
        self.in_float: Counter[str] = Counter()

    def done(self) -> tuple[onnx.ModelProto, dict[str, int]]:
        graph = self.model.graph
        for node in list(graph.node):
            half = self.is_half(node)
            taken = [self.taken(name, half) for name in node.input]
            del node.input[:]
            node.input.extend(taken)
            self.made.append(node)
            given = [name for name in node.output if name in self.floats]
            if half:
                self.halves.update(given)
            elif given:
                self.in_float[node.op_type] += 1
        for out in graph.output:
            assert out.name not in self.halves, "the end of a tower computes in float32"
        used = {name for node in self.made for name in node.input}
        constants = [tensor for name, tensor in self.nodes.constants.items() if name in used]
        constants += self.constants.values()
        made = helper.make_graph(self.made, graph.name, graph.input, graph.output, constants)
        model = helper.make_model(made, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        return model, dict(self.in_float.most_common())

    def is_half(self, node: NodeProto) -> bool:
        if node.name in self.kept or not any(name in self.floats for name in (*node.input, *node.output)):
            return False
        if node.op_type in COMPUTING:
            return all(name in self.floats for name in node.output)
        computed = [name for name in node.input if name in self.floats and name not in self.nodes.constants]
        return node.op_type in MOVING and (
            any(name in self.halves for name in computed)
            or (not computed and any(name in self.floats for name in node.input))
        )

    def taken(self, name: str, half: bool) -> str:
        """Name of a tensor in the precision of the node that takes it."""
        if name not in self.floats or (name in self.halves) == half:
            return name
        if name in self.nodes.constants:
            if name not in self.constants:
                array = self.nodes.array(name).astype(np.float16)
                self.constants[name] = numpy_helper.from_array(array, f"{name}.half")
            return self.constants[name].name
        if name not in self.casts:
            self.casts[name] = f"{name}.cast"
            to = TensorProto.FLOAT16 if half else TensorProto.FLOAT
            self.made.append(helper.make_node("Cast", [name], [self.casts[name]], f"{name}.cast", to=to))
        return self.casts[name]
