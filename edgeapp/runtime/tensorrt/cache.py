"""Engines of TensorRT for a pack's graphs: found, or built, checked, and kept for the next time.

An engine is looked for in the user's cache and in the pack's own ``engines`` folder; one that fits the graph, the
precision, TensorRT, the GPU and its driver is used. What was never compared with the graph on the CPU on this GPU is
compared first, and kept with the figure in the user's cache: a pack is not changed. The files are described in
`edgeapp.runtime.tensorrt.file`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edgeapp.errors import DeviceError, EngineError, OutputError, PackError
from edgeapp.runtime.graph import PackGraph
from edgeapp.runtime.settings import ENGINE_PRECISIONS, RunSettings, Tell, warn
from edgeapp.runtime.tensorrt.build import Library, build_plan, tensorrt_library
from edgeapp.runtime.tensorrt.check import least_cosine, refuse_wrong
from edgeapp.runtime.tensorrt.cuda import Gpu
from edgeapp.runtime.tensorrt.file import (
    HERE,
    PACK_ENGINES,
    SUFFIX,
    EngineFile,
    EngineKey,
    cache_folder,
    file_stem,
    place_for,
    read_engine,
)
from edgeapp.runtime.tensorrt.run import EngineRunner
from edgeapp.terminal import complain


def open_engine(
    graph: PackGraph, precision: str, settings: RunSettings, tell: Tell = warn, gpu: Gpu | None = None
) -> EngineRunner:
    """An engine ready to run: an older one that fits, or a new one.

    Parameters
    ----------
    graph : PackGraph
    precision : str
        ``graph`` or ``fp16``, see `edgeapp.runtime.tensorrt.build.build_plan`.
    settings : RunSettings
    tell : callable
        Told in one line what takes long, and why an engine is not used.
    gpu : Gpu or None
        The first of this machine when None.

    Raises
    ------
    EngineError
        TensorRT is not installed, or the engine cannot be built, or is wrong.
    DeviceError
        There is no GPU.
    """
    library, gpu = tensorrt_library(), gpu or Gpu()
    runner = _found(graph, precision, library, gpu, settings, tell)
    return runner or _build_here(graph, precision, library, gpu, cache_folder(), settings, tell)[0]


def kept_engine(graph: PackGraph, settings: RunSettings) -> EngineRunner | None:
    """An engine that was built of this very graph before, if there is one and it works here; none is built.

    What ``auto`` tries first. It costs a look into two folders where no engine was ever built.
    """
    if not any(_candidates(graph, "graph")):
        return None
    try:
        return _found(graph, "graph", tensorrt_library(), Gpu(), settings, warn)
    except (DeviceError, EngineError) as error:
        warn(f"{error.what}; continuing without the engine")
        return None


def build_engine(
    graph: PackGraph,
    precision: str = "graph",
    *,
    settings: RunSettings,
    targets: Sequence[str] = (),
    folder: Path | None = None,
    force: bool = False,
    tell: Tell = complain,
) -> EngineFile:
    """Build one engine, or find that it is there.

    Parameters
    ----------
    targets : sequence of str
        Compute capabilities, such as ``8.6``, to build for without their GPU; this machine's GPU when empty. Such an
        engine is checked on its first use.
    folder : Path or None
        The user's cache when None.
    force : bool
        Build also when it is there.

    Raises
    ------
    DeviceError, EngineError, OutputError, UsageError
        See `edgeapp.runtime.tensorrt.build`, `edgeapp.runtime.tensorrt.check` and
        `edgeapp.runtime.tensorrt.file`. No file is left then.
    """
    folder = folder or cache_folder()
    library = tensorrt_library(ahead=bool(targets))
    gpu = None if targets else Gpu()
    key = key_of(graph, precision, library, gpu, targets)
    at = folder / key.file_name
    if at.is_file() and not force:
        found = read_engine(at)
        found.plan()  # a damaged one is named, not reported as there
        tell(f"{at.name} exists already")
        return found
    if gpu is not None:
        return _build_here(graph, precision, library, gpu, folder, settings, tell)[1]
    with place_for(folder, key) as place:
        plan, built_s = _timed(library, graph, precision, settings, targets, tell)
        written = place.write(plan, {}, built_s)
    tell(f"{at.name} is not checked yet: that is done on its first use, on a GPU of {' or '.join(targets)}")
    return written


def engines_of(graph: PackGraph, tell: Tell = warn) -> Iterator[EngineFile]:
    """Engines that were built of a graph and lie in the user's cache or the pack, for this device or another."""
    for precision in ENGINE_PRECISIONS.values():
        for path in _candidates(graph, precision):
            try:
                yield read_engine(path)
            except EngineError as error:
                tell(error.what)


def key_of(
    graph: PackGraph, precision: str, library: Library, gpu: Gpu | None, targets: Sequence[str] = ()
) -> EngineKey:
    """The key of an engine for a GPU, or for any of some compute capabilities."""
    return EngineKey(
        model_sha256=graph.sha256,
        modality=graph.modality,
        precision=precision,
        batch=graph.batch,
        library=library.name,
        version=library.version,
        platform=HERE,
        gpu=gpu.identity.name if gpu is not None else "",
        driver=gpu.identity.driver if gpu is not None else "",
        compute=(gpu.identity.compute,) if gpu is not None else tuple(targets),
    )


def _candidates(graph: PackGraph, precision: str) -> Iterator[Path]:
    """Files that may hold an engine of this graph."""
    for folder in (cache_folder(), graph.pack.folder / PACK_ENGINES):
        yield from sorted(folder.glob(f"{file_stem(graph.modality, precision, graph.sha256)}-*{SUFFIX}"))


def _found(
    graph: PackGraph, precision: str, library: Library, gpu: Gpu, settings: RunSettings, tell: Tell
) -> EngineRunner | None:
    key = key_of(graph, precision, library, gpu)
    for path in _candidates(graph, precision):
        try:
            found = read_engine(path)
            if unfit := found.key.unfit(key):
                if path.parent != cache_folder():  # older ones in the user's cache are no news
                    tell(f"{path}: is not for this device ({unfit}); not used")
                continue
            runner = EngineRunner(library, found.plan(), graph, gpu, found.built_s)
            if gpu.identity.text not in found.checked:
                cosine = _check(graph, runner, settings, tell)
                _keep(found, {**found.checked, gpu.identity.text: cosine}, tell)
            return runner
        except EngineError as error:
            tell(f"{error.what}; not used")
    return None


def _build_here(
    graph: PackGraph,
    precision: str,
    library: Library,
    gpu: Gpu,
    folder: Path,
    settings: RunSettings,
    tell: Tell,
) -> tuple[EngineRunner, EngineFile]:
    with place_for(folder, key_of(graph, precision, library, gpu)) as place:
        plan, built_s = _timed(library, graph, precision, settings, (), tell)
        runner = EngineRunner(library, plan, graph, gpu, built_s)
        cosine = _check(graph, runner, settings, tell)
        return runner, place.write(plan, {gpu.identity.text: cosine}, built_s)


def _timed(
    library: Library, graph: PackGraph, precision: str, settings: RunSettings, targets: Sequence[str], tell: Tell
) -> tuple[memoryview, float]:
    """A new plan, and the seconds it took."""
    began = time.monotonic()
    plan = build_plan(library, graph, precision, settings.gpu_memory_bytes(graph.path), targets, tell)
    return plan, time.monotonic() - began


def _check(graph: PackGraph, runner: EngineRunner, settings: RunSettings, tell: Tell) -> float:
    try:
        cosine = least_cosine(graph, runner.run, settings.threads)
        refuse_wrong(graph, cosine)
    except PackError:
        runner.close()
        raise
    tell(f"checked the {graph.modality} engine: cosine at least {cosine:.6f} with the graph on the CPU")
    return cosine


def _keep(found: EngineFile, checked: Mapping[str, float], tell: Tell) -> None:
    """Write down that an engine was checked; where nothing can be written it is checked again the next time."""
    try:
        with place_for(cache_folder(), found.key) as place:
            place.write(found.plan(), checked, found.built_s)
    except OutputError as error:
        tell(f"{error.what}; it is checked again the next time")
