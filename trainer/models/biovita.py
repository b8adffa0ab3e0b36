"""The full-size BioVITA: HTS-AT with an adapter for sound, BioCLIP 2 for names and pictures (Shinoda et al., 2026)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trainer.frontend import SLANEY, LogMelConfig
from trainer.models.bioclip import ClipImage, ClipText, ClipTowers, build_clip
from trainer.models.clap import CLAP_AUDIO, ClapTower
from trainer.models.vita import Vita

# `ClapFeatureExtractor` of the unfused model: 1001 frames of 64 bands for 10 s. On all recordings of the starter data
# float64 is within 1e-5 dB of it. In float32, which takes a third of the time, half of them have bands that differ by
# more than 1e-3 dB, up to 0.7 dB: those far below the loudest of their frame, where rounding dominates. Vectors do not
# change (1e-11 of cosine), so a graph for hardware without float64 may use float32.
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


@dataclass(frozen=True, kw_only=True)
class ClapBioclip(ClipTowers):
    """Sizes of the towers.

    Parameters
    ----------
    audio : fields of `transformers.ClapAudioConfig`
    mel : the front end
    """

    audio: dict[str, Any]
    mel: LogMelConfig = CLAP_MEL
    family: str = field(default="biovita", init=False)


FULL = ClapBioclip(
    audio=CLAP_AUDIO,
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
