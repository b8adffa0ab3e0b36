"""Weights take half the room on the disk, and give the same to a rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from export.storage import SMALL, halve

RNG = np.random.default_rng(0)


def graph_of(path: Path, **weights: np.ndarray) -> Path:
    """A chain of products with the weights."""
    names = ["x", *(f"after_{name}" for name in weights)]
    nodes = [helper.make_node("MatMul", [names[at], name], [names[at + 1]]) for at, name in enumerate(weights)]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", None]) for name in (names[0], names[-1])]
    stored = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "chain", ends[:1], ends[1:], stored),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.save_model(model, str(path))
    return path


def run(path: Path, x: np.ndarray) -> np.ndarray:
    (out,) = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    return np.asarray(out)


def kinds(path: Path) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in onnx.load(str(path)).graph.initializer}


def test_large_weights_take_half_the_room_and_give_the_same(tmp_path: Path) -> None:
    path = graph_of(tmp_path / "chain.onnx", a=RNG.normal(size=(64, 64)), b=RNG.normal(size=(64, 32)))
    x = RNG.normal(size=(5, 64)).astype(np.float32)
    before, size = run(path, x), path.stat().st_size
    halve(path)
    assert path.stat().st_size < 0.55 * size
    assert run(path, x) == pytest.approx(before, rel=2e-2, abs=2e-1) and run(path, x).dtype == np.float32
    onnx.checker.check_model(str(path))


def test_small_tensors_and_numbers_beyond_float16_stay_as_they_are(tmp_path: Path) -> None:
    small = RNG.normal(size=(64, SMALL // 64 - 1))
    path = graph_of(tmp_path / "chain.onnx", wide=1e5 * np.ones((64, 64)), plain=RNG.normal(size=(64, 64)), small=small)
    halve(path)
    half, whole = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    assert kinds(path) == {"wide": whole, "plain.half": half, "small": whole}
