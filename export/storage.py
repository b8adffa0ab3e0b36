"""Weights stored in half the room: as float16, and turned back to float32 when a graph is loaded.

The arithmetic stays that of float32. A weight is rounded to 11 bits, which turns a vector by far less than the bound of
parity; ONNX Runtime and TensorRT fold the casts while they load the graph.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

SMALL = 1024  # numbers; scales, biases and constants are left as they are
LARGEST = float(np.finfo(np.float16).max)


def halve(path: Path) -> None:
    """Store the large float32 tensors of a graph as float16, in its place."""
    model = onnx.load(str(path))
    graph = model.graph
    stored: list[TensorProto] = []
    casts: list[NodeProto] = []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < SMALL or np.abs(array).max() > LARGEST:
            stored.append(tensor)
            continue
        half = numpy_helper.from_array(array.astype(np.float16), f"{tensor.name}.half")
        stored.append(half)
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], f"{tensor.name}.cast", to=TensorProto.FLOAT))
    made = helper.make_graph([*casts, *graph.node], graph.name, graph.input, graph.output, stored)
    onnx.save_model(helper.make_model(made, opset_imports=model.opset_import, ir_version=model.ir_version), str(path))
