"""The audio encoder of a pack, frozen, with an adapter into the space of BioCLIP 2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeapp.audio.windows import ZERO
from trainer.errors import CheckpointError
from trainer.frontend import LogMelConfig
from trainer.models.bioclip import CONTEXT, build_clip
from trainer.models.biovita import CLIP_MEAN, CLIP_STD
from trainer.models.vita import SoundTower, Vita

if TYPE_CHECKING:
    from edgeapp.pack.format import Pack


@dataclass(frozen=True)
class AdaptedTowers:
    """Sizes of the towers.

    Parameters
    ----------
    pack : name or folder of the pack whose audio graph is the trunk; it is asked for only where sound is encoded
    space : of that pack
    trunk_dim : numbers in a vector of the pack
    window_s, hop_s, pad : how the pack cuts sound
    clip : `model_cfg` of open_clip: embed_dim, vision_cfg, text_cfg
    mean, std : of the pictures' channels on a scale of 0..1
    mel : only its rate counts
    dim : of BioCLIP 2's space
    """

    pack: str
    space: str
    trunk_dim: int
    clip: dict[str, Any]
    window_s: float = 3.0
    hop_s: float = 3.0
    pad: str = ZERO
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    mel: LogMelConfig = LogMelConfig(rate_hz=48_000)
    dim: int = 768
    family: str = field(default="adapted", init=False)

    @property
    def level_dbfs(self) -> None:
        """The level of a window is left as it is."""

    @property
    def context(self) -> int:
        """Tokens of a prompt."""
        return int(self.clip["text_cfg"].get("context_length", CONTEXT))

    @property
    def image_size(self) -> int:
        """Side of a picture in pixels."""
        return int(self.clip["vision_cfg"].get("image_size", 224))


class AdaptedTower(SoundTower):
    """Waveform [n, samples] through the pack's graph, which stays as it is, and an adapter: unit vectors [n, dim]."""

    def __init__(self, towers: AdaptedTowers) -> None:
        super().__init__()
        self.towers = towers
        self.adapter = nn.Linear(towers.trunk_dim, towers.dim)
        self._encoder: Any = None

    def pretrained_parts(self) -> list[nn.Module]:
        return []

    def fresh_parts(self) -> list[nn.Module]:
        return [self.adapter]

    def pack(self) -> Pack:
        """The pack of the trunk.

        Raises
        ------
        PackError
            It is not there.
        CheckpointError
            Another of the same name is: its vectors cannot be compared with what the adapter was trained on.
        """
        from edgeapp.pack.installed import load_pack

        pack = load_pack(self.towers.pack)
        if pack.space != self.towers.space:
            raise CheckpointError(
                f"pack {pack.folder}: has space {pack.space}, the adapter was trained on {self.towers.space}",
                "bring the pack that it was trained with, or train again",
            )
        return pack

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Unit vectors [n, trunk_dim] of the trunk, without gradient."""
        if self._encoder is None:
            from edgeapp.runtime.encoders import AudioEncoder

            self._encoder = AudioEncoder(self.pack(), torch.get_num_threads())
        vectors = torch.from_numpy(self._encoder.encode(waveform.detach().cpu().numpy()))
        return F.normalize(vectors.to(waveform.device), dim=-1)

    def embed_branches(self, log_mel: Tensor) -> list[Tensor]:
        return [F.normalize(self.adapter(log_mel), dim=-1)]


def build_adapted(towers: AdaptedTowers) -> Vita:
    """The model with random weights."""
    return Vita(AdaptedTower(towers), *build_clip(towers.clip, towers.mean, towers.std), towers.dim)
