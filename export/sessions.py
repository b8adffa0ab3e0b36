"""ONNX Runtime on the CPU, for graphs during export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx

from edgeapp.board.machine import available_cores

BATCH = 4


def session(model: onnx.ModelProto) -> Any:
    """A session of a graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it wastes cores
    options.log_severity_level = 4  # no warnings about its optimisations; errors are raised
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def vectors(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    """Outputs [n, dim] of a graph for inputs [n, ...]."""
    running = session(model)
    name = running.get_inputs()[0].name
    return np.concatenate(
        [running.run(None, {name: values[at : at + BATCH]})[0] for at in range(0, len(values), BATCH)]
    )


def run_all(model: onnx.ModelProto, names: Sequence[str], inputs: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """Values of tensors inside a graph, for each of the inputs [n, ...]."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    known = {value.name for value in opened.graph.output}
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    running = session(opened)
    feed = running.get_inputs()[0].name
    for row in range(len(inputs)):
        yield dict(zip(names, running.run(list(names), {feed: inputs[row : row + 1]})))


def magnitude(values: np.ndarray) -> float:
    """The largest finite magnitude; 0 if there is none."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
