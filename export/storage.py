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
    onnx.save_model(_halved(onnx.load(str(path))), str(path))  # the float32 model is released before it is written


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    casts: list[NodeProto] = []
    empty = helper.make_graph([], graph.name, graph.input, graph.output)
    made = helper.make_model(empty, opset_imports=model.opset_import, ir_version=model.ir_version)
    for tensor in graph.initializer:  # into the new model one by one: ViT-L has 1.2 GB
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < SMALL or np.abs(array).max() > LARGEST:
            made.graph.initializer.append(tensor)
            continue
        name = f"{tensor.name}.half"
        made.graph.initializer.append(numpy_helper.from_array(array.astype(np.float16), name))
        casts.append(helper.make_node("Cast", [name], [tensor.name], f"{tensor.name}.cast", to=TensorProto.FLOAT))
    made.graph.node.extend([*casts, *graph.node])
    return made
