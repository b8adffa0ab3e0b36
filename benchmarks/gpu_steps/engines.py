"""TensorRT or TensorRT-RTX engines of all audio encoders: build, comparison with the CPU, and speed.

Without a GPU they are built ahead of time for a given compute capability, and not run.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import Report
from benchmarks.gpu_steps.runs import figures_of, load, packs
from edgeapp.errors import EngineError
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.settings import RunSettings
from edgeapp.runtime.tensorrt.build import tensorrt_library
from edgeapp.runtime.tensorrt.cache import build_engine, open_engine
from edgeapp.runtime.tensorrt.cuda import Gpu

TARGET = "8.9"  # compute capability to build for if there is no GPU
LARGE = 64  # windows per run; small batches do not saturate a GPU


def run(settings: Settings, report: Report) -> None:
    """Build and run every audio encoder with the batch size of the device; those in fp16 with a large one as well."""
    for called, folder in packs(settings):
        if settings.device == "cpu":
            with report.measuring(f"{called}, for compute capability {TARGET}") as figures:
                graph = PackGraph.of(load(folder), "audio")
                built = build_engine(graph, settings=RunSettings.of("cpu"), targets=(TARGET,), force=True)
                size = built.path.stat().st_size / 1e6
                figures |= {"seen": "built, not run", "megabytes": size, "built_s": built.built_s}
                figures["runs_on"] = f"{built.key.library} {built.key.version}"
            continue
        for batch in (None, LARGE) if called.endswith("fp16") else (None,):
            with report.measuring(f"{called}, batch {batch}" if batch else called) as figures:
                graph = PackGraph.of(load(folder), "audio")
                graph = replace(graph, batch=batch) if batch else graph
                try:
                    runner = open_engine(graph, "graph", RunSettings.of("cpu"))
                except EngineError as error:
                    raise EngineError(f"{error.what}{built_for()}", error.remedy) from error
                figures |= {"runs_on": runner.provider, "built_s": runner.built_s}
                figures |= figures_of(settings, graph, runner.run, graph.batch)
                runner.close()


def built_for() -> str:
    """That TensorRT-RTX is not for the card that is here, in words, where it is not: it is for RTX cards alone."""
    library, here = tensorrt_library(), Gpu().identity.compute
    members = getattr(getattr(library.module, "ComputeCapability", None), "__members__", {})
    known = [f"{name[2:-1]}.{name[-1]}" for name in members if name.startswith("SM")]
    if not known or here in known:
        return ""
    cards = f"{library.name} {library.version} is for compute capabilities {', '.join(known)}"
    return f"; {cards}, and this card has {here}: give wheels of tensorrt"
