"""Built engines on disk: one file each, moved into place when complete, and keyed by what they were built for.

Layout: `MAGIC`, the length of the header as 8 bytes (little endian), the header as JSON, TensorRT's plan. The header
has the key, the sha256 of the plan, how long it took to build, and the GPUs it was checked on, each with the least
cosine; an engine that was built ahead of time is checked on its first use on each. One file, so that a plan and what is
known of it cannot come apart; it is written beside its place and moved, so that a full disk or a killed build leaves
the older engine or none.

An engine runs only on what it was built for: NVIDIA/TensorRT issues 564, 2176 and 2900.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edgeapp import paths
from edgeapp.errors import EngineError, OutputError
from gallery import files

MAGIC = b"BIOVITA-ENGINE-1\n"
SUFFIX = ".engine"
PACK_ENGINES = "engines"  # folder of a pack that brings its engines along
LENGTH_BYTES = 8
MAX_HEADER = 1 << 16
ABANDONED_S = 24 * 3600.0  # no build takes this long

HERE = f"{sys.platform} {platform.machine()}"


@dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on.

    Attributes
    ----------
    model_sha256 : str
        Of the ONNX graph.
    modality : str
        audio, text or image.
    precision : str
    batch : int
        Most inputs of one run.
    library, version : str
        ``tensorrt`` or ``tensorrt_rtx``, and its version.
    platform : str
        Operating system and processor.
    gpu, driver : str
        Empty for an engine that was built ahead of time, which is for any GPU of its compute capabilities.
    compute : tuple of str
        Compute capabilities, such as ``8.7``.
    """

    model_sha256: str
    modality: str
    precision: str
    batch: int
    library: str
    version: str
    platform: str
    gpu: str
    driver: str
    compute: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """Name of the file: another for every key."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{file_stem(self.modality, self.precision, self.model_sha256)}-{digest[:16]}{SUFFIX}"

    def unfit(self, device: EngineKey) -> str:
        """Why an engine of this key cannot serve where ``device`` is the key, in words; empty when it can."""
        reasons = []
        for name in ("model_sha256", "modality", "precision", "batch", "library", "version", "platform"):
            mine, here = getattr(self, name), getattr(device, name)
            if mine != here:
                reasons.append(f"{name} {_short(mine)}, here {_short(here)}")
        if self.gpu:
            for name in ("gpu", "driver"):
                if getattr(self, name) != getattr(device, name):
                    reasons.append(f"{name} {getattr(self, name)}, here {getattr(device, name)}")
        if not set(device.compute) & set(self.compute):
            reasons.append(f"compute capability {' and '.join(self.compute)}, here {' and '.join(device.compute)}")
        return "; ".join(reasons)


@dataclass(frozen=True)
class EngineFile:
    """A built engine.

    Attributes
    ----------
    path : Path
    key : EngineKey
    plan_sha256 : str
    checked : dict
        GPU and driver, as `GpuIdentity.text` tells them -> least cosine with the graph on the CPU.
    built_s : float
        Seconds that building it took, where it was built.
    """

    path: Path
    key: EngineKey
    plan_sha256: str
    checked: Mapping[str, float]
    built_s: float

    def plan(self) -> bytes:
        """TensorRT's plan.

        Raises
        ------
        EngineError
            It was changed since it was built.
        """
        with _opened(self.path) as file:
            _header(self.path, file)
            plan = file.read()
        if hashlib.sha256(plan).hexdigest() != self.plan_sha256:
            raise EngineError(f"{self.path}: was changed since it was built", "delete it, it is built again")
        return plan


def file_stem(modality: str, precision: str, model_sha256: str) -> str:
    """How the names of all engines of one graph begin, so that they are found without being opened."""
    return f"{modality}-{precision}-{model_sha256[:12]}"


def cache_folder() -> Path:
    """Where this user's engines lie unless told otherwise."""
    return paths.cache_folder() / PACK_ENGINES


def read_engine(path: Path) -> EngineFile:
    """Read the header of an engine.

    Raises
    ------
    EngineError
        It is not an engine of this program, or cut.
    """
    with _opened(path) as file:
        header = _header(path, file)
    try:
        key = {**header["key"], "compute": tuple(header["key"]["compute"])}
        checked = {str(gpu): float(cosine) for gpu, cosine in header["checked"].items()}
        return EngineFile(path, EngineKey(**key), str(header["plan_sha256"]), checked, float(header["built_s"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise EngineError(f"{path}: is an engine of another version of this program", "delete it") from None


@dataclass(frozen=True)
class EnginePlace:
    """Where a new engine goes; see `place_for`."""

    target: Path
    key: EngineKey
    beside: Path

    def write(self, plan: bytes | memoryview, checked: Mapping[str, float], built_s: float) -> EngineFile:
        """Write the engine, and what `EngineFile` tells of it, and move it into place.

        Raises
        ------
        OutputError
            The disk is full; an older engine in the place is untouched.
        """
        digest = hashlib.sha256(plan).hexdigest()
        told = {"key": asdict(self.key), "plan_sha256": digest, "checked": dict(checked), "built_s": built_s}
        header = json.dumps(told).encode()
        try:
            with open(self.beside, "wb") as file:
                for piece in (MAGIC, len(header).to_bytes(LENGTH_BYTES, "little"), header, plan):
                    file.write(piece)
            files.put_in_place(self.beside, self.target)
        except OSError as error:
            raise OutputError(
                f"{self.target}: the engine of {len(plan) / 1e6:.1f} MB cannot be written ({error.strerror or error})",
                "make room, or name another folder with --folder",
            ) from None
        return EngineFile(self.target, self.key, digest, checked, built_s)


@contextmanager
def place_for(folder: Path, key: EngineKey) -> Iterator[EnginePlace]:
    """A place for a new engine, tried before minutes are spent on building it; nothing else is left there.

    Raises
    ------
    OutputError
        The folder cannot be made or written.
    """
    target = folder / key.file_name
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files.remove_abandoned(folder, older_than_s=ABANDONED_S)  # of any engine
            beside = stack.enter_context(files.temporary_for(target))
        except OSError as error:
            raise OutputError(
                f"{folder}: no engine can be written there ({error.strerror or error})", "name another with --folder"
            ) from None
        yield EnginePlace(target, key, beside)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise EngineError(f"{path}: {error.strerror or error}", "make it readable, or delete it") from None


def _header(path: Path, file: BinaryIO) -> dict[str, Any]:
    """The header; the file then stands at the plan."""
    if file.read(len(MAGIC)) != MAGIC:
        raise EngineError(f"{path}: is not an engine of this program", "delete it")
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    try:
        header = json.loads(file.read(min(length, MAX_HEADER)))
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise EngineError(f"{path}: is truncated or damaged", "delete it, it is built again")
    return header


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < len(hashlib.sha256().hexdigest()) else f"{text[:8]}…"
