"""Text and image towers in the space of a pack, whose audio encoder is not part of the model."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.frontend import LogMelConfig
from trainer.models.photo import PhotoConfig, PhotoTower
from trainer.models.text import END, TextConfig
from trainer.models.vita import SoundTower, Tower, Vita


@dataclass(frozen=True)
class WordsConfig:
    """Size of the text tower, with a larger vocabulary than the starter's because of the thousands of species.

    Most genera, families and words of common names are one token each.
    """

    vocabulary: int = 8192
    context: int = 48
    width: int = 384  # rank of the projection
    dropout: float = 0.1
    words_dropped: float = 0.15  # share of the tokens dropped in training, so that no word dominates

    @property
    def tokens(self) -> TextConfig:
        """Configuration of the tokenizer."""
        return TextConfig(vocabulary=self.vocabulary, context=self.context)


@dataclass(frozen=True)
class TrunkTowers:
    """Sizes of the towers; `dim`, rate and window are those of the pack."""

    dim: int = 1024
    mel: LogMelConfig = LogMelConfig(rate_hz=48_000)  # only its rate is used: the front end is in the pack's graph
    text: WordsConfig = WordsConfig()
    photo: PhotoConfig = PhotoConfig()
    family: str = field(default="trunk", init=False)

    @property
    def level_dbfs(self) -> None:
        """The level of a window is handled in the pack's graph."""

    @property
    def context(self) -> int:
        """Tokens of a prompt."""
        return self.text.context

    @property
    def image_size(self) -> int:
        """Side of a picture in pixels."""
        return self.photo.size


class WordTower(nn.Module):
    """Token ids [n, context] to features [n, width]: the sum of token embeddings over the root of their number.

    It is a sum of words rather than a transformer: order, family, genus and the nouns of a common name each contribute,
    so a new name is the sum of known words. A ridge regression on words is a special case of this tower.
    """

    def __init__(self, config: WordsConfig) -> None:
        super().__init__()
        self.config = config
        self.out_features = config.width
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        nn.init.normal_(self.tokens.weight, std=0.05)
        self.unknown = nn.Parameter(torch.full((config.width,), 1e-3))  # for names without a known word

    def forward(self, tokens: Tensor) -> Tensor:
        kept = (tokens > END).to(self.tokens.weight.dtype)  # neither padding nor the end
        if self.training and self.config.words_dropped:
            kept = kept * (torch.rand_like(kept) >= self.config.words_dropped)
        total = (self.tokens(tokens) * kept[:, :, None]).sum(dim=1)
        return total / kept.sum(dim=1, keepdim=True).clamp_min(1.0).sqrt() + self.unknown


class GivenAudio(SoundTower):
    """Window vectors [n, dim] of the pack's audio graph to unit vectors; it has no parameters."""

    given = True

    def pretrained_parts(self) -> list[nn.Module]:
        return []

    def fresh_parts(self) -> list[nn.Module]:
        return []

    def embed_branches(self, log_mel: Tensor) -> list[Tensor]:
        return [F.normalize(log_mel, dim=-1)]

    def forward(self, waveform: Tensor) -> Tensor:
        return F.normalize(waveform, dim=-1)


def build_trunk(towers: TrunkTowers) -> Vita:
    """The model with random weights; it has an image tower from stage 2 on."""
    text = WordTower(towers.text)
    named = Tower(text, text.out_features, towers.dim, towers.text.dropout)
    image = PhotoTower(towers.photo, towers.dim) if towers.photo.resembled else nn.Identity()
    return Vita(GivenAudio(), named, image, towers.dim)
