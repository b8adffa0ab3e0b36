"""ONNX Runtime sessions: who may run a graph, what of the machine it may take, and who really ran it.

ONNX Runtime goes on without a provider that does not load, and tells so on standard output, where results are, or not
at all. Here that is one line on standard error when it chose for itself, and an error when the provider was named.

Tested with onnxruntime-gpu on machines without a GPU, and with a twin of its session; no GPU was at hand.
"""

from __future__ import annotations

import ctypes
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.errors import DeviceError, EngineError, OutputError, PackError, UsageError
from edgeapp.graph import PackGraph
from edgeapp.machine import available_cores

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
ENGINE_PRECISIONS = {"engine": "graph", "engine-fp16": "fp16"}  # engines of our own, see `edgeapp.engines`
PROVIDERS = (*ORT_PROVIDERS, *ENGINE_PRECISIONS)

PROVIDER_VARIABLE = "BIOVITA_PROVIDER"
THREADS_VARIABLE = "BIOVITA_THREADS"
MEMORY_VARIABLE = "BIOVITA_GPU_MEMORY_MB"

# On a Jetson the GPU's memory is the processor's: a 27 MB graph took 1750 MB uncapped (onnxruntime issue 14038).
GPU_MEMORY_MB = 1024
GRAPH_COPIES = 2  # and this many times the graph: the weights, and a copy while they are laid out

QUIET = 4  # only what is fatal
SHARED = "libonnxruntime_providers_shared.so"
LIBRARIES = {CUDA: "libonnxruntime_providers_cuda.so", TENSORRT: "libonnxruntime_providers_tensorrt.so"}

Tell = Callable[[str], None]


@lru_cache(maxsize=64)
def warn(line: str) -> None:
    """One line on standard error, once a process: three encoders fall back for one reason."""
    print(f"biovita-edge: {line}", file=sys.stderr, flush=True)


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
            A value that cannot be carried out.
        """
        name = provider or os.environ.get(PROVIDER_VARIABLE) or "auto"
        if name not in PROVIDERS:
            raise UsageError(f"there is no provider {name!r}", f"use one of {', '.join(PROVIDERS)}")
        if threads is not None and threads < 1:
            raise UsageError(f"{threads} threads cannot work", "give --threads 1 or more")
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


def runtime() -> str:
    """The installed ONNX Runtime and its version."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def open_session(graph: PackGraph, settings: RunSettings, tell: Tell = warn) -> tuple[Any, str]:
    """Load a graph.

    Parameters
    ----------
    graph : PackGraph
    settings : RunSettings
    tell : callable
        Told in one line when the graph runs on less than was hoped for, and before what takes minutes.

    Returns
    -------
    session : onnxruntime.InferenceSession
    provider : str
        The one that really runs it.

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
            session = _session(graph, settings, order, tell)
            ran = really_ran(session)
            if ran != order[0]:
                reasons.setdefault(order[0], _why_not(order[0], session))
            if ran != TENSORRT:
                break
            from edgeapp.engines.provider import check

            check(graph, session, settings.threads, tell)
            break
        except (EngineError, OutputError) as error:
            if named:
                raise
            tell(f"{error.what}; going on without TensorRT")
        except PackError:
            if order[0] == CPU:
                raise
            reasons.setdefault(order[0], "it cannot load it")
        order = order[1:]
    if named and ran != wanted[0]:
        raise DeviceError(_told(wanted[0], reasons), "install what is missing, or choose another provider")
    if ran == CPU and wanted[0] != CPU:
        hoped = CUDA if CUDA in wanted else wanted[0]  # TensorRT is an extra that few have; CUDA is what was expected
        tell(f"{_told(hoped, reasons)}; going on with {CPU}; set {PROVIDER_VARIABLE} to cpu if that is meant")
    return session, ran


def processor_alone(settings: RunSettings) -> bool:
    """Whether nothing but the processor comes into question, so that an accelerator's graph need not be tried."""
    try:
        from onnxruntime import get_available_providers
    except ImportError:
        return False
    wanted = ORT_PROVIDERS.get(settings.provider, ())
    return CPU in wanted and not (set(wanted) - {CPU}) & set(get_available_providers()) and not driver_is_there()


def run(session: Any, graph: PackGraph, provider: str, given: dict[str, np.ndarray]) -> np.ndarray:
    """What a graph gives for its inputs.

    Raises
    ------
    EngineError
        The provider cannot run it.
    """
    try:
        return np.asarray(session.run([graph.output], given)[0])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise EngineError(
            f"{graph.path}: {provider} cannot run it on {len(next(iter(given.values())))} inputs ({first_line(error)})",
            "get the pack again"
            if provider == CPU
            else f"give it more memory ({MEMORY_VARIABLE}), or run with --provider cpu",
        ) from None


def really_ran(session: Any) -> str:
    """The provider that has work: the first of the session that was given a node, where ONNX Runtime can tell."""
    providers: list[str] = session.get_providers()
    if providers[0] == CPU or not hasattr(session, "get_provider_graph_assignment_info"):
        return providers[0]
    given = {part.ep_name for part in session.get_provider_graph_assignment_info()}
    return next((name for name in providers if name in given), providers[0])


def first_line(error: BaseException) -> str:
    """The first line of an error, or its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _session(graph: PackGraph, settings: RunSettings, order: Sequence[str], tell: Tell) -> Any:
    """A session with these providers, checked for the names of its ends."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    # A waiting thread that spins takes the core from the thread that decodes, and from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if order[0] != CPU:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        onnxruntime.set_default_logger_severity(QUIET)  # tells a failed library in several lines; below it is one
    providers = [(name, _options(name, graph, settings, tell)) for name in order]
    try:
        with redirect_stdout(io.StringIO()):  # before 1.2x it cannot be kept from falling back there
            session = onnxruntime.InferenceSession(str(graph.path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise PackError(f"{graph.path}: cannot be loaded ({first_line(error)})", "get the pack again") from None
    session.disable_fallback()  # it would change to the CPU in the middle of a run
    names = [one.name for one in session.get_inputs()], [one.name for one in session.get_outputs()]
    if graph.input not in names[0] or graph.output not in names[1]:
        raise PackError(
            f"{graph.path}: has {names[0]} -> {names[1]}, not {graph.input} -> {graph.output}", "get the pack again"
        )
    return session


def _options(name: str, graph: PackGraph, settings: RunSettings, tell: Tell) -> dict[str, str]:
    """What one provider is told."""
    if name == CUDA:
        # Growing by what is asked for, not by powers of two, keeps the cap from being reached by rounding.
        memory = str(settings.gpu_memory_bytes(graph.path))
        return {"gpu_mem_limit": memory, "arena_extend_strategy": "kSameAsRequested"}
    if name == TENSORRT:
        from edgeapp.engines.provider import options

        return options(graph, settings.gpu_memory_bytes(graph.path), tell)
    return {}


def _loadable(wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The providers that can come up, as far as is known without a session, and why the others cannot."""
    if wanted[0] == CPU:
        return list(wanted), {}
    from edgeapp.engines.cuda import Gpu

    try:
        Gpu()
    except (DeviceError, EngineError) as error:
        return [CPU], dict.fromkeys(wanted, error.what)
    import onnxruntime

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
    return "its libraries load, but it finds no GPU or another version of CUDA, cuDNN or TensorRT"


def _told(provider: str, reasons: dict[str, str]) -> str:
    return f"{provider} does not run this graph ({reasons.get(provider, 'no reason given')})"


def _whole(variable: str) -> int | None:
    text = os.environ.get(variable)
    if not text:
        return None
    if not (text.isdecimal() and int(text) > 0):
        raise UsageError(f"{variable} is {text!r}", f"set {variable} to a whole number above 0, or unset it")
    return int(text)
