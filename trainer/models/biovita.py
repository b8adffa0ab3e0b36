"""The full-size BioVITA: HTS-AT with an adapter for sound, BioCLIP 2 for names and pictures (Shinoda et al., 2026)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trainer.frontend import SLANEY, LogMelConfig
from trainer.models.bioclip import CONTEXT, ClipImage, ClipText, build_clip
from trainer.models.clap import ClapTower
from trainer.models.vita import Vita

# `ClapFeatureExtractor` of the unfused model: 1001 frames of 64 bands for 10 s. On all recordings of the starter data
# float64 is within 1e-5 dB of it. In float32, which costs a third of the time, half of them have bands that are more
# than 1e-3 dB off, up to 0.7 dB: those far below the loudest of their frame, where rounding is all there is. Vectors
# do not feel it (1e-11 of cosine), so that a graph for hardware without float64 may do without.
CLAP_MEL = LogMelConfig(
    rate_hz=48_000,
    win_length=1024,  # 21 ms
    hop=480,  # 10 ms
    n_mels=64,
    fmin_hz=50.0,
    fmax_hz=14_000.0,
    preemphasis=0.0,
    log_floor=1e-10,
    shift=0.0,
    spread=1.0,
    periodic=True,
    scale=SLANEY,
    decibel=True,
    double=True,
)

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures; open_clip's default
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ClapBioclip:
    """Sizes of the towers: all that is needed to build them without a hub, as plain values of JSON.

    Parameters
    ----------
    audio : fields of `transformers.ClapAudioConfig`
    clip : `model_cfg` of open_clip: embed_dim, vision_cfg, text_cfg
    mean, std : of the pictures' channels on a scale of 0..1
    mel : the front end
    dim : of the space
    """

    audio: dict[str, Any]
    clip: dict[str, Any]
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    mel: LogMelConfig = CLAP_MEL
    dim: int = 768
    family: str = field(default="biovita", init=False)

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


FULL = ClapBioclip(
    audio={
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
    },
    clip={
        "embed_dim": 768,
        "vision_cfg": {"image_size": 224, "layers": 24, "width": 1024, "patch_size": 14},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 768, "heads": 12, "layers": 12},
    },
)


def build_towers(config: ClapBioclip) -> tuple[ClapTower, ClipText, ClipImage]:
    """Towers of sound, names and pictures with random weights."""
    return ClapTower(config.audio, config.mel, config.dim), *build_clip(config.clip, config.mean, config.std)


def build_biovita(config: ClapBioclip) -> Vita:
    """The model with random weights."""
    return Vita(*build_towers(config), config.dim)
