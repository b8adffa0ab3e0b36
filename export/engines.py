"""TensorRT engines in a pack."""

from __future__ import annotations

from collections.abc import Sequence

from edgeapp.pack.format import Pack
from edgeapp.runtime.graph import MODALITIES, PackGraph
from edgeapp.runtime.settings import RunSettings
from edgeapp.runtime.tensorrt.build import tensorrt_library
from edgeapp.runtime.tensorrt.cache import build_engine
from edgeapp.runtime.tensorrt.cuda import Gpu
from edgeapp.runtime.tensorrt.file import PACK_ENGINES


def can_build(targets: Sequence[str]) -> None:
    """Check before an export that engines can be built.

    Parameters
    ----------
    targets : compute capabilities to build for without their GPU; empty for this machine's GPU

    Raises
    ------
    EngineError
        TensorRT is not installed.
    DeviceError
        There is no GPU, and no targets were given.
    """
    tensorrt_library(ahead=bool(targets))
    if not targets:
        Gpu()


def build_engines(pack: Pack, targets: Sequence[str]) -> None:
    """Build an engine of each graph into the pack; those for this machine's GPU are checked against the CPU.

    Raises
    ------
    EngineError
        An engine cannot be built, or its outputs are wrong. It is not written, and the pack works without it.
    """
    for modality in MODALITIES:
        if getattr(pack, modality) is not None:
            build_engine(
                PackGraph.of(pack, modality),
                settings=RunSettings.of("cpu"),
                targets=targets,
                folder=pack.folder / PACK_ENGINES,
                force=True,
            )
