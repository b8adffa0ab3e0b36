"""The full size: HTS-AT with an adapter for sound, BioCLIP 2 for names and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from trainer.families.adapted import is_pack
from trainer.families.adapted import load as load_adapted
from trainer.families.registry import Family, Origins, register
from trainer.models.bioclip import clip_tokenizer
from trainer.models.biovita import ClapBioclip, build_biovita
from trainer.models.sizes import Towers
from trainer.models.vita import Vita
from trainer.published import BIOCLIP, CLAP, Sources, open_sources


def from_dict(fields: dict[str, Any]) -> ClapBioclip:
    return ClapBioclip(**fields)


def build(towers: ClapBioclip, pretrained: Path | None = None) -> Vita:
    return build_biovita(towers)


def load(towers: Towers, origins: Origins) -> tuple[Vita, Tokenizer, Towers]:
    """CLAP, or the audio encoder of a pack, and BioCLIP 2 as published, in their own sizes."""
    if is_pack(origins.audio):
        return load_adapted(towers, origins)
    sources = Sources(origins.audio or CLAP, origins.bioclip or BIOCLIP)
    opened, model = open_sources(sources, origins.tell)
    return model, clip_tokenizer(opened.context), opened


register(Family("biovita", from_dict, build, load, export="htsat"))
