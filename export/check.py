"""Check the graphs of a pack against its checkpoint, by the device's own encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from edgeapp.pack.format import Pack
from edgeapp.progress_bar import each
from edgeapp.runtime.encoders import AudioEncoder, ImageEncoder, TextEncoder
from export.agreement import agree, likeliest, require
from export.inputs import Inputs
from export.integers import Judge
from export.parity import compare, cosines
from export.precision import Precision
from gallery import DecisionParameters
from trainer.checkpoint import Checkpoint
from trainer.models.text import tokenize


@torch.no_grad()
def run(tower: torch.nn.Module, values: torch.Tensor) -> np.ndarray:
    """A tower in torch: [n, ...] -> [n, dim]."""
    return tower.eval()(values).numpy()


@dataclass(frozen=True)
class Vectors:
    """Vectors [n, dim] of each recording's windows, of each taxon's prompts, and of each photo."""

    audio: list[np.ndarray]
    text: list[np.ndarray]
    image: list[np.ndarray]

    def names(self) -> np.ndarray:
        """Mean vector of each taxon's prompts [taxa, dim]."""
        return np.stack([forms.mean(axis=0) for forms in self.text])


def of_checkpoint(checkpoint: Checkpoint, inputs: Inputs) -> Vectors:
    """Vectors by torch."""
    model = checkpoint.model
    return Vectors(
        [run(model.audio, torch.from_numpy(windows)) for _, windows in each("check: sound", inputs.windows)],
        [run(model.text, tokenize(checkpoint.tokenizer, forms)) for forms in each("check: names", inputs.texts())],
        [run(model.image, torch.from_numpy(picture)) for _, picture in each("check: photos", inputs.pictures)],
    )


def of_pack(pack: Pack, inputs: Inputs) -> Vectors:
    """Vectors by the device's encoders, with the whole audio graph."""
    whole = replace(pack, audio=replace(pack.audio, split=None))

    # One encoder at a time: at full size each has its weights in memory several times.
    def heard(encoder: AudioEncoder) -> list[np.ndarray]:
        return [encoder.encode(windows) for _, windows in each("check: audio.onnx", inputs.windows)]

    def read(encoder: TextEncoder) -> list[np.ndarray]:
        return [encoder.encode(forms) for forms in each("check: text.onnx", inputs.texts())]

    def seen(encoder: ImageEncoder) -> list[np.ndarray]:
        return [encoder.encode_pixels(picture) for _, picture in each("check: image.onnx", inputs.pictures)]

    return Vectors(heard(AudioEncoder(whole)), read(TextEncoder(pack)), seen(ImageEncoder(pack)))


def check(
    pack: Pack, wanted: Vectors, inputs: Inputs, precision: Precision, decision: DecisionParameters
) -> dict[str, dict[str, Any]]:
    """Measure parity: cosines of each graph, and the agreement of decisions.

    Raises
    ------
    ParityError
        When one is below the bound of the precision.
    """
    given = of_pack(pack, inputs)
    labels = {
        "audio": [label for label, _ in inputs.windows],
        "text": [taxon.scientific_name for taxon in inputs.taxa],
        "image": [label for label, _ in inputs.pictures],
    }
    parity: dict[str, dict[str, Any]] = {
        modality: compare(
            f"{modality}.onnx", names, getattr(wanted, modality), getattr(given, modality), precision.cosine
        ).to_dict()
        for modality, names in labels.items()
    }
    if pack.audio.split is not None:
        audio = AudioEncoder(pack, provider="cpu")
        split = [audio.encode(windows) for _, windows in inputs.windows]
        graph = pack.audio.split.trunk
        parity["split"] = compare(graph, labels["audio"], wanted.audio, split, precision.cosine).to_dict()
    named = [likeliest(inputs.windows, one.audio, one.names(), inputs.taxa, decision) for one in (wanted, given)]
    parity["decisions"] = require(agree(inputs.windows, *named), precision.names).to_dict()
    return parity


def judges(
    inputs: Inputs,
    names: np.ndarray,
    precision: Precision,
    decision: DecisionParameters,
    prompts: Sequence[str] = (),
) -> tuple[Judge, Judge, Judge]:
    """Criteria for the layers of the audio tower (names of recordings, and cosine), and of the others (cosine).

    Parameters
    ----------
    names : [taxa, dim] mean vector of each taxon's prompts
    prompts : those that the text tower is tried on

    Returns
    -------
    Of the audio, the text and the image tower; each names the input that falls short, and by how much.
    """
    ends = np.cumsum([len(windows) for _, windows in inputs.windows])[:-1]
    clips = [label for label, windows in inputs.windows for _ in windows]
    pictures = [label for label, pixels in inputs.pictures for _ in pixels]

    def near(wanted: np.ndarray, given: np.ndarray, labels: Sequence[str]) -> str:
        found = cosines(wanted, given)
        worst = int(found.argmin())
        if found[worst] >= precision.aim:
            return ""
        on = f" on {labels[worst]}" if len(labels) == len(found) else ""
        return f"the cosine{on} is {found[worst]:.4f}, below {precision.aim:.4f}"

    def named(vectors: np.ndarray) -> list[str]:
        return likeliest(inputs.windows, np.split(vectors, ends), names, inputs.taxa, decision)

    def near_and_named(wanted: np.ndarray, given: np.ndarray) -> str:
        if short := near(wanted, given, clips):
            return short
        found = agree(inputs.windows, named(wanted), named(given))
        if found.share >= precision.names:
            return ""
        return f"{found.share:.4f} of the clips have the same species, below {precision.names}; first {found.first}"

    def texts(wanted: np.ndarray, given: np.ndarray) -> str:
        return near(wanted, given, prompts)

    def images(wanted: np.ndarray, given: np.ndarray) -> str:
        return near(wanted, given, pictures)

    return near_and_named, texts, images
