"""Split an ONNX classifier into the graph of its embedding and the rows of its last layer.

Starting from the output of classes, nodes that only rename or reshape, a sigmoid or softmax, and biases are skipped,
until a product with weights that do not depend on the sound. Its input is the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from edgeapp.runtime.ort import first_line
from export.errors import ExportError
from export.sessions import session

INPUT, OUTPUT = "waveform", "embedding"
PASSES = ("Identity", "Cast", "Flatten", "Reshape", "Squeeze")  # do not change values
SIGMOID, SOFTMAX = HEADS = ("Sigmoid", "Softmax")
EMBEDDING_WORDS = ("embedding", "feature")
CLASS_WORDS = ("logit", "label", "predict", "class", "prob", "score")


@dataclass(frozen=True, eq=False)
class Trunk:
    """A classifier as a graph and a last layer.

    Attributes
    ----------
    model : onnx.ModelProto
        ``waveform`` [n, samples] to ``embedding`` [n, dim], float32.
    dim : int
    weights, bias : numpy.ndarray
        [classes, dim] and [classes] float32; a logit is ``embedding @ weights.T + bias``.
    head : str
        Activation after the last layer: `Sigmoid`, `Softmax`, or an empty string.
    classes : str
        Name of the original output with the classes.
    """

    model: onnx.ModelProto
    dim: int
    weights: np.ndarray
    bias: np.ndarray
    head: str
    classes: str


def read_onnx(path: Path) -> onnx.ModelProto:
    """Read an ONNX file with its external data.

    Raises
    ------
    ExportError
        It cannot be read.
    """
    try:
        model = onnx.load(str(path))
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}", "name a readable ONNX file") from None
    except Exception as error:  # protobuf's errors share no public base class
        raise ExportError(
            f"{path}: is not an ONNX file, or is damaged ({first_line(error)})", "download it again"
        ) from None
    if not model.graph.node or not model.graph.output:
        raise ExportError(f"{path}: is not an ONNX file, or is damaged", "download it again")
    return model


def split_classifier(
    path: Path,
    model: onnx.ModelProto,
    samples: int,
    classes: int,
    embedding: str | None = None,
    logits: str | None = None,
) -> Trunk:
    """Find the embedding and the last layer of a classifier.

    Parameters
    ----------
    path : Path
        For messages.
    model : onnx.ModelProto
    samples : int
        Length of a window.
    classes : int
        Number of labels.
    embedding, logits : str or None
        Names of outputs; found by their names and sizes if None.

    Raises
    ------
    ExportError
        An output does not exist, there is no linear layer between them, or the input is not a window of sound.
    """
    made_by = {name: node for node in model.graph.node for name in node.output}
    of_classes = _output(path, model, logits, "--logits", CLASS_WORDS, classes)
    tensor, head = _back(of_classes, made_by), ""
    if tensor in made_by and made_by[tensor].op_type in HEADS:
        head = made_by[tensor].op_type
        tensor = _back(made_by[tensor].input[0], made_by)
    alive = _depend_on_input(model)
    inner, product, biases = _linear(path, tensor, made_by, alive)
    inner = _back(inner, made_by)
    wanted = embedding or _named(model, EMBEDDING_WORDS, of_classes)
    if embedding is not None and embedding not in {output.name for output in model.graph.output}:
        raise ExportError(f"{path}: has no output {embedding!r}", f"name one of {_outputs(model)} with --embedding")
    if embedding is not None and _back(wanted, made_by) != inner:
        raise ExportError(
            f"{path}: {embedding!r} is not the input of its last layer",
            "leave out --embedding, or name another output with it",
        )
    # An output found by its name may be another one, before hidden layers or of another rank.
    name = wanted if wanted and _back(wanted, made_by) == inner else inner
    weights, bias = _constants(path, model, product, biases, classes)
    made = _cut(path, model, name, samples, weights.shape[1])
    return Trunk(made, weights.shape[1], weights, bias, head, of_classes)


def _outputs(model: onnx.ModelProto) -> str:
    return ", ".join(output.name for output in model.graph.output)


def _size(value: onnx.ValueInfoProto) -> int:
    """Size of a row of an output [n, size]; 0 if it has another rank or is unknown."""
    dims = value.type.tensor_type.shape.dim
    return int(dims[1].dim_value) if len(dims) == 2 else 0


def _named(model: onnx.ModelProto, words: Sequence[str], but: str = "") -> str:
    """The first output [n, size] whose name contains one of some words, or an empty string."""
    names = [
        one.name for one in model.graph.output if one.name != but and len(one.type.tensor_type.shape.dim) in (0, 2)
    ]
    return next((name for word in words for name in names if word in name.lower()), "")


def _output(
    path: Path, model: onnx.ModelProto, name: str | None, option: str, words: Sequence[str], numbers: int
) -> str:
    sizes = {one.name: _size(one) for one in model.graph.output}
    if name is not None:
        if name not in sizes:
            raise ExportError(f"{path}: has no output {name!r}", f"name one of {_outputs(model)} with {option}")
        return name
    fitting = [one for one, size in sizes.items() if size == numbers]
    if len(fitting) == 1:
        return fitting[0]
    if found := _named(model, words):
        return found
    raise ExportError(
        f"{path}: no output has the {numbers} classes by its name or size",
        f"name one of {_outputs(model)} with {option}",
    )


def _back(name: str, made_by: dict[str, NodeProto]) -> str:
    """The tensor that another one is a copy of, except for its shape."""
    for _ in range(len(made_by) + 1):
        if name not in made_by or made_by[name].op_type not in PASSES or not made_by[name].input:
            return name
        name = made_by[name].input[0]
    raise ExportError("the graph goes round in a circle", "export the classifier again")


def _depend_on_input(model: onnx.ModelProto) -> set[str]:
    """Tensors that depend on the sound; nodes are in execution order."""
    stored = {tensor.name for tensor in model.graph.initializer}
    alive = {value.name for value in model.graph.input} - stored
    for node in model.graph.node:
        if alive & set(_inputs(node)):
            alive |= set(node.output)
    return alive


def _inputs(node: NodeProto) -> list[str]:
    """Inputs of a node, including those of its subgraphs."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in [*attribute.graphs, *([attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else [])]:
            names += [name for inner in graph.node for name in _inputs(inner)]
    return names


def _linear(
    path: Path, tensor: str, made_by: dict[str, NodeProto], alive: set[str]
) -> tuple[str, NodeProto, list[str]]:
    """Input of the last layer, its product with weights, and the biases added after it."""
    biases: list[str] = []
    passed: set[str] = set()
    while tensor in made_by and tensor not in passed:
        passed.add(tensor)
        node = made_by[tensor]
        moving = [name for name in node.input if name in alive]
        if node.op_type == "Add" and len(moving) == 1:
            biases += [name for name in node.input if name not in alive]
            tensor = _back(moving[0], made_by)
            continue
        if node.op_type in ("MatMul", "Gemm") and moving == [node.input[0]]:
            return node.input[0], node, biases
        break
    what = made_by[tensor].op_type if tensor in made_by else "the input"
    raise ExportError(
        f"{path}: its classes come from {what}, not from a linear layer, so there are no class vectors",
        "name another output with --logits, or use a classifier with a linear last layer",
    )


def _constants(
    path: Path, model: onnx.ModelProto, product: NodeProto, biases: Sequence[str], classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [classes, dim] and bias [classes] of the last layer, computed if they are not stored."""
    options = {one.name: helper.get_attribute_value(one) for one in product.attribute}
    weights = _evaluated(path, model, product.input[1]).astype(np.float64) * options.get("alpha", 1.0)
    if not options.get("transB", 0):
        weights = weights.T
    bias = np.zeros(len(weights))
    if len(product.input) > 2 and product.input[2]:
        bias = bias + _evaluated(path, model, product.input[2]).reshape(-1) * options.get("beta", 1.0)
    for name in biases:
        bias = bias + _evaluated(path, model, name).reshape(-1)
    if weights.ndim != 2 or options.get("transA", 0):
        raise ExportError(f"{path}: the last layer is not a product of vector and matrix", "use another classifier")
    if len(weights) != classes:
        raise ExportError(f"{path}: {len(weights)} classes for {classes} labels", "name the labels of this model")
    return weights.astype(np.float32), bias.astype(np.float32)


def _evaluated(path: Path, model: onnx.ModelProto, name: str) -> np.ndarray:
    """A tensor that does not depend on the sound."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
    part = _extracted(model, name, TensorProto.UNDEFINED)
    try:
        return np.asarray(session(part).run(None, {})[0])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise ExportError(f"{path}: its last layer cannot be read ({first_line(error)})", "report this") from None


def _extracted(model: onnx.ModelProto, name: str, kind: int) -> onnx.ModelProto:
    """The part of a graph that computes a tensor, its only output."""
    wanted, nodes = {name}, []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            nodes.append(node)
            wanted |= set(_inputs(node))
    graph = model.graph
    output = helper.make_empty_tensor_value_info(name)
    if kind:
        output = helper.make_tensor_value_info(name, kind, None)
    part = onnx.ModelProto()
    part.CopyFrom(model)
    part.graph.ClearField("node")
    part.graph.ClearField("output")
    part.graph.ClearField("initializer")
    part.graph.ClearField("value_info")
    part.graph.ClearField("input")
    part.graph.node.extend(reversed(nodes))
    part.graph.output.append(output)
    part.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name in wanted)
    stored = {tensor.name for tensor in graph.initializer}
    part.graph.input.extend(value for value in graph.input if value.name in wanted and value.name not in stored)
    return part


def _cut(path: Path, model: onnx.ModelProto, tensor: str, samples: int, dim: int) -> onnx.ModelProto:
    """The graph from ``waveform`` [n, samples] to ``embedding`` [n, dim]."""
    part = _extracted(model, tensor, TensorProto.FLOAT)
    if len(part.graph.input) != 1:
        names = ", ".join(value.name for value in part.graph.input) or "nothing"
        raise ExportError(f"{path}: takes {names}, not one waveform", "use a classifier whose only input is sound")
    [given] = part.graph.input
    dims = given.type.tensor_type.shape.dim
    length = dims[-1].dim_value if dims else 0
    wide = [one.dim_value for one in dims[1:-1]]
    if given.type.tensor_type.elem_type != TensorProto.FLOAT or len(dims) not in (2, 3) or wide not in ([], [1]):
        shape = [one.dim_value or one.dim_param or "?" for one in dims]
        raise ExportError(f"{path}: takes {shape}, not float32 sound [n, samples]", "use a classifier of waveforms")
    if length and length != samples:
        raise ExportError(f"{path}: takes {length} samples, not {samples}", "correct --window-s and --rate")
    taken = {name for node in part.graph.node for name in (*node.input, *node.output)}
    inside, outside = given.name, INPUT if INPUT not in taken or given.name == INPUT else f"{INPUT}.outer"
    nodes: list[NodeProto] = []
    if wide or inside != outside:
        shape = helper.make_tensor(f"{INPUT}.shape", TensorProto.INT64, [len(dims)], [-1, *wide, samples])
        part.graph.initializer.append(shape)
        fresh = outside if inside != outside else f"{INPUT}.outer"
        nodes.append(helper.make_node("Reshape", [fresh, shape.name], [inside], f"{INPUT}.shaped"))
        outside = fresh
    size = helper.make_tensor(f"{OUTPUT}.shape", TensorProto.INT64, [2], [-1, dim])
    part.graph.initializer.append(size)
    last = f"{OUTPUT}.vector" if OUTPUT in taken or tensor == OUTPUT else OUTPUT
    body = [*nodes, *part.graph.node, helper.make_node("Reshape", [tensor, size.name], [last], f"{OUTPUT}.shaped")]
    graph = helper.make_graph(
        body,
        "audio",
        [helper.make_tensor_value_info(outside, TensorProto.FLOAT, ["n", samples])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", dim])],
        list(part.graph.initializer),
    )
    made = onnx.ModelProto()
    made.CopyFrom(part)
    made.graph.CopyFrom(graph)
    return made
