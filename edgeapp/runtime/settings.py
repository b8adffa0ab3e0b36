"""Execution settings of a graph: provider, threads, memory; from flags, then the environment."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edgeapp.board.machine import available_cores
from edgeapp.errors import UsageError
from edgeapp.terminal import complain

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

# What can be asked for -> the providers of ONNX Runtime in order; anything an accelerator cannot run falls to the CPU.
ORT_PROVIDERS = {
    "auto": (TENSORRT, CUDA, CPU),
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    "tensorrt": (TENSORRT, CUDA, CPU),
}
ENGINE_PRECISIONS = {"engine": "graph", "engine-fp16": "fp16"}  # engines of our own, see `edgeapp.runtime.tensorrt`
PROVIDERS = (*ORT_PROVIDERS, *ENGINE_PRECISIONS)

PROVIDER_VARIABLE = "BIOVITA_PROVIDER"
THREADS_VARIABLE = "BIOVITA_THREADS"
MEMORY_VARIABLE = "BIOVITA_GPU_MEMORY_MB"

# On a Jetson the GPU's memory is the processor's: a 27 MB graph took 1750 MB uncapped (onnxruntime issue 14038).
GPU_MEMORY_MB = 1024
GRAPH_COPIES = 2  # and this many times the graph: the weights, and a copy while they are laid out

Tell = Callable[[str], None]


@lru_cache(maxsize=64)
def warn(line: str) -> None:
    """One line on standard error, once a process: three encoders fall back for one reason."""
    complain(line)


@dataclass(frozen=True)
class RunSettings:
    """How a graph is run.

    Attributes
    ----------
    provider : str
        One of `PROVIDERS`.
    threads : int
        Of the CPU.
    gpu_memory_mb : int or None
        Most memory taken of a GPU; by the size of the graph when None.
    """

    provider: str
    threads: int
    gpu_memory_mb: int | None = None

    @classmethod
    def of(cls, provider: str | None = None, threads: int | None = None) -> RunSettings:
        """Fill what is None from the environment, then by default.

        Raises
        ------
        UsageError
            An invalid value.
        """
        name = provider or os.environ.get(PROVIDER_VARIABLE) or "auto"
        if name not in PROVIDERS:
            raise UsageError(f"unknown provider {name!r}", f"use one of {', '.join(PROVIDERS)}")
        if threads is not None and threads < 1:
            raise UsageError(f"{threads} threads is invalid", "give --threads 1 or more")
        return cls(name, threads or _whole(THREADS_VARIABLE) or available_cores(), _whole(MEMORY_VARIABLE))

    def gpu_memory_bytes(self, graph: Path) -> int:
        """The cap for one graph."""
        if self.gpu_memory_mb is not None:
            return self.gpu_memory_mb << 20
        return (GPU_MEMORY_MB << 20) + GRAPH_COPIES * graph.stat().st_size


def driver_is_there() -> bool:
    """Whether this machine has an NVIDIA driver: without one, nothing more of CUDA is loaded or looked for."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _whole(variable: str) -> int | None:
    text = os.environ.get(variable)
    if not text:
        return None
    if not (text.isdecimal() and int(text) > 0):
        raise UsageError(f"{variable} is {text!r}", f"set {variable} to a whole number above 0, or unset it")
    return int(text)
