"""The audio tower of the full size: HTS-AT as CLAP has it, and a linear adapter to the space of BioCLIP 2.

HTS-AT (Chen et al., ICASSP 2022) with CLAP's projection (Wu et al., ICASSP 2023) is the `transformers` library's own
class, so that published weights load as they are; BioVITA adds the adapter (Shinoda et al., 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.errors import CheckpointError, ConfigError
from trainer.frontend import LogMel, LogMelConfig

# The fields of `transformers.ClapAudioConfig` that say what the encoder is built of.
AUDIO_FIELDS = (
    "window_size",
    "num_mel_bins",
    "spec_size",
    "hidden_act",
    "patch_size",
    "patch_stride",
    "hidden_size",
    "projection_dim",
    "depths",
    "num_attention_heads",
    "enable_fusion",
    "hidden_dropout_prob",
    "patch_embed_input_channels",
    "flatten_patch_embeds",
    "patch_embeds_hidden_size",
    "enable_patch_layer_norm",
    "drop_path_rate",
    "attention_probs_dropout_prob",
    "qkv_bias",
    "mlp_ratio",
    "projection_hidden_act",
    "layer_norm_eps",
)


class ClapTower(nn.Module):
    """Waveform [n, samples] at the front end's rate to unit vectors [n, dim]; the front end is inside.

    The level of the sound is left as it is, as in the published model: a recording is not made louder or quieter.

    In training mode, HTS-AT in `transformers` has neither SpecAugment nor, with the published configuration, stochastic
    depth; what it has is dropout of 0.1 after each block's perceptron, and that is kept. Its one batch norm, over mel
    bands in front of everything, keeps the statistics it was pretrained with while its scale and shift learn: a window's
    vector then does not depend on the windows beside it, so that batches may be small, split or spread over machines.
    The released code lets the statistics follow batches of 64.

    Parameters
    ----------
    audio : fields of `transformers.ClapAudioConfig`; what is not given is the library's default
    mel : the front end
    dim : of the space

    Attributes
    ----------
    bf16 : autocast to bfloat16, in training only; front end, adapter and length stay float32
    """

    def __init__(self, audio: Mapping[str, Any], mel: LogMelConfig, dim: int) -> None:
        super().__init__()
        try:
            from transformers import ClapAudioConfig, ClapAudioModelWithProjection
        except ImportError:
            raise ConfigError("the transformers library is missing", "pip install 'biovita-edge[train]'") from None
        config = ClapAudioConfig(**audio)
        if config.enable_fusion:
            raise CheckpointError(
                "this CLAP fuses four spectrograms of long recordings", "use an unfused one: laion/clap-htsat-unfused"
            )
        self.bf16 = False
        self.front = LogMel(mel)
        self.adapter = nn.Linear(config.projection_dim, dim, bias=False)  # first: its start depends on the seed alone
        self.clap = ClapAudioModelWithProjection(config)

    def train(self, mode: bool = True) -> ClapTower:
        super().train(mode)
        self.clap.audio_model.audio_encoder.batch_norm.eval()
        return self

    def pretrained_parts(self) -> list[nn.Module]:
        """What is tuned gently: encoder and projection of CLAP."""
        return [self.clap]

    def fresh_parts(self) -> list[nn.Module]:
        """What starts from nothing."""
        return [self.adapter]

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Log-mel [n, 64, frames] in dB, whatever autocast it is called under."""
        with torch.autocast(waveform.device.type, enabled=False):
            return self.front(waveform)

    def embed(self, log_mel: Tensor) -> Tensor:
        """Log-mel to unit vectors."""
        device = log_mel.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bf16 and self.training):
            features = self.clap(input_features=log_mel.transpose(1, 2)[:, None]).audio_embeds
        with torch.autocast(device, enabled=False):
            return F.normalize(self.adapter(features.float()), dim=-1)

    def embed_branches(self, log_mel: Tensor) -> list[Tensor]:
        """Log-mel to unit vectors of the tower and of each branch; this tower has none."""
        return [self.embed(log_mel)]

    def forward(self, waveform: Tensor) -> Tensor:
        return self.embed(self.log_mel(waveform))
