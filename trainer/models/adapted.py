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
from trainer.models.bioclip import ClipTowers, build_clip
from trainer.models.vita import SoundTower, Vita

if TYPE_CHECKING:
    from edgeapp.pack.format import Pack


@dataclass(frozen=True, kw_only=True)
class AdaptedTowers(ClipTowers):
    """Sizes of the towers.

    Parameters
    ----------
    pack : name or folder of the pack whose audio graph is the trunk; opened only when sound is encoded
    space : of that pack
    trunk_dim : dimension of the pack's vectors
    window_s, hop_s, pad : of the pack
    mel : only its sampling rate is used
    """

    pack: str
    space: str
    trunk_dim: int
    window_s: float = 3.0
    hop_s: float = 3.0
    pad: str = ZERO
    mel: LogMelConfig = LogMelConfig(rate_hz=48_000)
    family: str = field(default="adapted", init=False)


class AdaptedTower(SoundTower):
    """Waveform [n, samples] to unit vectors [n, dim], by the frozen graph of the pack and an adapter."""

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
            It is not installed.
        CheckpointError
            Its space is not the one that the adapter was trained on.
        """
        from edgeapp.pack.installed import load_pack

        pack = load_pack(self.towers.pack)
        if pack.space != self.towers.space:
            raise CheckpointError(
                f"pack {pack.folder}: has space {pack.space}, the adapter was trained on {self.towers.space}",
                "install the pack that it was trained with, or train again",
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
