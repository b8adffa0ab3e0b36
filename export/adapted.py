"""The audio graph of a pack with an adapter appended, since the trunk is not a torch module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from trainer.models.adapted import AdaptedTower
from trainer.presets import Preset

PREFIX = "adapter"  # of all added names
MIN_LENGTH = 1e-12  # as in `torch.nn.functional.normalize`


def export_adapted(audio: AdaptedTower, preset: Preset, path: Path) -> None:
    """Write a graph from waveform [n, samples] float32 to unit vectors: pack, normalisation, adapter, normalisation.

    Raises
    ------
    PackError, CheckpointError
        The pack that the adapter was trained on is not installed.
    """
    pack = audio.pack()
    model = onnx.load(str(pack.path(pack.audio.file)))
    graph = model.graph
    inside, outside = pack.audio.input, pack.audio.output
    renamed = {inside: "waveform", outside: f"{PREFIX}.trunk"}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    for value in graph.input:
        value.name = renamed.get(value.name, value.name)
    weights = audio.adapter.weight.detach().cpu().numpy().T
    bias = audio.adapter.bias.detach().cpu().numpy()
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array, np.float32), f"{PREFIX}.{name}")
        for name, array in (("weight", weights), ("bias", bias), ("least", np.array(MIN_LENGTH)))
    )
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), f"{PREFIX}.axis"))
    graph.node.extend(
        [
            *unit(renamed[outside], f"{PREFIX}.heard"),
            helper.make_node("Gemm", [f"{PREFIX}.heard", f"{PREFIX}.weight", f"{PREFIX}.bias"], [f"{PREFIX}.vector"]),
            *unit(f"{PREFIX}.vector", "embedding"),
        ]
    )
    dim = helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["n", preset.dim])
    del graph.output[:]
    graph.output.append(dim)
    graph.ClearField("value_info")
    onnx.checker.check_model(model)
    onnx.save_model(model, str(path))


def unit(given: str, made: str) -> list[onnx.NodeProto]:
    """Nodes that normalise vectors [n, dim] to unit length."""
    return [
        # Root of the sum of squares: ReduceL2 takes its axes differently from opset 18 on.
        helper.make_node("Mul", [given, given], [f"{made}.squares"]),
        helper.make_node("ReduceSum", [f"{made}.squares", f"{PREFIX}.axis"], [f"{made}.sum"], keepdims=1),
        helper.make_node("Sqrt", [f"{made}.sum"], [f"{made}.root"]),
        helper.make_node("Max", [f"{made}.root", f"{PREFIX}.least"], [f"{made}.length"]),
        helper.make_node("Div", [given, f"{made}.length"], [made]),
    ]
