"""Presets: every size and hyper-parameter of a model and its stages, one line each with a short reason."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from trainer.augment import AugmentConfig
from trainer.errors import ConfigError
from trainer.frontend import LevelNorm, LogMel, LogMelConfig
from trainer.models.efficientat import MobileNetAudio, load_published
from trainer.models.mobilenet import FEATURES as IMAGE_FEATURES
from trainer.models.mobilenet import MobileNetImage, load_given
from trainer.models.text import TextConfig, TextTower
from trainer.models.vita import AudioTower, Tower, Vita

STAGES = ("base", "1", "2")


@dataclass(frozen=True)
class StageConfig:
    """How one stage is trained."""

    epochs: int
    batch: int
    lr: float  # of the parts that start from nothing
    trunk_lr: float  # of the pretrained parts
    weight_decay: float = 0.05  # both papers
    warmup: float = 0.05  # share of the steps; then a cosine to zero
    smoothing: float = 0.1  # share of the target spread over all candidates
    clip: float = 1.0  # largest gradient norm
    ema: float = 0.995  # weight averaging: the average is what is evaluated and kept
    most_per_taxon: int = 20  # recordings of a species and epoch (both papers)
    least_per_taxon: int = 3  # the rare ones are drawn again, as in the released code, which takes 5
    spread: float = 0.0  # weight of the squared cosines between the names of different taxa, base
    lambda_top: float = 0.1  # of AIC + ITC, stage 2
    lambda_epochs: float = 2.0  # over which lambda grows from 0
    augment: AugmentConfig = field(default_factory=AugmentConfig)


@dataclass(frozen=True)
class Preset:
    """A model and its stages."""

    name: str
    dim: int
    mel: LogMelConfig
    window_s: float
    level_dbfs: float
    text: TextConfig
    audio_shared: int  # lowest blocks of the audio trunk that stay as they are, shared by both branches
    image_frozen: int  # the same for the image trunk
    image_size: int
    dropout: float
    stages: dict[str, StageConfig]

    @property
    def window_samples(self) -> int:
        return round(self.window_s * self.mel.rate_hz)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


STARTER = Preset(
    name="starter",
    dim=256,
    mel=LogMelConfig(),
    window_s=10.0,
    level_dbfs=-20.0,
    text=TextConfig(),
    audio_shared=4,
    image_frozen=12,
    image_size=224,
    dropout=0.2,
    stages={
        "base": StageConfig(epochs=12, batch=16, lr=2e-3, trunk_lr=2e-4, spread=40.0),
        "1": StageConfig(epochs=22, batch=32, lr=1e-3, trunk_lr=5e-4),
        "2": StageConfig(epochs=8, batch=32, lr=5e-4, trunk_lr=2.5e-4),  # half the rate of stage 1, as the paper
    },
)

PRESETS = {STARTER.name: STARTER}


def find_preset(name: str) -> Preset:
    """Preset by name.

    Raises
    ------
    ConfigError
        When there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset '{name}' does not exist", f"choose {' or '.join(PRESETS)}")
    return PRESETS[name]


def preset_from_dict(values: dict[str, Any]) -> Preset:
    """Preset as stored beside a checkpoint; the inverse of `Preset.to_dict`."""
    stages = {
        name: StageConfig(**{**stage, "augment": AugmentConfig(**tuples(stage["augment"]))})
        for name, stage in values["stages"].items()
    }
    return Preset(
        **{**values, "mel": LogMelConfig(**values["mel"]), "text": TextConfig(**values["text"]), "stages": stages}
    )


def tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where the dataclasses have tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def build(preset: Preset, pretrained: Path | None = None) -> Vita:
    """The model of a preset; with the folder of public weights, its trunks start from them."""
    audio_trunk, image_trunk = MobileNetAudio(), MobileNetImage()
    if pretrained is not None:
        load_published(audio_trunk, pretrained / "efficientat_mn04_as.pt")
        load_given(image_trunk, pretrained / "inat_bird_mobilenetv2.onnx")
    for block in list(image_trunk.layers)[: preset.image_frozen]:
        block.requires_grad_(False)
    audio_trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster on a CPU
    text_trunk = TextTower(preset.text)
    audio = AudioTower(
        audio_trunk, LevelNorm(preset.level_dbfs), LogMel(preset.mel), preset.dim, preset.audio_shared, preset.dropout
    )
    return Vita(
        audio,
        Tower(text_trunk, text_trunk.out_features, preset.dim),
        Tower(image_trunk, IMAGE_FEATURES, preset.dim, preset.dropout),
    )
