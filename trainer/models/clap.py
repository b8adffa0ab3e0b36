"""The audio tower of the full size: HTS-AT of CLAP, and a linear adapter to the space of BioCLIP 2.

HTS-AT (Chen et al., ICASSP 2022) with CLAP's projection (Wu et al., ICASSP 2023) is the `transformers` library's own
class, so published weights load unchanged; BioVITA adds the adapter (Shinoda et al., 2026).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.errors import CheckpointError, ConfigError
from trainer.frontend import LogMel, LogMelConfig
from trainer.models.vita import SoundTower

# Fields of `transformers.ClapAudioConfig` that define the encoder, with those of the unfused CLAP.
CLAP_AUDIO: dict[str, Any] = {
    "window_size": 8,
    "num_mel_bins": 64,
    "spec_size": 256,
    "hidden_act": "gelu",
    "patch_size": 4,
    "patch_stride": [4, 4],
    "hidden_size": 768,
    "projection_dim": 512,
    "depths": [2, 2, 6, 2],
    "num_attention_heads": [4, 8, 16, 32],
    "enable_fusion": False,
    "hidden_dropout_prob": 0.1,
    "patch_embed_input_channels": 1,
    "flatten_patch_embeds": True,
    "patch_embeds_hidden_size": 96,
    "enable_patch_layer_norm": True,
    "drop_path_rate": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "qkv_bias": True,
    "mlp_ratio": 4.0,
    "projection_hidden_act": "relu",
    "layer_norm_eps": 1e-5,
}


class ClapTower(SoundTower):
    """HTS-AT, CLAP's projection and the adapter.

    The level of the sound is not normalised, as in the published model.

    In training mode, HTS-AT in `transformers` has neither SpecAugment nor, with the published configuration, stochastic
    depth, but only dropout of 0.1 after each block's MLP. Its batch norm over the mel bands of the input keeps its
    pretrained statistics, while its scale and shift are trained: the vector of a window then does not depend on the
    other windows of the batch, so batches may be small, or split over machines. The released code updates the
    statistics from batches of 64, as is done here with `batch_statistics`.

    Parameters
    ----------
    audio : fields of `transformers.ClapAudioConfig`; the library's defaults for missing ones
    mel : the front end
    dim : of the space

    Attributes
    ----------
    bf16 : autocast to bfloat16, in training only; front end and adapter stay float32 or better
    """

    def __init__(self, audio: Mapping[str, Any], mel: LogMelConfig, dim: int) -> None:
        super().__init__()
        transformers = library()
        config = transformers.ClapAudioConfig(**audio)
        self.front = LogMel(mel)
        self.adapter = nn.Linear(
            config.projection_dim, dim, bias=False
        )  # first: its initial weights depend only on the seed
        self.clap = transformers.ClapAudioModelWithProjection(config)

    def train(self, mode: bool = True) -> ClapTower:
        super().train(mode)
        if not self.batch_statistics:
            self.clap.audio_model.audio_encoder.batch_norm.eval()
        return self

    def pretrained_parts(self) -> list[nn.Module]:
        return [self.clap]

    def fresh_parts(self) -> list[nn.Module]:
        return [self.adapter]

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Log-mel [n, n_mels, frames] in dB, without autocast."""
        with torch.autocast(waveform.device.type, enabled=False):
            return self.front(waveform)

    def embed_branches(self, log_mel: Tensor) -> list[Tensor]:
        """Log-mel to unit vectors of the tower, which has one branch."""
        device = log_mel.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.bf16 and self.training):
            features = self.clap(input_features=log_mel.transpose(1, 2)[:, None]).audio_embeds
        with torch.autocast(device, enabled=False):
            return [F.normalize(self.adapter(features.float()), dim=-1)]


def library() -> ModuleType:
    """The transformers library, imported late because the starter preset does not need it."""
    try:
        import transformers
    except ImportError:
        raise ConfigError("the transformers library is missing", "pip install 'biovita-edge[train]'") from None
    return transformers


def audio_fields(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Fields of the encoder in a configuration; the library's defaults for missing ones.

    Raises
    ------
    CheckpointError
        When the configuration is inconsistent, or that of a fused CLAP.
    """
    try:
        config = library().ClapAudioConfig(**{name: values[name] for name in CLAP_AUDIO if name in values})
        fields = {name: getattr(config, name) for name in CLAP_AUDIO}
        width = fields["patch_embeds_hidden_size"] * 2 ** (len(fields["depths"]) - 1)
    except ConfigError:
        raise
    except Exception as error:  # the type depends on the version of the library
        raise CheckpointError(f"{where}: not a configuration of CLAP ({error})", "fetch it again") from error
    if fields["enable_fusion"]:
        raise CheckpointError(f"{where}: this CLAP is a fused one", "use laion/clap-htsat-unfused")
    if fields["hidden_size"] != width:
        raise CheckpointError(f"{where}: hidden_size {fields['hidden_size']} is not {width}", "fetch it again")
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def audio_sizes(state: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """Fields of an HTS-AT derived from its tensors; the published values for all others.

    Raises
    ------
    CheckpointError
        When the tensors are not those of an HTS-AT.
    """
    encoder = "audio_model.audio_encoder."

    def size(name: str, axes: int) -> list[int]:
        if name not in state or state[name].ndim != axes:
            raise CheckpointError(
                f"{where}: tensor {name} is missing or not that of an HTS-AT", "name the weights of a ClapModel"
            )
        return list(state[name].shape)

    def count(prefix: str) -> int:
        return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})

    width, channels, high, wide = size(f"{encoder}patch_embed.proj.weight", 4)
    stages = [f"{encoder}layers.{stage}.blocks." for stage in range(count(f"{encoder}layers."))]
    biases = [size(f"{blocks}0.attention.self.relative_position_bias_table", 2) for blocks in stages]
    block = f"{encoder}layers.0.blocks.0."
    inner, _ = size(f"{block}intermediate.dense.weight", 2)
    projected, hidden = size("audio_projection.linear1.weight", 2)
    return audio_fields(
        {
            "window_size": (math.isqrt(biases[0][0]) + 1) // 2,  # a bias for each of (2 w - 1)^2 distances
            "num_mel_bins": size(f"{encoder}batch_norm.weight", 1)[0],
            "patch_size": high,
            "patch_stride": [high, wide],
            "hidden_size": hidden,
            "projection_dim": projected,
            "depths": [count(blocks) for blocks in stages],
            "num_attention_heads": [heads for _, heads in biases],
            "enable_fusion": f"{encoder}patch_embed.mel_conv2d.weight" in state,
            "patch_embed_input_channels": channels,
            "patch_embeds_hidden_size": width,
            "enable_patch_layer_norm": f"{encoder}patch_embed.norm.weight" in state,
            "qkv_bias": f"{block}attention.self.query.bias" in state,
            "mlp_ratio": inner / width,
        },
        where,
    )
