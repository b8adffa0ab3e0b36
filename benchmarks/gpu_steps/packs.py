"""Packs: HTS-AT with random weights in fp32, fp16 and int8, and the starter's audio encoder in fp16 and int8.

They are stored in the folder `packs` of the work folder; existing ones are reused.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.full_size import AUDIO, export_htsat, finish
from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import Report
from benchmarks.gpu_steps.sounds import Heard, Recordings, heard
from benchmarks.gpu_steps.towers import preset_of, random_htsat
from benchmarks.precision import texts_of
from edgeapp.pack.format import Pack, write_pack_json
from edgeapp.paths import STARTER_PACK
from export.check import judges
from export.inputs import Inputs
from export.parity import cosines
from export.precision import PRECISIONS, Precision, convert
from export.sessions import vectors
from gallery import starter_taxa

MOST = 32  # recordings
CHECKED = 12  # windows to compare HTS-AT on
STARTER = {"fp16": "starter-fp16", "int8": "starter-int8"}


def run(settings: Settings, report: Report) -> None:
    """Make the packs that do not exist yet."""
    size, preset = "tiny" if settings.tiny else "full", preset_of(settings)
    most = 4 if settings.tiny else MOST
    folder = settings.work / "packs"
    folder.mkdir(parents=True, exist_ok=True)
    exported = folder / f".{size}-{AUDIO}"
    sounds = cache(lambda rate_hz, window_s: heard(settings, rate_hz, window_s, most))  # only if a pack is made
    tower = random_htsat(preset)

    def htsat(precision: Precision) -> Callable[[Path], Pack]:
        def make(into: Path) -> Pack:
            if not exported.is_file():
                part = exported.with_suffix(".part")
                export_htsat(tower, preset.window_samples, part)
                part.rename(exported)
            shutil.copyfile(exported, into / AUDIO)
            found = sounds(preset.mel.rate_hz, preset.window_s)
            checking = first(found.checking)[:CHECKED]
            return finish(into, preset, precision, tower, first(found.calibrating), checking)

        return make

    for precision in PRECISIONS.values():
        one_pack(report, folder / f"{size}-{precision.name}", precision, htsat(precision))
    exported.unlink(missing_ok=True)
    starter = Pack.load(STARTER_PACK)
    names = cache(lambda: texts_of(starter))
    for name, called in STARTER.items():
        precision = PRECISIONS[name]

        def make(into: Path, precision: Precision = precision) -> Pack:
            found = sounds(starter.audio.rate_hz, starter.audio.window_s)
            return lowered_starter(into, precision, found, names())

        one_pack(report, folder / called, precision, make)


def one_pack(report: Report, at: Path, precision: Precision, make: Callable[[Path], Pack]) -> None:
    """A row for a pack, which is made if it does not exist; its parity has to reach the bound of its precision."""
    with report.measuring(at.name) as figures:
        if (at / "pack.json").is_file():
            figures["seen"] = "reused"
        else:
            with beside(at) as part:
                make(part)
        figures |= told(Pack.load(at))
        if figures["least_cosine"] < precision.cosine:
            raise ValueError(f"cosine {figures['least_cosine']:.4f} with float32, below {precision.cosine}")


def told(pack: Pack) -> dict[str, Any]:
    """Figures of a pack's audio encoder."""
    return {
        "megabytes": pack.path(pack.audio.file).stat().st_size / 1e6,
        "in_fp32": f"{len(pack.in_fp32.get('audio', ()))} layers or kinds",
        "least_cosine": pack.parity["audio"]["least"],
    }


def lowered_starter(folder: Path, precision: Precision, sounds: Heard, names: np.ndarray) -> Pack:
    """The starter pack with its audio encoder in another precision, in an existing folder.

    Parameters
    ----------
    names : vectors [taxa, dim] of the starter's taxa, by which layers are selected
    """
    shutil.copytree(STARTER_PACK, folder, dirs_exist_ok=True)
    starter, path = Pack.load(STARTER_PACK), folder / AUDIO
    calibrating = [(label, windows.astype(np.float32)) for label, windows in sounds.calibrating]
    by_names, *_ = judges(Inputs(calibrating, [], starter_taxa()), names, precision, starter.decision)
    wanted = vectors(onnx.load(str(path)), first(sounds.checking))
    kept = convert(path, precision, np.concatenate([windows for _, windows in calibrating]), by_names)
    given = vectors(onnx.load(str(path)), first(sounds.checking))
    write_pack_json(
        folder,
        name=starter.name,
        version=starter.version,
        licence=starter.licence,
        preset=starter.preset,
        space=starter.space,
        dim=starter.dim,
        audio=replace(starter.audio, split=None),  # the split graphs are for CPUs, in float32
        decision=starter.decision,
        text=starter.text,
        image=starter.image,
        gallery=starter.gallery,
        parity={"audio": {"least": float(cosines(wanted, given).min()), "inputs": len(wanted)}},
        precision=precision.name,
        in_fp32={"audio": kept},
    )
    return Pack.load(folder)


def first(recordings: Recordings) -> np.ndarray:
    """The first window of each recording [n, samples] float32."""
    return np.concatenate([windows[:1] for _, windows in recordings]).astype(np.float32)


@contextmanager
def beside(at: Path) -> Iterator[Path]:
    """A temporary folder that is renamed when it is complete."""
    part = at.with_name(f".{at.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    part.rename(at)
