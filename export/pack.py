"""Write a pack of a checkpoint: graphs, tokenizer, attribution and pack.json; nothing is left if a check fails."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.pack.format import Pack, write_pack_json
from edgeapp.pack.specs import AudioSpec, ImageSpec, TextSpec
from edgeapp.pack.split import SplitSpec
from export.check import check, judges, of_checkpoint
from export.errors import ExportError
from export.folder import new_pack
from export.graphs import export_image, export_text
from export.inputs import Inputs
from export.integers import spread_rows
from export.lowerings import export_audio, split_audio
from export.precision import FP32, Precision, convert
from export.storage import halve
from gallery import DecisionParameters
from trainer.attribution import ATTRIBUTION
from trainer.checkpoint import Checkpoint
from trainer.models.text import tokenize
from trainer.presets import Preset

AUDIO, TEXT, IMAGE, TOKENIZER, CARD = "audio.onnx", "text.onnx", "image.onnx", "tokenizer.json", "MODEL_CARD.md"

CALIBRATING_TEXTS = 256


@dataclass(frozen=True)
class Label:
    """Name, version and licence of a pack."""

    name: str
    version: str
    licence: str


def write_pack(
    out: Path,
    checkpoint: Checkpoint,
    decision: DecisionParameters,
    label: Label,
    inputs: Inputs,
    metrics: dict[str, Any],
    card: Path | None = None,
    precision: Precision = FP32,
    calibrating: Inputs | None = None,
    graphs: Mapping[str, Path] | None = None,
    calibrated: bool = True,
) -> Pack:
    """Export the towers of a checkpoint, check each graph, and write the pack.

    Parameters
    ----------
    inputs : for the checks
    calibrating : other inputs, for a precision below float32
    graphs : float32 graphs by the name of their file, if they were exported before
    calibrated : whether `decision` was fitted on recordings

    Raises
    ------
    ExportError
        When `out` exists and is not a pack, or cannot be written, or the checkpoint has no image tower.
    ParityError
        When a graph does not agree with the checkpoint; nothing is written.
    """
    preset, model = checkpoint.config.preset, checkpoint.model.cpu()
    if not model.pictured:
        raise ExportError(f"{checkpoint.folder}: has no image tower", "distil a teacher of stage 2, which has one")
    with new_pack(out) as folder:
        for name, exported in graphs.items() if graphs else ():
            shutil.copyfile(exported, folder / name)
        if graphs is None:
            export_audio(model, preset, folder / AUDIO)
            export_text(model, preset, folder / TEXT)
            export_image(model, preset, folder / IMAGE)
        # Lower precisions are for GPUs, which run the whole graph.
        split = split_audio(model, preset, folder / AUDIO) if precision.lower is None else None
        checkpoint.tokenizer.save(str(folder / TOKENIZER))
        shutil.copyfile(attribution_of(checkpoint), folder / ATTRIBUTION)
        if card is not None:
            shutil.copyfile(card, folder / CARD)
        described: dict[str, Any] = {
            "name": label.name,
            "version": label.version,
            "licence": label.licence,
            "preset": preset.name,
            "space": checkpoint.space,
            "dim": preset.dim,
            "audio": audio_spec(preset, split),
            "text": TextSpec(TEXT, TOKENIZER, preset.context),
            "image": ImageSpec(IMAGE, preset.image_size),
            "decision": decision,
            "metrics": metrics,
            "precision": precision.name,
            "calibrated": calibrated,
        }
        if precision.lower is None:
            for graph in (TEXT, IMAGE):  # a device runs the audio graph all day, so that one stays float32
                halve(folder / graph)
        if calibrating is not None:
            described["in_fp32"] = lower(folder, checkpoint, precision, calibrating, decision)
        write_pack_json(folder, **described)
        described["parity"] = check(Pack.load(folder), of_checkpoint(checkpoint, inputs), inputs, precision, decision)
        write_pack_json(folder, **described)
    return Pack.load(out)


def audio_spec(preset: Preset, split: SplitSpec | None) -> AudioSpec:
    """The audio encoder of a preset as ``pack.json`` describes it."""
    c = preset.cutting
    return AudioSpec(
        AUDIO,
        c.rate_hz,
        c.window_s,
        split=split,
        hop_s=c.hop_s,
        pad=c.pad,
        start=c.start,
        resampler=c.resampler,
        min_clip_s=c.min_clip_s,
        offset=c.offset,
    )


def lower(
    folder: Path, checkpoint: Checkpoint, precision: Precision, inputs: Inputs, decision: DecisionParameters
) -> dict[str, list[str]]:
    """Convert the graphs of a folder to another precision; returns what is left in float32, by graph."""
    forms = [form for texts in inputs.texts() for form in texts]
    texts = [forms[row] for row in spread_rows(len(forms), CALIBRATING_TEXTS)]
    tokens = tokenize(checkpoint.tokenizer, texts).numpy()
    names = of_checkpoint(checkpoint, replace(inputs, windows=[], pictures=[])).names()
    of_audio, of_text, of_image = judges(inputs, names, precision, decision, texts)
    windows = np.concatenate([windows for _, windows in inputs.windows])
    pictures = np.concatenate([picture for _, picture in inputs.pictures])
    return {
        "audio": convert(folder / AUDIO, precision, windows, of_audio),
        "text": convert(folder / TEXT, precision, tokens, of_text),
        "image": convert(folder / IMAGE, precision, pictures, of_image),
    }


def attribution_of(checkpoint: Checkpoint) -> Path:
    """The file that names authors and licences of what a checkpoint was trained on.

    Raises
    ------
    ExportError
        When there is none: no other manifest can take its place.
    """
    path = checkpoint.folder / ATTRIBUTION
    if not path.is_file():
        raise ExportError(
            f"{checkpoint.folder}: does not say what it was trained on ({ATTRIBUTION} is missing)",
            "repeat the command that trained it, with the same data; a finished stage adds the file",
        )
    return path
