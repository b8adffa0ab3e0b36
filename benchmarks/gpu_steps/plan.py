"""The steps, their requirements and their share of the time. Imports nothing that may be missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

PIP_NAMES = {
    "_cffi_backend": "cffi",
    "PIL": "pillow",
    "open_clip": "open_clip_torch",
    "tensorrt_rtx": "tensorrt_rtx_cu13",
    "tensorrt_rtx_bindings": "tensorrt_rtx_cu13_bindings and tensorrt_rtx_cu13_libs",
}
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
TOWERS = ("torch", "numpy", "transformers", "tokenizers")
SOUND = ("soundfile", "_cffi_backend", "soxr", "platformdirs")
RUNTIME = ("numpy", "onnxruntime", "tokenizers", *SOUND)


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    name : str
        Name of the module in this package, and value of `--steps`.
    title : str
    needs : tuple of str
        Required modules; of names joined by ``|`` one is enough.
    share : float
        Relative share of the time.
    packs : bool
        Whether it needs the step `packs`.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    share: float
    packs: bool = False


STEPS = (
    Step("card", "The card and its bf16 peak", ("torch", "numpy"), 2),
    Step(
        "training",
        "Training of `biovita`",
        (*TOWERS, *SOUND, "open_clip", "PIL", "rich", "safetensors"),
        14,
    ),
    Step("htsat", "HTS-AT in torch", TOWERS, 10),
    Step("packs", "Packs in fp32, fp16 and int8", (*TOWERS, "onnx", "onnxscript", "PIL", "safetensors", *RUNTIME), 12),
    Step("providers", "ONNX Runtime", RUNTIME, 6, packs=True),
    Step("engines", "TensorRT", ("tensorrt|tensorrt_rtx|tensorrt_rtx_bindings", *RUNTIME), 8, packs=True),
    Step("decisions", "Decisions of fp16 and int8", ("onnx", *RUNTIME), 8, packs=True),
)
NAMES = tuple(step.name for step in STEPS)


@dataclass(frozen=True)
class Settings:
    """Settings passed to a step.

    Attributes
    ----------
    device : str
        cuda or cpu.
    tiny : bool
        Smallest sizes that still run all code.
    recordings : Path or None
        Folder of sound files, and of photos for training; the starter data beside the project, else synthetic sounds,
        when None.
    work : Path
        Folder of packs and engines.
    """

    device: str
    tiny: bool
    recordings: Path | None
    work: Path

    def to_json(self) -> str:
        recordings = None if self.recordings is None else str(self.recordings)
        return json.dumps({**vars(self), "recordings": recordings, "work": str(self.work)})

    @classmethod
    def from_json(cls, text: str) -> Settings:
        given = json.loads(text)
        recordings = None if given["recordings"] is None else Path(given["recordings"])
        return cls(given["device"], given["tiny"], recordings, Path(given["work"]))


def chosen(names: Sequence[str]) -> list[Step]:
    """The steps of the given names in their order, with the step `packs` if one of them needs it.

    Raises
    ------
    ValueError
        Unknown step; the message names it.
    """
    for name in names:
        if name not in NAMES:
            raise ValueError(f"unknown step '{name}'; choose from {', '.join(NAMES)}")
    packs = any(step.packs for step in STEPS if step.name in names)
    return [step for step in STEPS if step.name in names or (packs and step.name == "packs")]


def missing(step: Step) -> list[str]:
    """Packages that a step needs and that are not installed, by their names on PyPI."""
    found = []
    for need in step.needs:
        modules = need.split("|")
        if not any(find_spec(module) for module in modules):
            found.append(" or ".join(PIP_NAMES.get(module, module) for module in modules))
    return found


def sounds_in(folder: Path) -> list[Path]:
    """Sound files in a folder and its subfolders, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUNDS)


def limit_s(step: Step, left: Sequence[Step], seconds: float) -> float:
    """Time limit of a step: its share of the seconds left for it and the steps after it."""
    return seconds * step.share / sum(one.share for one in left)
