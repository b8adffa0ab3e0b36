"""Model sizes: `biovita` at full size, or as small as its code allows."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.gpu_steps.plan import Settings
from trainer.models.biovita import FULL, ClapBioclip
from trainer.models.clap import ClapTower
from trainer.presets import BIOVITA, Preset

TINY = replace(
    FULL,
    audio={
        **FULL.audio,
        "spec_size": 128,
        "patch_embeds_hidden_size": 16,
        "hidden_size": 32,
        "depths": [2, 1],
        "num_attention_heads": [1, 2],
    },
    clip={
        "embed_dim": 32,
        "vision_cfg": {"image_size": 48, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
    dim=32,
)
TINY_WINDOW_S = 2.0  # length of a spectrogram of that size


def preset_of(settings: Settings) -> Preset:
    """The preset `biovita` in the selected size."""
    return replace(BIOVITA, towers=TINY, window_s=TINY_WINDOW_S) if settings.tiny else BIOVITA


def random_htsat(preset: Preset) -> ClapTower:
    """HTS-AT with reproducible random weights, its spectrogram in float32 as in a pack."""
    assert isinstance(preset.towers, ClapBioclip)
    torch.manual_seed(0)
    tower = ClapTower(preset.towers.audio, replace(preset.mel, double=False), preset.dim).eval()
    return tower.requires_grad_(False)
