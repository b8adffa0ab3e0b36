"""Write the text and image towers of a preset in the space of a pack to a folder of towers.

A pack is built from such a folder and the encoder that its towers were trained for; `export.birdnet.towers` documents
its files. Other files in it are not changed.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, cast

import onnx
import torch
from torch.nn import functional as F

from export.check import run
from export.errors import ExportError, ParityError
from export.graphs import export_image, export_text
from export.parity import Parity, compare
from export.sessions import vectors
from export.storage import halve, quarter
from gallery.files import replacing, write_text
from trainer.checkpoint import Checkpoint, load
from trainer.models.photo import PhotoTower
from trainer.models.text import tokenize

TEXT, IMAGE, TOKENIZER, DOCUMENT = "text.onnx", "image.onnx", "tokenizer.json", "towers.json"
FAMILY = "trunk"
MIN_COSINE = 0.999  # with int8 weights
MIN_COSINE_PICTURES = 0.99  # lower, because synthetic pictures resemble many classes equally
CHECKED = 500  # taxa
PICTURES, COARSE = 16, 9  # synthetic pictures for the check of an image tower, and their size before interpolation


def write_towers(run_folder: Path, out: Path) -> dict[str, Parity]:
    """Write graph and tokenizer of a text tower, and the graph of an image tower if the stage has one.

    The length of prompts and the size of pictures are added to the folder's document.

    Parameters
    ----------
    run_folder : Path
        Folder of a finished stage.
    out : Path
        Folder of towers, created if it does not exist.

    Raises
    ------
    ExportError
        The checkpoint is of another preset, or the folder's document cannot be read.
    ParityError
        A graph does not agree with the checkpoint; nothing is written.
    """
    checkpoint = load(run_folder)
    preset = checkpoint.config.preset
    if preset.towers.family != FAMILY:
        raise ExportError(f"{run_folder}: has an audio tower", "export it as a pack: python -m export --checkpoint")
    document = read_document(out / DOCUMENT)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / TEXT
        export_text(checkpoint.model.cpu(), preset, graph)
        quarter(graph)
        parity = check_text(checkpoint, graph)
        parities = {TEXT: parity}
        written = [graph]
        if preset.stages[checkpoint.config.stage].after:  # stage 1 has no image tower
            tower = cast(PhotoTower, checkpoint.model.image)
            picture = Path(folder) / IMAGE
            parities[IMAGE] = small_image(checkpoint, picture)
            written.append(picture)
            document |= {
                "size": preset.image_size,
                "image": {"pack": checkpoint.config.data, "resembled": tower.resemblance.out_features},
            }
        for each in written:
            with replacing(out / each.name, parents=True) as part:
                part.write_bytes(each.read_bytes())
    with replacing(out / TOKENIZER) as part:
        checkpoint.tokenizer.save(str(part), pretty=False)
    document |= {
        "context": preset.context,
        "text": {"pack": checkpoint.config.data, "names": len(checkpoint.config.taxa)},
    }
    write_text(out / DOCUMENT, json.dumps(document, indent=1) + "\n")
    return parities


def check_text(checkpoint: Checkpoint, graph: Path) -> Parity:
    """Check the graph against the tower, on names that it was trained on."""
    names = checkpoint.config.taxa
    names = names[:: max(1, len(names) // CHECKED)]
    texts = [text for name in names for text in (name, f"{name} with common name {name}")]
    tokens = tokenize(checkpoint.tokenizer, texts)
    given = vectors(onnx.load(str(graph)), tokens.numpy())
    wanted = run(checkpoint.model.text, tokens)
    return compare(TEXT, texts, list(wanted[:, None]), list(given[:, None]), MIN_COSINE)


def small_image(checkpoint: Checkpoint, graph: Path) -> Parity:
    """Write the graph of an image tower in int8, or in float16 if the error is too large."""
    try:
        export_image(checkpoint.model, checkpoint.config.preset, graph)
        quarter(graph)
        return check_image(checkpoint, graph)
    except ParityError:
        export_image(checkpoint.model, checkpoint.config.preset, graph)
        halve(graph)
        return check_image(checkpoint, graph)


def check_image(checkpoint: Checkpoint, graph: Path) -> Parity:
    """Check the graph against the tower, on smooth random pictures."""
    size = checkpoint.config.preset.image_size
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((PICTURES, 3, COARSE, COARSE), generator=generator) * 255.0
    pictures = F.interpolate(coarse, (size, size), mode="bicubic").clamp(0.0, 255.0)
    given = vectors(onnx.load(str(graph)), pictures.numpy())
    wanted = run(checkpoint.model.image, pictures)
    names = [f"picture {number + 1}" for number in range(PICTURES)]
    return compare(IMAGE, names, list(wanted[:, None]), list(given[:, None]), MIN_COSINE_PICTURES)


def read_document(path: Path) -> dict[str, Any]:
    """The document of a folder of towers; empty if there is none.

    Raises
    ------
    ExportError
        It cannot be read.
    """
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ExportError(
            f"{path}: cannot be read ({error})", "remove it, or name another folder with --out"
        ) from error
