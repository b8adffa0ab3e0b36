"""Which provider of ONNX Runtime runs a graph: the one that was named, or the first that works.

ONNX Runtime goes on without a provider that does not load, and tells so on standard output, where results are, or not
at all. Here that is one line on standard error when it chose for itself, and an error when the provider was named.

CUDA was tried with onnxruntime-gpu 1.31 on an H100, TensorRT with a twin of the session alone.
"""

from __future__ import annotations

import ctypes
import io
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from edgeapp.errors import DeviceError, EngineError, OutputError, PackError
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.ort import first_line, load, really_ran
from edgeapp.runtime.settings import (
    CPU,
    CUDA,
    ORT_PROVIDERS,
    PROVIDER_VARIABLE,
    TENSORRT,
    RunSettings,
    driver_is_there,
    warn,
)

# TF32 has 10 bits of mantissa and is on by default since Ampere: the front end, a convolution, loses quiet bands to it,
# and vectors of songs had a cosine of 0.990 with the CPU's.
TF32_VARIABLE = "NVIDIA_TF32_OVERRIDE"
SHARED = "libonnxruntime_providers_shared.so"
LIBRARIES = {CUDA: "libonnxruntime_providers_cuda.so", TENSORRT: "libonnxruntime_providers_tensorrt.so"}


def open_session(graph: PackGraph, settings: RunSettings) -> tuple[Any, str]:
    """Load a graph.

    Parameters
    ----------
    graph : PackGraph
    settings : RunSettings

    Returns
    -------
    session : onnxruntime.InferenceSession
    provider : str
        The active provider.

    Raises
    ------
    PackError
        ONNX Runtime is not installed, or cannot load the graph.
    DeviceError
        The provider was asked for by name and does not run the graph.
    EngineError, OutputError
        TensorRT was asked for by name and runs the graph wrongly, or has no place for its engine.
    """
    try:
        import onnxruntime
    except ImportError:
        raise PackError("ONNX Runtime is not installed", "pip install 'biovita-edge[cpu]'") from None
    wanted, named = ORT_PROVIDERS[settings.provider], settings.provider != "auto"
    offered = onnxruntime.get_available_providers()
    if named and wanted[0] not in offered:
        raise DeviceError(
            f"the installed ONNX Runtime {onnxruntime.__version__} has no {wanted[0]}",
            "pip install 'biovita-edge[gpu]' instead of [cpu], or choose another provider",
        )
    wanted = tuple(name for name in wanted if name in offered)
    order, reasons = _loadable(wanted)
    while True:
        try:
            options = [(name, _options(name, graph, settings)) for name in order]
            session = load(graph, settings.threads, options)
            ran = really_ran(session)
            if ran != order[0]:
                reasons.setdefault(order[0], _why_not(order[0], session))
            if ran != TENSORRT:
                break
            from edgeapp.runtime.tensorrt.provider import check

            check(graph, session, settings.threads, warn)
            break
        except (EngineError, OutputError) as error:
            if named:
                raise
            warn(f"{error.what}; continuing without TensorRT")
        except PackError:
            if order[0] == CPU:
                raise
            reasons.setdefault(order[0], "it cannot load it")
        order = order[1:]
    if named and ran != wanted[0]:
        raise DeviceError(_told(wanted[0], reasons), "install what is missing, or choose another provider")
    if ran == CPU and wanted[0] != CPU:
        hoped = CUDA if CUDA in wanted else wanted[0]  # TensorRT is an extra that few have; CUDA is what was expected
        warn(f"{_told(hoped, reasons)}; continuing with {CPU}; set {PROVIDER_VARIABLE} to cpu if intended")
    return session, ran


def processor_alone(settings: RunSettings) -> bool:
    """Whether nothing but the processor comes into question, so that an accelerator's graph need not be tried."""
    try:
        from onnxruntime import get_available_providers
    except ImportError:
        return False
    wanted = ORT_PROVIDERS.get(settings.provider, ())
    return CPU in wanted and not (set(wanted) - {CPU}) & set(get_available_providers()) and not driver_is_there()


def _options(name: str, graph: PackGraph, settings: RunSettings) -> dict[str, str]:
    """What one provider is told."""
    if name == CUDA:
        # Growing by what is asked for, not by powers of two, keeps the cap from being reached by rounding.
        memory = str(settings.gpu_memory_bytes(graph.path))
        return {"gpu_mem_limit": memory, "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
    if name == TENSORRT:
        from edgeapp.runtime.tensorrt.provider import options

        return options(graph, settings.gpu_memory_bytes(graph.path), warn)
    return {}


def _loadable(wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The providers that can come up, as far as is known without a session, and why the others cannot."""
    if wanted[0] == CPU:
        return list(wanted), {}
    from edgeapp.runtime.tensorrt.cuda import Gpu

    try:
        Gpu()
    except (DeviceError, EngineError) as error:
        return [CPU], dict.fromkeys(wanted, error.what)
    import onnxruntime

    os.environ.setdefault(TF32_VARIABLE, "0")  # the only switch for ONNX Runtime's TensorRT; read once by its libraries
    with redirect_stdout(io.StringIO()):
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # CUDA and cuDNN that were installed as Python packages
    folder = Path(onnxruntime.__file__).parent / "capi"
    reasons = {}
    for name in wanted:
        library = folder / LIBRARIES.get(name, "")
        if library.is_file():  # elsewhere only ONNX Runtime can tell
            try:
                ctypes.CDLL(str(folder / SHARED), mode=ctypes.RTLD_GLOBAL)
                ctypes.CDLL(str(library), mode=os.RTLD_LAZY)
            except OSError as error:
                reasons[name] = first_line(error)
    return [name for name in wanted if name not in reasons], reasons


def _why_not(provider: str, session: Any) -> str:
    if provider in session.get_providers():
        return "it can run none of its operators"
    return "its libraries load, but there is no GPU, or another version of CUDA, cuDNN or TensorRT"


def _told(provider: str, reasons: dict[str, str]) -> str:
    return f"{provider} does not run this graph ({reasons.get(provider, 'no reason given')})"
