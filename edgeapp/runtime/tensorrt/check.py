"""Parity of TensorRT: compared with ONNX Runtime on the CPU before an engine is first used.

TensorRT 10.3, JetPack 6's, can be finite and wrong on a transformer in float16 (NVIDIA/TensorRT issues 4373, with a
cosine of 0.6463, and 4723), so each engine is measured where it runs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgeapp.errors import EngineError
from edgeapp.paths import EXAMPLE
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.inputs import open_tokenizer
from edgeapp.runtime.ort import load as load_graph
from edgeapp.runtime.settings import CPU

LEAST_COSINE = 0.999  # float16 without a fault is above 0.9999; a similarity moves by less than 0.05 at this bound
PHRASES = (
    "Great Tit",
    "Cuculus canorus",
    "Amphibia Anura Bufonidae Bufo Bufo bufo",
    "Parus major with common name Great Tit",
    "Japanese Tit, Parus minor",
)


def probes(graph: PackGraph) -> np.ndarray:
    """Inputs that differ in level and spectrum, the bundled recording among them: ``[n, *shape]``."""
    return {"audio": _sounds, "text": _texts, "image": _pictures}[graph.modality](graph)


def least_cosine(graph: PackGraph, run: Callable[[np.ndarray], np.ndarray], threads: int) -> float:
    """The minimum cosine between what ``run`` gives and what the graph gives on the CPU; NaN for what is not finite."""
    values = probes(graph)
    reference = load_graph(graph, threads).run([graph.output], {graph.input: values})[0]
    wanted = graph.checked(reference, len(values), CPU)
    given = np.asarray(run(values), np.float32)
    if given.shape != wanted.shape or not np.isfinite(given).all():
        return float("nan")
    lengths = np.linalg.norm(given, axis=1) * np.linalg.norm(wanted, axis=1)
    return float(((given * wanted).sum(axis=1) / np.maximum(lengths, 1e-12)).min())


def refuse_wrong(graph: PackGraph, cosine: float) -> None:
    """End when a `least_cosine` is below `LEAST_COSINE`.

    Raises
    ------
    EngineError
        With the figure.
    """
    if cosine >= LEAST_COSINE:
        return
    found = f"cosine {cosine:.4f} with the CPU, below {LEAST_COSINE}" if np.isfinite(cosine) else "it is not finite"
    raise EngineError(f"{graph.path.name}: wrong result with TensorRT ({found})", "run with --provider cuda or cpu")


def _sounds(graph: PackGraph) -> np.ndarray:
    from edgeapp.audio.file import load

    audio, random = graph.pack.audio, np.random.default_rng(0)
    t = np.arange(audio.window_samples) / audio.rate_hz
    sweep = np.sin(2 * np.pi * (300 * t + (audio.rate_hz / 2 - 1000) / (2 * audio.window_s) * t**2))
    calls = np.sin(2 * np.pi * audio.rate_hz / 7 * t) * (np.sin(2 * np.pi * 3 * t) > 0.5)
    noise = random.normal(0, 1, len(t))
    song = np.resize(load(EXAMPLE, audio.rate_hz), len(t))
    sounds = [song, 0.3 * sweep, 0.1 * calls + 0.01 * noise, 0.1 * noise, 0.001 * noise, 0.9 * sweep * calls]
    return np.stack(sounds).astype(np.float32)


def _texts(graph: PackGraph) -> np.ndarray:
    return np.array([one.ids for one in open_tokenizer(graph.pack).encode_batch(list(PHRASES))], np.int64)


def _pictures(graph: PackGraph) -> np.ndarray:
    random, side = np.random.default_rng(0), np.linspace(0, 255, graph.shape[1])
    across, down = np.meshgrid(side, side)
    smooth = np.stack([across, down, across * down / 255])
    noises = [random.uniform(0, high, graph.shape) for high in (60, 255)]
    return np.stack([smooth, smooth[::-1], 255 - smooth, *noises]).astype(np.float32)
