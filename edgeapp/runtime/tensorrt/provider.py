"""The engines that ONNX Runtime's TensorRT provider builds for itself: where they lie, and whether they are right.

The provider names its files by the names in the graph, not by the weights, so that two packs of one architecture would
share an engine; here each graph, ONNX Runtime, GPU and driver has a folder. In it, ``checked.json`` keeps the figure of
`edgeapp.runtime.tensorrt.check` with the engines it was measured on: another TensorRT builds others, which are measured
anew.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.errors import EngineError, OutputError
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.ort import first_line
from edgeapp.runtime.settings import Tell
from edgeapp.runtime.tensorrt.check import LEAST_COSINE, least_cosine, refuse_wrong
from edgeapp.runtime.tensorrt.cuda import Gpu
from edgeapp.runtime.tensorrt.file import cache_folder
from gallery import files

CHECKED = "checked.json"
REMEDY = "run with --provider cuda or cpu"


def options(graph: PackGraph, memory_bytes: int, tell: Tell) -> dict[str, str]:
    """What the provider is told: its cap, its cache, and one profile for any number of inputs.

    Raises
    ------
    OutputError
        The cache cannot be made.
    DeviceError
        There is no GPU.
    """
    folder = _folder(graph)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror or error}", "make it writable: engines are kept there") from None
    if not any(folder.glob("*.engine")):
        tell(f"TensorRT builds an engine of {graph.path.name}; this can take minutes and is kept in {folder}")
    return {
        "trt_max_workspace_size": str(memory_bytes),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        # Without a profile every new number of windows builds the engine anew.
        "trt_profile_min_shapes": graph.at(1),
        "trt_profile_opt_shapes": graph.at(graph.batch),
        "trt_profile_max_shapes": graph.at(graph.batch),
    }


def check(graph: PackGraph, session: Any, threads: int, tell: Tell) -> None:
    """Compare a session on TensorRT with the CPU, once for each engine it built.

    Raises
    ------
    EngineError
        It is wrong.
    """
    folder = _folder(graph)
    engines = {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in sorted(folder.glob("*.engine"))}
    try:
        known = json.loads((folder / CHECKED).read_text(encoding="utf-8"))
        if engines and known["engines"] == engines and known["cosine"] >= LEAST_COSINE:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not measured yet, or not kept
    cosine = least_cosine(graph, lambda values: _run(graph, session, values), threads)
    refuse_wrong(graph, cosine)
    tell(f"checked {graph.path.name} on TensorRT: cosine at least {cosine:.6f} with the graph on the CPU")
    _write(folder / CHECKED, {"graph": str(graph.path), "engines": engines, "cosine": cosine})


def _folder(graph: PackGraph) -> Path:
    import onnxruntime

    parts = (graph.sha256, onnxruntime.__version__, str(graph.batch), Gpu().identity.text)
    return cache_folder() / "onnxruntime" / hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _run(graph: PackGraph, session: Any, values: np.ndarray) -> np.ndarray:
    try:
        return np.asarray(session.run([graph.output], {graph.input: values})[0])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise EngineError(f"{graph.path.name}: TensorRT cannot run it ({first_line(error)})", REMEDY) from None


def _write(at: Path, figures: dict[str, Any]) -> None:
    """Keep what was measured; where it cannot be kept it is measured again."""
    with suppress(OSError):
        files.write_text(at, json.dumps(figures))
