"""The machine of a measurement: processor or board, system, and the versions that affect speed."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from edgeapp.paths import PROGRAM

# Distribution names of the builds of ONNX Runtime that bring the same module.
ONNX_RUNTIMES = ("onnxruntime-gpu", "onnxruntime")
VERSIONED = (PROGRAM, "numpy", "soxr", "soundfile")
JETPACK = Path("/etc/nv_tegra_release")


def machine() -> dict[str, str | int]:
    """Processor or board, cores, system, and versions; unknown facts are left out."""
    found: dict[str, str | int] = {
        "cpu": cpu_name(),
        "cores": available_cores(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime_version(),
    }
    if JETPACK.is_file():
        found["jetpack"] = JETPACK.read_text(encoding="utf-8", errors="replace").splitlines()[0].lstrip("# ")
    for name in VERSIONED:
        if version := installed(name):
            found[name] = version
    return found


def available_cores() -> int:
    """Cores this process may use, which in a container is fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """As the kernel calls it; on ARM boards, which have no such line, the board."""
    for path, key in (("/proc/cpuinfo", "model name"), ("/proc/device-tree/model", "")):
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith(key):
                return line.rpartition(":")[2].strip(" \0")
    return platform.processor() or platform.machine()


def onnxruntime_version() -> str:
    """Version and name of whichever build is installed."""
    for name in ONNX_RUNTIMES:
        if version := installed(name):
            return f"{version} ({name})"
    return "not installed"


def installed(name: str = PROGRAM) -> str | None:
    """Version of a distribution, None of one that is not installed."""
    from importlib import metadata  # late: naming a recording does without it

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
