"""The towers of one space: sound, picture and text to unit vectors, and the scale of their similarities."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.frontend import LevelNorm, LogMel

INITIAL_TEMPERATURE = 0.07  # both papers
LARGEST_SCALE = 100.0


class AudioTrunk(nn.Module):
    """What a trunk tells its tower: the width of its features, its blocks from the lowest up, and their pooling."""

    out_features: int
    features: nn.Sequential

    @staticmethod
    def pool(maps: Tensor) -> Tensor:
        """Feature maps to features [n, out_features]."""
        raise NotImplementedError


class SoundTower(nn.Module):
    """Waveform [n, samples] at the front end's rate to unit vectors [n, dim]; everything between is inside."""

    bf16: bool = False  # in training only; set where the processor has it

    def pretrained_parts(self) -> list[nn.Module]:
        """What is tuned gently."""
        raise NotImplementedError

    def fresh_parts(self) -> list[nn.Module]:
        """What starts from nothing."""
        raise NotImplementedError

    def branched(self) -> AudioTower | None:
        """The tower, where it has a general branch beside a special one."""
        return None

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Log-mel [n, n_mels, frames]."""
        raise NotImplementedError

    def embed_branches(self, log_mel: Tensor) -> list[Tensor]:
        """Log-mel to unit vectors: of the tower, and of each of its branches where it has some."""
        raise NotImplementedError

    def embed(self, log_mel: Tensor) -> Tensor:
        """Log-mel to unit vectors."""
        return self.embed_branches(log_mel)[0]

    def forward(self, waveform: Tensor) -> Tensor:
        return self.embed(self.log_mel(waveform))


class Standardise(nn.Module):
    """Features less their mean, over their deviation; both are set once, from the training recordings."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


class Branch(nn.Module):
    """The upper blocks of a trunk with their own projection to the space: feature maps to unit vectors [n, dim].

    Batch norms inside the blocks keep the statistics they were pretrained with: with a few hundred recordings, new ones
    are worse than old ones. The features are standardised before the projection.
    """

    def __init__(self, trunk: AudioTrunk, first: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.blocks = copy.deepcopy(trunk.features[first:])
        self.pool = trunk.pool
        self.norm = Standardise(trunk.out_features)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(trunk.out_features, dim, bias=False)

    def train(self, mode: bool = True) -> Branch:
        super().train(mode)
        self.blocks.eval()
        return self

    def features(self, maps: Tensor, bf16: bool = False) -> Tensor:
        """Feature maps to features [n, out_features], as the trunk pools them."""
        with torch.autocast(maps.device.type, torch.bfloat16, enabled=bf16):
            maps = self.blocks(maps)
        return self.pool(maps.float())

    def forward(self, maps: Tensor, bf16: bool = False) -> Tensor:
        return F.normalize(self.projection(self.dropout(self.norm(self.features(maps, bf16)))), dim=-1)


class LevelledTower(SoundTower):
    """A tower of convolutions that brings each window to one level before its log-mel."""

    def __init__(self, level: LevelNorm, front: LogMel) -> None:
        super().__init__()
        self.level = level
        self.front = front

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Level-normalised log-mel [n, n_mels, frames]."""
        return self.front(self.level(waveform))

    def lowest_blocks(self) -> nn.Sequential:
        """The blocks of the trunk from the log-mel up, the first two at least."""
        raise NotImplementedError


class AudioTower(LevelledTower):
    """A trunk in two branches.

    The lowest `shared` blocks of the trunk stay as pretrained. Above them are two branches: in `general` the upper
    blocks stay as pretrained too and only the projection learns, in `special` they are tuned. What one forgets the
    other still knows; the vector is the direction of their sum.
    """

    def __init__(
        self, trunk: AudioTrunk, level: LevelNorm, front: LogMel, dim: int, shared: int, dropout: float
    ) -> None:
        super().__init__(level, front)
        self.stem = trunk.features[:shared].requires_grad_(False)
        self.general = Branch(trunk, shared, dim, dropout)
        self.general.blocks.requires_grad_(False)
        self.special = Branch(trunk, shared, dim, dropout)

    def train(self, mode: bool = True) -> AudioTower:
        super().train(mode)
        self.stem.eval()
        return self

    def pretrained_parts(self) -> list[nn.Module]:
        return [self.special.blocks]

    def fresh_parts(self) -> list[nn.Module]:
        return [self.general.projection, self.special.projection]

    def lowest_blocks(self) -> nn.Sequential:
        return self.stem

    def branched(self) -> AudioTower:
        return self

    def embed_branches(self, log_mel: Tensor) -> list[Tensor]:
        """Log-mel to unit vectors: of the tower, of the general and of the special branch."""
        bf16 = self.bf16 and self.training
        with torch.autocast(log_mel.device.type, torch.bfloat16, enabled=bf16):
            maps = self.stem(log_mel[:, None])
        branches = [self.general(maps, bf16), self.special(maps, bf16)]
        return [F.normalize(branches[0] + branches[1], dim=-1), *branches]


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

    audio: SoundTower
    text: nn.Module
    image: nn.Module

    def __init__(self, audio: SoundTower, text: nn.Module, image: nn.Module, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.audio = audio
        self.text = text
        self.image = image
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1.0 / INITIAL_TEMPERATURE)))
        self.base_logit_scale = nn.Parameter(torch.tensor(math.log(1.0 / INITIAL_TEMPERATURE)))

    @staticmethod
    def scale(logarithm: Tensor) -> Tensor:
        """The multiplier of cosines, held below 100."""
        return logarithm.exp().clamp_max(LARGEST_SCALE)
