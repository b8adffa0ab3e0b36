"""Split an ONNX classifier into the graph of its embedding and the rows of its last layer.

Starting from the output of classes, nodes that only rename or reshape, a sigmoid or softmax, and biases are skipped,
until a product with weights that do not depend on the sound. Its input is the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from edgeapp.runtime.ort import first_line
from export.errors import ExportError
from export.sessions import session

INPUT, OUTPUT = "waveform", "embedding"
SOUND = (TensorProto.FLOAT, TensorProto.FLOAT16)
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
    is_half : bool
        Whether the last layer computes in float16.
    """

    model: onnx.ModelProto
    dim: int
    weights: np.ndarray
    bias: np.ndarray
    head: str
    classes: str
    is_half: bool = False


def read_onnx(path: Path) -> onnx.ModelProto:
    """Read an ONNX file with its external data.

    Raises
    ------
    ExportError
        It, or its external data, cannot be read, or its nodes go round in a circle.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}", "name a readable ONNX file") from None
    except Exception as error:  # protobuf's errors share no public base class
        raise ExportError(
            f"{path}: is not an ONNX file, or is damaged ({first_line(error)})", "download it again"
        ) from None
    if not model.graph.node or not model.graph.output or not _is_text(model.graph):
        raise ExportError(f"{path}: is not an ONNX file, or is damaged", "download it again")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ExportError(
            f"{path}: its weights cannot be read ({first_line(error)})", "put the file that came with it beside it"
        ) from None
    _put_in_order(path, model.graph)
    return model


def _is_text(graph: onnx.GraphProto) -> bool:
    """Whether all names of tensors are UTF-8; protobuf gives bytes for others."""
    named = (*graph.input, *graph.output, *graph.initializer)
    names = [value.name for value in named] + [name for node in graph.node for name in (*node.input, *node.output)]
    return all(isinstance(name, str) for name in names)


def _put_in_order(path: Path, graph: onnx.GraphProto) -> None:
    """Put the nodes in an order of execution, as the format demands and some converters do not.

    Raises
    ------
    ExportError
        There is none.
    """
    made_by = {name: place for place, node in enumerate(graph.node) for name in node.output}
    needs = [{made_by[name] for name in _inputs(node) if name in made_by} for node in graph.node]
    if all(place > max(before, default=-1) for place, before in enumerate(needs)):
        return
    try:
        order = list(TopologicalSorter(dict(enumerate(needs))).static_order())
    except CycleError:
        raise ExportError(f"{path}: the graph goes round in a circle", "export the classifier again") from None
    nodes = [graph.node[place] for place in order]
    graph.ClearField("node")
    graph.node.extend(nodes)


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
    weights, bias, is_half = _constants(path, model, product, biases, classes)
    made = _cut(path, model, name, samples, weights.shape[1])
    return Trunk(made, weights.shape[1], weights, bias, head, of_classes, is_half)


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
    raise AssertionError("read_onnx has refused circles")


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
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Weights [classes, dim] and bias [classes] of the last layer, and whether it computes in float16."""
    options = {one.name: helper.get_attribute_value(one) for one in product.attribute}
    stored = _evaluated(path, model, product.input[1])
    weights = stored.astype(np.float64) * options.get("alpha", 1.0)
    if not options.get("transB", 0):
        weights = weights.T
    bias = np.zeros(len(weights))
    if len(product.input) > 2 and product.input[2]:
        bias = _evaluated(path, model, product.input[2]).reshape(-1).astype(np.float64) * options.get("beta", 1.0)
    added = [_evaluated(path, model, name).reshape(-1) for name in biases]
    if any(one.size not in (1, len(weights)) for one in (bias, *added)):
        raise ExportError(f"{path}: the bias of the last layer does not fit its weights", "download it again")
    bias = sum(added, bias)
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ExportError(f"{path}: the last layer has weights that are not finite", "download it again")
    if weights.ndim != 2 or options.get("transA", 0):
        raise ExportError(f"{path}: the last layer is not a product of vector and matrix", "use another classifier")
    if len(weights) != classes:
        raise ExportError(f"{path}: {len(weights)} classes for {classes} labels", "name the labels of this model")
    bias = np.broadcast_to(bias, len(weights))
    return weights.astype(np.float32), bias.astype(np.float32), stored.dtype == np.float16


def _evaluated(path: Path, model: onnx.ModelProto, name: str) -> np.ndarray:
    """A tensor that does not depend on the sound."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
    part = extracted(model, name)
    try:
        return np.asarray(session(part).run(None, {})[0])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise ExportError(f"{path}: its last layer cannot be read ({first_line(error)})", "report this") from None


def extracted(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The part of a graph that computes a tensor, its only output, from the inputs that it needs."""
    wanted, nodes = {name}, []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            nodes.append(node)
            wanted |= set(_inputs(node))
    graph = model.graph
    part = onnx.ModelProto()
    part.CopyFrom(model)
    part.graph.ClearField("node")
    part.graph.ClearField("output")
    part.graph.ClearField("initializer")
    part.graph.ClearField("value_info")
    part.graph.ClearField("input")
    part.graph.node.extend(reversed(nodes))
    part.graph.output.append(helper.make_empty_tensor_value_info(name))
    part.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name in wanted)
    stored = {tensor.name for tensor in graph.initializer}
    part.graph.input.extend(value for value in graph.input if value.name in wanted and value.name not in stored)
    return part


def _cut(path: Path, model: onnx.ModelProto, tensor: str, samples: int, dim: int) -> onnx.ModelProto:
    """The graph from ``waveform`` [n, samples] to ``embedding`` [n, dim]."""
    part = extracted(model, tensor)
    if len(part.graph.input) != 1:
        names = ", ".join(value.name for value in part.graph.input) or "nothing"
        raise ExportError(f"{path}: takes {names}, not one waveform", "use a classifier whose only input is sound")
    [given] = part.graph.input
    dims = given.type.tensor_type.shape.dim
    length = dims[-1].dim_value if dims else 0
    wide = [one.dim_value for one in dims[1:-1]]
    kind = given.type.tensor_type.elem_type
    if kind not in SOUND or len(dims) not in (2, 3) or wide not in ([], [1]):
        shape = [one.dim_value or one.dim_param or "?" for one in dims]
        called = TensorProto.DataType.Name(kind).lower()
        raise ExportError(f"{path}: takes {called} {shape}, not sound [n, samples]", "use a classifier of waveforms")
    if length and length != samples:
        raise ExportError(f"{path}: takes {length} samples, not {samples}", "correct --window-s and --rate")
    taken = {name for node in part.graph.node for name in (*node.input, *node.output)}
    inside, outside = given.name, INPUT if INPUT not in taken or given.name == INPUT else f"{INPUT}.outer"
    nodes: list[NodeProto] = []
    if wide or inside != outside or kind != TensorProto.FLOAT:
        shape = helper.make_tensor(f"{INPUT}.shape", TensorProto.INT64, [len(dims)], [-1, *wide, samples])
        part.graph.initializer.append(shape)
        fresh = outside if inside != outside else f"{INPUT}.outer"
        whole = f"{INPUT}.whole"
        nodes.append(helper.make_node("Reshape", [fresh, shape.name], [whole], f"{INPUT}.shaped"))
        nodes.append(helper.make_node("Cast", [whole], [inside], f"{INPUT}.cast", to=kind))
        outside = fresh
    size = helper.make_tensor(f"{OUTPUT}.shape", TensorProto.INT64, [2], [-1, dim])
    part.graph.initializer.append(size)
    last = f"{OUTPUT}.vector" if OUTPUT in taken or tensor == OUTPUT else OUTPUT
    flat = f"{OUTPUT}.flat"
    end = [
        helper.make_node("Reshape", [tensor, size.name], [flat], f"{OUTPUT}.shaped"),
        helper.make_node("Cast", [flat], [last], f"{OUTPUT}.cast", to=TensorProto.FLOAT),  # of float16
    ]
    body = [*nodes, *part.graph.node, *end]
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
