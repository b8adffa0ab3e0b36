"""Channels in whole blocks, where ONNX Runtime otherwise leaves its layout for processors.

ONNX Runtime stores channels in blocks of 8 or 16 between convolutions. Pools and concatenations of other numbers of
channels, and convolutions of a number that is no multiple of 4, take the plain layout: their input is stored anew
before them and their output after them. With channels of zeros added, they do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, TensorProto, numpy_helper

CHANNELS = 16  # of a block
LEAST = 4  # channels of a convolution are a multiple of it
EACH = ("Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Mul", "Add")  # of tensors of the same channels
UNALIGNED = ("AveragePool", "MaxPool", "Concat")


def align(nodes: Sequence[NodeProto], constants: dict[str, TensorProto]) -> None:
    """Add channels of zeros to convolutions, and to those that take their output, of nodes in order."""
    for at, node in enumerate(nodes):
        channels = constants[node.input[1]].dims[0] if _is_dense(node, constants) else 0
        takers = _takers(node, nodes[at + 1 :], constants) if channels % CHANNELS else None
        if takers is None or not (channels % LEAST or any(one.op_type in UNALIGNED for one in takers)):
            continue
        room = -channels % CHANNELS
        for place, name in enumerate(node.input[1:], 1):
            node.input[place] = _stored(constants, _padded(numpy_helper.to_array(constants[name]), room, 0))
        for one in takers:
            if one.op_type == "Conv":
                weights = numpy_helper.to_array(constants[one.input[1]])
                parts = np.split(weights, weights.shape[1] // channels, axis=1)
                wide = np.concatenate([_padded(part, room, 1) for part in parts], axis=1)
                one.input[1] = _stored(constants, wide)


def _is_dense(node: NodeProto, constants: dict[str, TensorProto]) -> bool:
    """Whether it is a convolution over images, of all channels, with stored weights."""
    groups = next((one.i for one in node.attribute if one.name == "group"), 1)
    stored = node.op_type == "Conv" and all(name in constants for name in node.input[1:])
    return stored and groups == 1 and len(constants[node.input[1]].dims) == 4


def _takers(made: NodeProto, nodes: Sequence[NodeProto], constants: dict[str, TensorProto]) -> list[NodeProto] | None:
    """The nodes that see the channels of a convolution, up to the next ones; None if one of them is not known."""
    seen, found = {made.output[0]}, []
    for node in nodes:
        given = [name for name in node.input if name in seen]
        if not given:
            continue
        if node.op_type in (*EACH, *UNALIGNED) and len(given) == len(node.input):
            seen |= {*node.output}
        elif not _is_dense(node, constants) or node.input[0] not in seen:
            return None
        found.append(node)
    return found


def _padded(array: np.ndarray, room: int, axis: int) -> np.ndarray:
    """An array with zeros at the end of an axis."""
    return np.pad(array, [(0, room if at == axis else 0) for at in range(array.ndim)])


def _stored(constants: dict[str, TensorProto], array: np.ndarray) -> str:
    """Name of a new constant."""
    name = f"c{len(constants)}"
    constants[name] = numpy_helper.from_array(array, name)
    return name
