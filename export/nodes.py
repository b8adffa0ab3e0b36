"""The front end, the weighted layers and the normalisation in the graph of a tower."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, numpy_helper

WEIGHTED = ("Conv", "Gemm", "MatMul")


class Nodes:
    """The nodes of a graph in order, with the producer and the consumers of each tensor.

    Attributes
    ----------
    constants : tensors stored in the graph
    """

    def __init__(self, graph: GraphProto) -> None:
        self.graph = graph
        self.made_by = {name: node for node in graph.node for name in node.output}
        self.taken_by: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.taken_by.setdefault(name, []).append(node)
        self.constants = {tensor.name: tensor for tensor in graph.initializer}

    def array(self, name: str) -> np.ndarray:
        """A stored tensor."""
        return numpy_helper.to_array(self.constants[name])

    def front_end(self) -> set[str]:
        """Names of the nodes from the waveform to the first layer after the logarithm; empty without a front end."""
        logarithms = [node for node in self.graph.node if node.op_type == "Log" or self.is_root(node)]
        found = {node.name for node in logarithms}
        waiting = list(logarithms)
        while waiting:
            for name in waiting.pop().input:
                before = self.made_by.get(name)
                if before is not None and before.name not in found:
                    found.add(before.name)
                    waiting.append(before)
        return found | self.after(logarithms, (*WEIGHTED, "Shape"))

    def is_root(self, node: NodeProto) -> bool:
        """Whether a node is a power between 0 and 1, used in place of a logarithm."""
        if node.op_type != "Pow" or node.input[1] not in self.constants:
            return False
        power = self.array(node.input[1])
        return power.size == 1 and 0.0 < float(power.reshape(())) < 1.0

    def end(self) -> set[str]:
        """Names of the nodes from the first norm of a vector on."""
        lengths = [node for node in self.graph.node if node.op_type == "ReduceL2"]
        return {node.name for node in lengths} | self.after(lengths, ())

    def after(self, nodes: Iterable[NodeProto], until: tuple[str, ...]) -> set[str]:
        """Names of the following nodes, up to the first of some types."""
        found: set[str] = set()
        waiting = list(nodes)
        while waiting:
            for name in waiting.pop().output:
                for taker in self.taken_by.get(name, ()):
                    if taker.name not in found and taker.op_type not in until:
                        found.add(taker.name)
                        waiting.append(taker)
        return found

    def layers(self) -> dict[str, int]:
        """Convolutions and matrix products with stored weights after the front end: name to number of weights."""
        front = self.front_end()
        return {
            node.name: int(np.prod(self.constants[node.input[1]].dims))
            for node in self.graph.node
            if node.op_type in WEIGHTED
            and node.name not in front
            and node.input[1] in self.constants
            and node.input[0] not in self.constants
        }


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a unique name for every node."""
    taken: set[str] = set()
    for place, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{place}"
        taken.add(node.name)
    return model
