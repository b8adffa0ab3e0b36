"""Execution of a built engine.

Written against TensorRT's execution context (``set_input_shape``, ``set_tensor_address``, ``execute_async_v3``), and
run against an in-memory twin of context and driver; no GPU was at hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeapp.errors import EngineError
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.tensorrt.build import Library, load_plan
from edgeapp.runtime.tensorrt.cuda import Gpu

ALIGNMENT = 256  # TensorRT wants its tensors there

# TensorRT's names of number types -> NumPy's.
TYPES = {"FLOAT": np.float32, "HALF": np.float16, "INT64": np.int64, "INT32": np.int32}


class EngineRunner:
    """Runs one engine; for one thread at a time.

    Parameters
    ----------
    library : Library
    plan : bytes
    graph : PackGraph
        What the engine was built of.
    gpu : Gpu
    built_s : float
        Seconds that building the engine took.

    Raises
    ------
    EngineError
        This TensorRT, on this GPU, does not take it, or there is no memory for it.
    """

    def __init__(self, library: Library, plan: bytes | memoryview, graph: PackGraph, gpu: Gpu, built_s: float) -> None:
        self.built_s = built_s
        self.provider = f"{library.name} {library.version} on {gpu.identity.name}"
        self._graph, self._gpu = graph, gpu
        gpu.make_current()
        self._runtime, engine = load_plan(library, plan, graph.path.name)
        self._engine = engine
        self._context: Any = engine.create_execution_context()
        if self._context is None:
            raise EngineError(
                f"{graph.path.name}: no room on the GPU for the engine ({gpu.free_bytes() / 1e6:.0f} MB free)",
                "stop other programs that use it, or run with --provider cpu",
            )
        self._given = TYPES[engine.get_tensor_dtype(graph.input).name]
        self._gives = TYPES[engine.get_tensor_dtype(graph.output).name]
        given = graph.batch * int(np.prod(graph.shape)) * np.dtype(self._given).itemsize
        given += -given % ALIGNMENT
        self._inputs = gpu.allocate(given + graph.batch * graph.dim * np.dtype(self._gives).itemsize)
        self._outputs = self._inputs + given
        self._context.set_tensor_address(graph.input, self._inputs)
        self._context.set_tensor_address(graph.output, self._outputs)
        self._stream = gpu.stream()

    def run(self, values: np.ndarray) -> np.ndarray:
        """``[n, *shape]`` -> ``[n, dim]``, in runs of at most the engine's batch."""
        batch = self._graph.batch
        parts = [self._once(values[at : at + batch]) for at in range(0, len(values), batch)]
        return np.concatenate(parts) if parts else np.zeros((0, self._graph.dim), np.float32)

    def close(self) -> None:
        """Give the memory back; nothing can be run afterwards."""
        self._gpu.make_current()
        self._context = self._engine = self._runtime = None
        self._gpu.free(self._inputs)

    def _once(self, values: np.ndarray) -> np.ndarray:
        self._gpu.make_current()
        self._gpu.copy_in(self._inputs, np.ascontiguousarray(values, self._given))
        if not self._context.set_input_shape(self._graph.input, values.shape):
            raise EngineError(f"{self._graph.path.name}: the engine refuses inputs {values.shape}", "build it again")
        if not self._context.execute_async_v3(self._stream):
            raise EngineError(f"{self._graph.path.name}: the engine failed on {values.shape}", "build it again")
        self._gpu.wait(self._stream)
        vectors = np.empty((len(values), self._graph.dim), self._gives)
        self._gpu.copy_out(vectors, self._outputs)
        return vectors.astype(np.float32)
