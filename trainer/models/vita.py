"""The towers of one space: sound, picture and text to unit vectors, and the scale of their similarities."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.frontend import LevelNorm, LogMel

INITIAL_TEMPERATURE = 0.07  # both papers
LARGEST_SCALE = 100.0


class AudioTrunk(nn.Module):
    """What a trunk tells its tower: the width of its features, and its blocks from the lowest up."""

    out_features: int
    features: nn.Sequential


class AudioTower(nn.Module):
    """Waveform [n, samples] at the front end's rate to unit vectors [n, dim]; everything between is inside.

    The lowest `frozen` blocks of the trunk and all batch norms keep the statistics they were pretrained with: with a
    few hundred recordings, new statistics are worse than old ones.
    """

    def __init__(
        self, trunk: AudioTrunk, level: LevelNorm, front: LogMel, dim: int, frozen: int, dropout: float
    ) -> None:
        super().__init__()
        self.level = level
        self.front = front
        self.trunk = trunk
        self.frozen = frozen
        self.bf16 = False  # in training only; set by the loop where the processor has it
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(trunk.out_features, dim, bias=False)
        for block in list(trunk.features)[:frozen]:
            block.requires_grad_(False)

    def train(self, mode: bool = True) -> AudioTower:
        super().train(mode)
        self.trunk.eval()
        return self

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Level-normalised log-mel [n, n_mels, frames]."""
        return self.front(self.level(waveform))

    def embed(self, log_mel: Tensor) -> Tensor:
        """Log-mel to unit vectors."""
        with torch.autocast(log_mel.device.type, torch.bfloat16, enabled=self.bf16 and self.training):
            features = self.trunk(log_mel)
        return F.normalize(self.projection(self.dropout(features.float())), dim=-1)

    def forward(self, waveform: Tensor) -> Tensor:
        return self.embed(self.log_mel(waveform))


class Tower(nn.Module):
    """Features of a trunk, projected to unit vectors [n, dim]."""

    def __init__(self, trunk: nn.Module, features: int, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(features, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.projection(self.dropout(self.trunk(x))), dim=-1)


class Vita(nn.Module):
    """Audio, text and image towers of one space, with one learnable logit scale for audio and one for the others."""

    def __init__(self, audio: AudioTower, text: Tower, image: Tower) -> None:
        super().__init__()
        self.audio = audio
        self.text = text
        self.image = image
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1.0 / INITIAL_TEMPERATURE)))
        self.base_logit_scale = nn.Parameter(torch.tensor(math.log(1.0 / INITIAL_TEMPERATURE)))

    @staticmethod
    def scale(logarithm: Tensor) -> Tensor:
        """The multiplier of cosines, held below 100."""
        return logarithm.exp().clamp_max(LARGEST_SCALE)
