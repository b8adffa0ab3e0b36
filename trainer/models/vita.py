"""The towers of one space: sound, pictures and text to unit vectors, and the logit scale."""

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
    """Interface of an audio trunk: the width of its features, its blocks from the lowest up, and their pooling."""

    out_features: int
    features: nn.Sequential

    @staticmethod
    def pool(maps: Tensor) -> Tensor:
        """Feature maps to features [n, out_features]."""
        raise NotImplementedError


class SoundTower(nn.Module):
    """Waveform [n, samples] at the front end's rate to unit vectors [n, dim]."""

    bf16: bool = False  # in training only, if the hardware supports it
    batch_statistics: bool = False  # update those of batch norms that are frozen otherwise
    given: bool = False  # takes the vectors of a pack in place of sound

    def pretrained_parts(self) -> list[nn.Module]:
        """Modules with pretrained weights, trained at a lower rate."""
        raise NotImplementedError

    def fresh_parts(self) -> list[nn.Module]:
        """Modules with random weights."""
        raise NotImplementedError

    def branched(self) -> AudioTower | None:
        """This tower if it has a general and a special branch, else None."""
        return None

    def single_trunk(self) -> nn.Sequential | None:
        """Blocks of the starter's trunk if this tower has one, tuned as a whole, else None."""
        return None

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Log-mel [n, n_mels, frames]."""
        raise NotImplementedError

    def embed_branches(self, log_mel: Tensor) -> list[Tensor]:
        """Log-mel to unit vectors: of the tower, and of each of its branches."""
        raise NotImplementedError

    def embed(self, log_mel: Tensor) -> Tensor:
        """Log-mel to unit vectors."""
        return self.embed_branches(log_mel)[0]

    def forward(self, waveform: Tensor) -> Tensor:
        return self.embed(self.log_mel(waveform))


class Standardise(nn.Module):
    """Standardise features; mean and deviation are set once, from the training recordings."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


class Branch(nn.Module):
    """The upper blocks of a trunk with their own projection: feature maps to unit vectors [n, dim].

    Batch norms in the blocks keep their pretrained statistics, which are better than those of a few hundred recordings.
    The features are standardised before the projection.
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
        """Feature maps to pooled features [n, out_features]."""
        with torch.autocast(maps.device.type, torch.bfloat16, enabled=bf16):
            maps = self.blocks(maps)
        return self.pool(maps.float())

    def forward(self, maps: Tensor, bf16: bool = False) -> Tensor:
        return F.normalize(self.projection(self.dropout(self.norm(self.features(maps, bf16)))), dim=-1)


class LevelledTower(SoundTower):
    """A convolutional tower that normalises the level of each window before its log-mel."""

    def __init__(self, level: LevelNorm, front: LogMel) -> None:
        super().__init__()
        self.level = level
        self.front = front

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Level-normalised log-mel [n, n_mels, frames]."""
        return self.front(self.level(waveform))

    def lowest_blocks(self) -> nn.Sequential:
        """The lowest blocks of the trunk, at least two."""
        raise NotImplementedError


class AudioTower(LevelledTower):
    """A trunk with two branches.

    The lowest `shared` blocks of the trunk are frozen. Above them are two branches: in `general` the upper blocks are
    frozen too and only the projection is trained, in `special` they are tuned. The frozen branch counteracts
    forgetting; the vector is the direction of the sum of both.
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

    @property
    def pictured(self) -> bool:
        """Whether there is an image tower."""
        return not isinstance(self.image, nn.Identity)

    @staticmethod
    def scale(logarithm: Tensor) -> Tensor:
        """The logit scale, limited to 100."""
        return logarithm.exp().clamp_max(LARGEST_SCALE)
