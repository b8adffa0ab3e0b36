"""The packs to measure, and the figures of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_steps.clock import per_second
from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import Missing
from edgeapp.board.machine import available_cores
from edgeapp.pack.format import Pack
from edgeapp.paths import STARTER_PACK
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.tensorrt.check import LEAST_COSINE, least_cosine, probes

PRECISIONS = ("fp32", "fp16", "int8")


def packs(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Name and folder of each pack whose audio encoder is measured."""
    folder, size = settings.work / "packs", "tiny" if settings.tiny else "full"
    yield "starter-fp32", STARTER_PACK
    for name in ("starter-fp16", "starter-int8", *(f"{size}-{precision}" for precision in PRECISIONS)):
        yield name, folder / name


def load(folder: Path) -> Pack:
    """Load a pack.

    Raises
    ------
    Missing
        It does not exist.
    """
    if not (folder / "pack.json").is_file():
        raise Missing(f"{folder.name} was not made; see the step packs")
    return Pack.load(folder)


def figures_of(
    settings: Settings, graph: PackGraph, run: Callable[[np.ndarray], np.ndarray], batch: int
) -> dict[str, Any]:
    """Windows per second, host memory to host memory, and the least cosine with the graph on the CPU.

    Raises
    ------
    ValueError
        The cosine is below the bound of `edgeapp`.
    """
    sounds = probes(graph)
    windows = sounds[np.arange(batch) % len(sounds)]
    rate = per_second(lambda: run(windows), batch, 0.2 if settings.tiny else 2.0)
    cosine = least_cosine(graph, run, available_cores())
    if not cosine >= LEAST_COSINE:
        raise ValueError(f"cosine {cosine:.4f} with the graph on the CPU, below {LEAST_COSINE}; {rate:.4g} windows/s")
    return {
        "windows_per_s": rate,
        "times_real_time": rate * graph.pack.audio.window_s,
        "batch": batch,
        "least_cosine": cosine,
    }
