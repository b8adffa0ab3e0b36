"""ONNX Runtime with CUDA and TensorRT, or CPU: windows per second through the device's encoder, and parity."""

from __future__ import annotations

from ctypes.util import find_library
from importlib.util import find_spec

import onnxruntime

from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import Missing, Report
from benchmarks.gpu_steps.runs import figures_of, load, packs
from edgeapp.runtime.encoders import AudioEncoder
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.settings import ORT_PROVIDERS, TENSORRT

NAMES = {"cuda": ("cuda", "tensorrt"), "cpu": ("cpu",)}


def offered(name: str) -> None:
    """Check that the installed ONNX Runtime has a provider.

    Raises
    ------
    Missing
        It does not.
    """
    wanted = ORT_PROVIDERS[name][0]
    if wanted not in onnxruntime.get_available_providers():
        raise Missing(f"onnxruntime {onnxruntime.__version__} has no {wanted}; install onnxruntime-gpu")
    if wanted == TENSORRT and not (find_spec("tensorrt") or find_library("nvinfer")):
        raise Missing("TensorRT is not part of onnxruntime-gpu; install tensorrt")


def run(settings: Settings, report: Report) -> None:
    """Run every pack on every provider."""
    for name in NAMES[settings.device]:
        for called, folder in packs(settings):
            with report.measuring(f"{called} on {name}") as figures:
                offered(name)
                pack = load(folder)
                encoder, graph = AudioEncoder(pack, provider=name), PackGraph.of(pack, "audio")
                batch = 2 if settings.tiny else graph.batch
                figures |= {"runs_on": encoder.provider, **figures_of(settings, graph, encoder.encode, batch)}
