"""Weights stored as float16 or int8, and converted to float32 when a graph is loaded.

The graph still computes in float32. A float16 weight has 11 bits, whose error is far below the bound of parity; ONNX
Runtime and TensorRT fold the casts when they load the graph.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

SMALL = 1024  # values; smaller tensors (scales, biases, constants) are not converted
STEPS = 127.0  # of int8 on either side of zero
LARGEST = float(np.finfo(np.float16).max)


def quarter(path: Path) -> None:
    """Store the large matrices of a graph as int8 with a scale per row, and others as float16, in place.

    For tables of word embeddings, whose rows differ much in length.
    """
    model = onnx.load(str(path))
    graph = model.graph
    stored: list[TensorProto] = []
    nodes: list[NodeProto] = []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.ndim != 2 or array.size < SMALL:
            stored.append(tensor)
            continue
        scale = np.maximum(np.abs(array).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / STEPS
        name = tensor.name
        stored.append(numpy_helper.from_array(np.round(array / scale).astype(np.int8), f"{name}.int8"))
        stored.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
        nodes.append(
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.steps"], f"{name}.cast", to=TensorProto.FLOAT)
        )
        nodes.append(helper.make_node("Mul", [f"{name}.steps", f"{name}.scale"], [name], f"{name}.mul"))
    made = helper.make_graph([*nodes, *graph.node], graph.name, graph.input, graph.output, stored)
    onnx.save_model(helper.make_model(made, opset_imports=model.opset_import, ir_version=model.ir_version), str(path))
    halve(path)


def halve(path: Path) -> None:
    """Store the large float32 tensors of a graph as float16, in place."""
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
