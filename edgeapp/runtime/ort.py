"""ONNX Runtime: loading a graph on named providers, running it, and telling which provider has the work."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from edgeapp.errors import EngineError, PackError
from edgeapp.runtime.graph import PackGraph, model_path
from edgeapp.runtime.settings import CPU, MEMORY_VARIABLE

QUIET = 4  # only what is fatal


def runtime() -> str:
    """The installed ONNX Runtime and its version."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def load(graph: PackGraph, threads: int, providers: Sequence[tuple[str, dict[str, str]]] = ((CPU, {}),)) -> Any:
    """A session on these providers, first choice first, each with its options.

    Raises
    ------
    PackError
        ONNX Runtime is not installed, cannot load the graph, or finds other inputs and outputs in it.
    """
    try:
        import onnxruntime
    except ImportError:
        raise PackError("ONNX Runtime is not installed", "pip install 'biovita-edge[cpu]'") from None

    options = options_of(threads)
    if providers[0][0] == CPU:
        options.enable_mem_pattern = False  # a block for each thread, and no time saved
    else:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        onnxruntime.set_default_logger_severity(QUIET)  # tells a failed library in several lines; below it is one
    try:
        with redirect_stdout(io.StringIO()):  # before 1.2x it cannot be kept from falling back there
            session = onnxruntime.InferenceSession(
                model_path(graph.path), options, providers=list(providers), enable_fallback=0
            )
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise PackError(f"{graph.path}: cannot be loaded ({first_line(error)})", "reinstall the pack") from None
    session.disable_fallback()  # it would change to the CPU in the middle of a run
    names = [one.name for one in session.get_inputs()], [one.name for one in session.get_outputs()]
    if graph.input not in names[0] or graph.output not in names[1]:
        raise PackError(
            f"{graph.path}: has {names[0]} -> {names[1]}, not {graph.input} -> {graph.output}", "reinstall the pack"
        )
    return session


def options_of(threads: int) -> Any:
    """Options of a session with so many threads, of which none spins."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A waiting thread that spins takes the core from the thread that decodes, and from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


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
            "reinstall the pack"
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
