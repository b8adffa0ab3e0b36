"""Write a pack: graphs, tokenizer, attribution, and pack.json last; nothing is left behind when a check fails."""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeapp.audio.file import load
from edgeapp.audio.windows import HOP_S
from edgeapp.encoders import AudioEncoder, ImageEncoder, TextEncoder
from edgeapp.errors import AudioError
from edgeapp.pack import AudioSpec, ImageSpec, Pack, TextSpec, write_pack_json
from export.errors import ExportError
from export.graphs import export_audio, export_image, export_text
from export.parity import Parity, compare
from gallery import DecisionParameters, prompts
from trainer.checkpoint import Checkpoint
from trainer.manifest import Manifest, Sample
from trainer.models.text import tokenize
from trainer.pictures import PictureStore
from trainer.windows import recording_windows

AUDIO, TEXT, IMAGE, TOKENIZER, ATTRIBUTION, CARD = (
    "audio.onnx",
    "text.onnx",
    "image.onnx",
    "tokenizer.json",
    "ATTRIBUTION.csv",
    "MODEL_CARD.md",
)
CHECKED_RECORDINGS = 48  # spread over the manifest
CHECKED_PHOTOS = 24


@dataclass(frozen=True)
class Label:
    """What a pack says of itself."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True)
class CheckInputs:
    """Real inputs that the graphs are checked on, each with its label; one line for each that could not be read."""

    windows: list[tuple[str, np.ndarray]]
    texts: list[tuple[str, list[str]]]
    pictures: list[tuple[str, np.ndarray]]
    failed: tuple[str, ...] = ()


def check_inputs(manifest: Manifest, rate_hz: int, window_s: float, image_size: int) -> CheckInputs:
    """Windows of recordings, prompts and photos, spread over a manifest."""
    failed: list[str] = []
    windows = []
    for sample in spread(manifest.recordings, CHECKED_RECORDINGS):
        try:
            cut = recording_windows(load(sample.path, rate_hz), rate_hz, window_s, HOP_S)
        except AudioError as error:
            failed.append(str(error))
            continue
        windows.append((sample.path.name, cut))
    texts = [(taxon.scientific_name, list(prompts(taxon).values())) for taxon in manifest.taxa]
    photos = PictureStore(spread(manifest.photos, CHECKED_PHOTOS), image_size)
    pictures = [(sample.path.name, photos.centre([row]).numpy()) for row, sample in enumerate(photos.samples)]
    return CheckInputs(windows, texts, pictures, (*failed, *photos.undecodable))


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` samples, evenly over the list."""
    rows = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)
    return [samples[row] for row in np.unique(rows)]


def write_pack(
    out: Path,
    checkpoint: Checkpoint,
    decision: DecisionParameters,
    label: Label,
    inputs: CheckInputs,
    manifest: Manifest,
    figures: dict[str, Any],
    card: Path | None = None,
) -> Pack:
    """Export the towers of a checkpoint, check each graph, and put the pack in place in one move.

    Raises
    ------
    ExportError
        When `out` exists and is no pack, or cannot be written.
    ParityError
        When a graph does not give what the checkpoint gives; nothing is written then.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "pack.json").exists())):
        raise ExportError(f"{out}: exists and is no pack", "name another folder with --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
        folder = Path(beside) / "pack"
        folder.mkdir()
        preset, model = checkpoint.config.preset, checkpoint.model.cpu()
        export_audio(model, preset, folder / AUDIO)
        export_text(model, preset, folder / TEXT)
        export_image(model, preset, folder / IMAGE)
        checkpoint.tokenizer.save(str(folder / TOKENIZER))
        write_attribution(manifest, folder / ATTRIBUTION)
        if card is not None:
            shutil.copyfile(card, folder / CARD)
        described: dict[str, Any] = {
            "name": label.name,
            "version": label.version,
            "licence": label.licence,
            "preset": preset.name,
            "space": checkpoint.space,
            "dim": preset.dim,
            "audio": AudioSpec(AUDIO, preset.mel.rate_hz, preset.window_s),
            "text": TextSpec(TEXT, TOKENIZER, preset.context),
            "image": ImageSpec(IMAGE, preset.image_size),
            "decision": decision,
            "figures": figures,
        }
        write_pack_json(folder, **described)
        parity = check(Pack.load(folder), checkpoint, inputs)
        described["parity"] = {name: result.to_dict() for name, result in parity.items()}
        write_pack_json(folder, **described)
        if out.exists():
            out.rename(Path(beside) / "older")
        folder.rename(out)
    return Pack.load(out)


def check(pack: Pack, checkpoint: Checkpoint, inputs: CheckInputs) -> dict[str, Parity]:
    """Torch against ONNX Runtime through the device's own encoders."""
    model = checkpoint.model
    audio, text, image = AudioEncoder(pack), TextEncoder(pack), ImageEncoder(pack)
    texts = [(name, np.array(forms)) for name, forms in inputs.texts]

    def torch_text(forms: np.ndarray) -> np.ndarray:
        return run(model.text, tokenize(checkpoint.tokenizer, forms.tolist()))

    return {
        "audio": compare(AUDIO, inputs.windows, lambda x: run(model.audio, torch.from_numpy(x)), audio.encode),
        "text": compare(TEXT, texts, torch_text, lambda forms: text.encode(forms.tolist())),
        "image": compare(IMAGE, inputs.pictures, lambda x: run(model.image, torch.from_numpy(x)), image.encode_pixels),
    }


@torch.no_grad()
def run(tower: torch.nn.Module, values: torch.Tensor) -> np.ndarray:
    """A tower in torch: [n, ...] -> [n, dim]."""
    return tower.eval()(values).numpy()


def write_attribution(manifest: Manifest, path: Path) -> None:
    """Author and licence of every recording and photo the encoders were trained on."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("modality", "scientific_name", "source", "source_id", "author", "licence"))
        for modality, samples in (("audio", manifest.recordings), ("image", manifest.photos)):
            for sample in samples:
                name = manifest.taxa[sample.taxon].scientific_name
                writer.writerow((modality, name, *sample.source, sample.author, sample.licence))
