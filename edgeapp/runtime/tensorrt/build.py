"""From an ONNX graph to a plan of TensorRT, and back from a plan to a TensorRT engine.

TensorRT (``tensorrt``; JetPack brings 10.3) builds for the GPU it runs on. TensorRT-RTX (``tensorrt_rtx``) has the same
interface, builds for compute capabilities it is told without a GPU, and compiles the kernels on the device.

Up to TensorRT 10 a float32 graph can be lowered to float16 by the builder. TensorRT 11 and TensorRT-RTX take the
precision from the graph alone.

Parsing and building ahead of time are tested with TensorRT-RTX 1.7. Nothing here has run on a GPU, and ``tensorrt``
itself has not been at hand: the calls to it follow its reference.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edgeapp.errors import DeviceError, EngineError, UsageError
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.settings import Tell

PRECISIONS = ("graph", "fp16")

# The bindings of TensorRT-RTX can be installed without the package that gives them their plain name.
MODULES = (("tensorrt", "tensorrt"), ("tensorrt_rtx", "tensorrt_rtx"), ("tensorrt_rtx", "tensorrt_rtx_bindings"))

OPTIMAL_BATCH = 4  # windows the pipeline encodes at once
PROGRESS_S = 10.0  # a build takes minutes on a Jetson: one of 9.5 was silent (roboflow/inference pull request 2703)
POLL_S = 0.1


@dataclass(frozen=True)
class Library:
    """An installed TensorRT: ``tensorrt`` or ``tensorrt_rtx``."""

    name: str
    module: ModuleType

    @property
    def version(self) -> str:
        """Its version; an engine runs on no other."""
        return str(self.module.__version__)


def tensorrt_library(ahead: bool = False) -> Library:
    """The TensorRT that is installed.

    Parameters
    ----------
    ahead : bool
        One that builds for GPUs that are not here.

    Raises
    ------
    EngineError
        None is installed, or it does not load.
    """
    failed = ""
    for name, module in MODULES:
        if ahead and name != "tensorrt_rtx":
            continue
        try:
            return Library(name, importlib.import_module(module))
        except (ImportError, OSError, RuntimeError) as error:
            if isinstance(error, ModuleNotFoundError) and error.name == module:
                continue
            # Its own libraries are missing or of another version.
            failed = failed or f"{module} is installed and does not load ({error})"
    if failed:
        raise EngineError(failed, "install TensorRT for this machine's CUDA again")
    if ahead:
        raise EngineError("TensorRT-RTX is not installed", "pip install tensorrt_rtx_cu13")
    raise EngineError("TensorRT is not installed", "JetPack brings it; elsewhere pip install 'biovita-edge[tensorrt]'")


def build_plan(
    library: Library, graph: PackGraph, precision: str, memory_bytes: int, targets: Sequence[str], tell: Tell
) -> memoryview:
    """Parse a graph and build it.

    Parameters
    ----------
    library : Library
    graph : PackGraph
    precision : str
        ``graph``: as the graph has it; ``fp16``: lowered by the builder, where it can.
    memory_bytes : int
        Most memory a layer may use while it works.
    targets : sequence of str
        Compute capabilities to build for, such as ``8.6``; the GPU of this machine when empty.
    tell : callable
        Told every few seconds how far it is.

    Returns
    -------
    memoryview
        The plan.

    Raises
    ------
    UsageError
        A precision or target that this TensorRT does not know.
    DeviceError
        There is no GPU to build for.
    EngineError
        The graph cannot be read, has an operator that TensorRT does not know, or cannot be built.
    """
    trt: Any = library.module
    log = engine_log(trt)
    builder = _builder(trt, log)
    network = builder.create_network(_network_flags(trt, library, precision))
    parser = trt.OnnxParser(network, log)
    # From the path, not from bytes: a large graph has its weights in a file beside it.
    if not parser.parse_from_file(str(graph.path)):
        raise EngineError(f"{graph.path}: TensorRT cannot read it ({_parse_errors(parser, log)})", "reinstall the pack")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, memory_bytes)
    if precision == "fp16":
        config.set_flag(trt.BuilderFlag.FP16)
    config.clear_flag(trt.BuilderFlag.TF32)  # 10 bits of mantissa, on by default: a graph in float32 means float32
    profile = builder.create_optimization_profile()
    smallest, usual, largest = ((n, *graph.shape) for n in (1, min(OPTIMAL_BATCH, graph.batch), graph.batch))
    profile.set_shape(graph.input, smallest, usual, largest)
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f"{graph.path}: TensorRT refuses inputs {graph.shape} ({log.last})", "reinstall the pack")
    _aim(trt, config, targets)
    return _built(trt, builder, network, config, graph, log, tell)


def load_plan(library: Library, plan: bytes | memoryview, name: str) -> tuple[Any, Any]:
    """Make an engine of a plan; the runtime must be kept as long.

    Raises
    ------
    EngineError
        This TensorRT, on this GPU, does not take it.
    """
    trt: Any = library.module
    log = engine_log(trt)
    runtime = trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(
            f"{name}: {library.name} {library.version} rejects this engine ({log.last})",
            "build it again here: biovita-edge pack build-engine --force",
        )
    return runtime, engine


def engine_log(trt: Any) -> Any:
    """A logger that only keeps the last error, for the error message."""

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = "no reason given"

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last = " ".join(message.split())

    return Log()


def _builder(trt: Any, log: Any) -> Any:
    try:
        return trt.Builder(log)
    except TypeError:  # what the bindings make of a builder that is none
        raise DeviceError(
            f"TensorRT cannot start here ({log.last})",
            "it needs an NVIDIA GPU and driver; for GPUs elsewhere build with --target and TensorRT-RTX",
        ) from None


def _network_flags(trt: Any, library: Library, precision: str) -> int:
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}", f"give --precision {' or '.join(PRECISIONS)}")
    if precision == "graph":
        return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    if not hasattr(trt.BuilderFlag, "FP16"):
        raise UsageError(
            f"{library.name} {library.version} takes the precision from the graph",
            "give --precision graph, with a pack whose graphs are in float16",
        )
    return 0


def _aim(trt: Any, config: Any, targets: Sequence[str]) -> None:
    if not targets:
        return
    if not hasattr(config, "set_compute_capability"):
        raise UsageError("this TensorRT builds only for the GPU it runs on", "omit --target, or use TensorRT-RTX")
    known = {_capability(name): name for name in trt.ComputeCapability.__members__ if name.startswith("SM")}
    config.num_compute_capabilities = len(targets)
    for i, target in enumerate(targets):
        if target not in known:
            raise UsageError(f"TensorRT-RTX builds for no GPU of {target!r}", f"give --target {' or '.join(known)}")
        config.set_compute_capability(getattr(trt.ComputeCapability, known[target]), i)


def _capability(name: str) -> str:
    """``SM86`` -> ``8.6``, ``SM120`` -> ``12.0``."""
    return f"{name[2:-1]}.{name[-1]}"


def _parse_errors(parser: Any, log: Any) -> str:
    """Errors of the parser, each operator once."""
    found = []
    for i in range(parser.num_errors):
        error = parser.get_error(i)
        operator = getattr(error, "node_operator", lambda: "")()
        found.append(f"operator {operator}: {error.desc()}" if operator else error.desc())
    return " ".join("; ".join(dict.fromkeys(found)).split()) or log.last


def _built(trt: Any, builder: Any, network: Any, config: Any, graph: PackGraph, log: Any, tell: Tell) -> memoryview:
    """Build in a second thread, so that this one can tell how far it is and Ctrl-C ends it."""
    progress = _progress(trt)
    config.progress_monitor = progress
    plans: list[Any] = []

    def build() -> None:
        try:
            plans.append(builder.build_serialized_network(network, config))
        except Exception as error:
            log.last = f"{type(error).__name__}: {error}"

    thread = threading.Thread(target=build, name="build-engine", daemon=True)
    started = told = time.monotonic()
    tell(f"building an engine of {graph.path.name}; this can take minutes")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(POLL_S)
            if time.monotonic() - told >= PROGRESS_S:
                told = time.monotonic()
                tell(f"still building {graph.path.name}: {progress.doing}, {told - started:.0f} s")
    except BaseException:
        progress.go_on = False
        thread.join()
        raise
    plan = plans[0] if plans else None
    if plan is None:
        raise EngineError(
            f"{graph.path}: TensorRT cannot build it ({log.last})",
            "free memory (end other programs that use the GPU), or run with --provider cuda or cpu",
        )
    tell(f"built {graph.path.name} in {time.monotonic() - started:.0f} s")
    return memoryview(plan)


def _progress(trt: Any) -> Any:
    """What the builder is doing, and a way to end it: it stops when a step answers False."""

    class Progress(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.doing = "starting"
            self.go_on = True
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            self.doing = phase_name

        def step_complete(self, phase_name: str, step: int) -> bool:
            self.doing = f"{phase_name} {step + 1} of {self._steps.get(phase_name, step + 1)}"
            return self.go_on

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Progress()
