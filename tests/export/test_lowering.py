"""Graphs of a few nodes, and small networks of the full size's own classes, in float16 and int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.halves import to_half
from export.integers import to_integers
from export.nodes import Nodes
from export.parity import cosines
from export.sessions import vectors
from tests.export.optimised import optimised
from tests.export.published.made import Made
from trainer import checkpoint

WIDTH = 16
RNG = np.random.default_rng(0)
INPUTS = RNG.uniform(-1.0, 1.0, (24, WIDTH)).astype(np.float32)


def network(*layers: np.ndarray, before: str = "Identity") -> onnx.ModelProto:
    """Matrix products with a step of a kind before each, and unit vectors at the end."""
    nodes, at = [], "x"
    for place, _ in enumerate(layers):
        nodes.append(helper.make_node(before, [at], [f"s{place}"], f"step{place}"))
        nodes.append(helper.make_node("MatMul", [f"s{place}", f"w{place}"], [f"y{place}"], f"layer{place}"))
        at = f"y{place}"
    nodes.append(helper.make_node("ReduceL2", [at, "axis"], ["length"], "length", keepdims=1))
    nodes.append(helper.make_node("Div", [at, "length"], ["embedding"], "unit"))
    stored = [numpy_helper.from_array(one.astype(np.float32), f"w{place}") for place, one in enumerate(layers)]
    stored.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", WIDTH])],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def mixing() -> np.ndarray:
    """Weights that change places and signs, so that numbers stay of one size."""
    return np.eye(WIDTH)[RNG.permutation(WIDTH)] * RNG.choice([-1.0, 1.0], WIDTH)


def difference(wanted: np.ndarray, given: np.ndarray) -> str:
    return "" if cosines(wanted, given).min() > 0.99 else "far"


def test_all_layers_are_int8_where_none_suffers() -> None:
    mixed = to_integers(network(mixing(), mixing()), INPUTS, difference)
    assert mixed.quantised == ("layer0", "layer1") and mixed.kept == ()
    assert {tensor.name: tensor.data_type for tensor in mixed.model.graph.initializer}["w1.int8"] == TensorProto.INT8
    assert "w1" not in {tensor.name for tensor in mixed.model.graph.initializer}
    onnx.checker.check_model(mixed.model, full_check=True)


def test_scales_are_symmetric_and_one_for_each_output_channel() -> None:
    wide = mixing() * np.geomspace(1e-3, 1e3, WIDTH)
    nodes = Nodes(to_integers(network(wide), INPUTS, lambda wanted, given: "").model.graph)
    assert np.allclose(nodes.array("w0.scale"), np.abs(wide).max(axis=0) / 127.0)
    assert not nodes.array("w0.zero").any() and nodes.array("s0.zero") == 0
    assert np.abs(nodes.array("w0.int8").astype(int)).max(axis=0).tolist() == [127] * WIDTH


def test_the_layer_that_suffers_is_the_one_that_stays() -> None:
    loud = np.eye(WIDTH)
    loud[0] *= 1e4  # what goes into the second layer then has one channel that leaves the others no digits
    quiet = np.eye(WIDTH)
    quiet[0] /= 1e4
    mixed = to_integers(network(mixing(), loud, quiet, mixing()), INPUTS, difference)
    assert mixed.kept == ("layer2",) and mixed.quantised == ("layer0", "layer1", "layer3")


def test_a_judge_that_is_never_content_gets_the_float_graph() -> None:
    model = network(mixing(), mixing())
    mixed = to_integers(model, INPUTS, lambda wanted, given: "clip.wav has 0.5")
    assert mixed.quantised == () and mixed.short == "clip.wav has 0.5"
    assert np.array_equal(vectors(mixed.model, INPUTS), vectors(model, INPUTS))


def test_softmax_and_unit_vectors_stay_in_float32() -> None:
    model = network(mixing(), mixing(), before="Softmax")
    half, in_float = to_half(copied(model), INPUTS)
    onnx.checker.check_model(half, full_check=True)
    assert in_float == {"Softmax": 2, "ReduceL2": 1, "Div": 1}
    typed = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert typed["w0.half"] == typed["w1.half"] == TensorProto.FLOAT16
    assert not difference(vectors(model, INPUTS), vectors(half, INPUTS))


@pytest.mark.parametrize(("size", "in_float"), [(1.0, 0), (2e4, 2), (1e6, 2)])
def test_layers_near_the_largest_float16_stay_in_float32(size: float, in_float: int) -> None:
    model = network(mixing() * size, mixing() / size, mixing())
    half, kept = to_half(copied(model), INPUTS)
    assert kept.get("MatMul", 0) == in_float
    assert not difference(vectors(model, INPUTS), vectors(half, INPUTS))


@pytest.fixture(scope="module")
def full(made: Made) -> dict[str, tuple[onnx.ModelProto, np.ndarray]]:
    """Graphs of HTS-AT and CLIP, small, and inputs for each."""
    preset = checkpoint.load(made.folder / "steps" / "checkpoint").config.preset
    inputs = {
        "audio": (0.1 * RNG.standard_normal((4, preset.window_samples))).astype(np.float32),
        "text": RNG.integers(1, 49_000, (4, preset.context)),
        "image": RNG.uniform(0, 255, (4, 3, preset.image_size, preset.image_size)).astype(np.float32),
    }
    return {kind: (onnx.load(str(made.graph(kind))), values) for kind, values in inputs.items()}


@pytest.mark.parametrize("kind", ["audio", "text", "image"])
def test_the_full_size_keeps_to_what_every_target_computes(
    kind: str, full: dict[str, tuple[onnx.ModelProto, np.ndarray]]
) -> None:
    model = onnx.shape_inference.infer_shapes(full[kind][0])
    kinds = {node.op_type for node in model.graph.node}
    assert {"LayerNormalization", "MatMul", "Softmax"} <= kinds
    assert not kinds & {"STFT", "DFT", "Attention", "Einsum", "If", "Loop", "Resize"}
    assert {node.domain for node in model.graph.node} == {""}
    typed = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    assert TensorProto.DOUBLE not in {*typed.values(), *(tensor.data_type for tensor in model.graph.initializer)}
    # ONNX Runtime 1.18 finds no largest among int64.
    largest = [node.input[0] for node in model.graph.node if node.op_type == "ArgMax"]
    assert len(largest) == (kind == "text") and all(typed[name] == TensorProto.INT32 for name in largest)


@pytest.mark.parametrize("kind", ["audio", "text", "image"])
def test_the_full_size_is_itself_in_float16_and_int8(
    kind: str, full: dict[str, tuple[onnx.ModelProto, np.ndarray]]
) -> None:
    model, values = full[kind]
    wanted = vectors(model, values)
    half, in_float = to_half(copied(model), values)
    assert cosines(wanted, vectors(half, values)).min() > 0.999
    assert in_float["Softmax"] and in_float["LayerNormalization"]
    mixed = to_integers(copied(model), values, lambda *both: "" if cosines(*both).min() > 0.95 else "far")
    assert len(mixed.quantised) > len(mixed.kept)
    assert cosines(wanted, vectors(mixed.model, values)).min() > 0.95


@pytest.mark.parametrize("kind", ["audio", "text", "image"])
def test_onnx_runtime_dequantises_no_weights_of_products_at_each_run(
    kind: str, full: dict[str, tuple[onnx.ModelProto, np.ndarray]], tmp_path: Path
) -> None:
    model, values = full[kind]
    mixed = to_integers(copied(model), values, lambda wanted, given: "")
    nodes = Nodes(optimised(mixed.model, tmp_path))
    taken_out = [node for node in nodes.graph.node if node.op_type == "DequantizeLinear"]
    takers = [taker.op_type for node in taken_out for taker in nodes.taken_by[node.output[0]]]
    assert set(takers) <= {"Conv"}  # of pictures to patches: its sums would have to be rounded to int8 as well
    in_int8 = [node for node in nodes.graph.node if node.op_type in ("MatMulIntegerToFloat", "QGemm")]
    assert len(in_int8) == len(mixed.quantised) - ("Conv" in takers)


def test_a_gemm_keeps_its_bias_in_int8(tmp_path: Path) -> None:
    model = network(mixing(), mixing())
    bias = np.linspace(-1.0, 1.0, WIDTH, dtype=np.float32)
    layer = model.graph.node[1]
    layer.op_type = "Gemm"
    layer.attribute.append(helper.make_attribute("transB", 1))
    layer.input.append("bias")
    model.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
    onnx.checker.check_model(model, full_check=True)
    mixed = to_integers(copied(model), INPUTS, difference)
    assert mixed.quantised == ("layer0", "layer1") and not difference(
        vectors(model, INPUTS), vectors(mixed.model, INPUTS)
    )
    assert "Gemm" not in {node.op_type for node in optimised(mixed.model, tmp_path).node}


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    return twin
