"""The towers of the starter preset: EfficientAT mn04, a small text tower, MobileNetV2."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from trainer.frontend import LevelNorm, LogMel, LogMelConfig
from trainer.models.efficientat import MobileNetAudio, load_published
from trainer.models.mobilenet import FEATURES as IMAGE_FEATURES
from trainer.models.mobilenet import MobileNetImage, load_given
from trainer.models.text import TextConfig, TextTower
from trainer.models.vita import AudioTower, Tower, Vita


@dataclass(frozen=True)
class StarterTowers:
    """Sizes of the towers.

    Attributes
    ----------
    trunk : space of the student whose audio trunk it starts from; empty for the public weights
    """

    dim: int = 256
    mel: LogMelConfig = LogMelConfig()
    level_dbfs: float = -20.0
    text: TextConfig = TextConfig()
    audio_shared: int = 4  # frozen lowest blocks of the audio trunk, shared by both branches
    image_frozen: int = 12  # the same for the image trunk
    image_size: int = 224
    dropout: float = 0.2
    trunk: str = ""
    family: str = field(default="starter", init=False)

    @property
    def context(self) -> int:
        """Tokens of a prompt."""
        return self.text.context


def build_starter(towers: StarterTowers, pretrained: Path | None = None, blocks: nn.Sequential | None = None) -> Vita:
    """The model, with random weights or those in a folder of public weights.

    Parameters
    ----------
    blocks : of an audio trunk of the same size, whose weights are taken in place of the public ones
    """
    audio_trunk, image_trunk = MobileNetAudio(), MobileNetImage()
    if pretrained is not None:
        load_published(audio_trunk, pretrained / "efficientat_mn04_as.pt")
        load_given(image_trunk, pretrained / "inat_bird_mobilenetv2.onnx")
    if blocks is not None:
        audio_trunk.features.load_state_dict(blocks.state_dict())
    for block in list(image_trunk.layers)[: towers.image_frozen]:
        block.requires_grad_(False)
    audio_trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster on a CPU
    text_trunk = TextTower(towers.text)
    audio = AudioTower(
        audio_trunk,
        LevelNorm(towers.level_dbfs),
        LogMel(towers.mel),
        towers.dim,
        towers.audio_shared,
        towers.dropout,
    )
    return Vita(
        audio,
        Tower(text_trunk, text_trunk.out_features, towers.dim),
        Tower(image_trunk, IMAGE_FEATURES, towers.dim, towers.dropout),
        towers.dim,
    )
