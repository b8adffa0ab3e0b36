"""What ONNX Runtime makes of a graph on the processor before it runs it."""

from __future__ import annotations

from pathlib import Path

import onnx


def optimised(model: onnx.ModelProto, folder: Path) -> onnx.GraphProto:
    """The nodes that run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath).graph
