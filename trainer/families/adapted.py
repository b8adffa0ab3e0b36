"""BioCLIP 2 for names and pictures; for sound, the frozen audio encoder of a pack with an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from edgeapp.pack.format import PACK_FILE
from edgeapp.pack.installed import BEST, installed_packs
from trainer.errors import ConfigError
from trainer.families.registry import Family, Origins, register
from trainer.models.adapted import AdaptedTowers, build_adapted
from trainer.models.bioclip import clip_tokenizer
from trainer.models.vita import Vita
from trainer.published import BIOCLIP


def is_pack(source: str | None) -> bool:
    """Whether a source of audio weights is a pack: a folder, or the name of an installed or standard pack."""
    if not source or source.startswith("hf-hub:"):
        return False
    return (Path(source) / PACK_FILE).is_file() or source in BEST or source in {one.name for one in installed_packs()}


def from_dict(fields: dict[str, Any]) -> AdaptedTowers:
    return AdaptedTowers(**fields)


def build(towers: AdaptedTowers, pretrained: Path | None = None) -> Vita:
    return build_adapted(towers)


def load(towers: Any, origins: Origins) -> tuple[Vita, Tokenizer, AdaptedTowers]:
    """BioCLIP 2 as published, with an adapter fitted on class vectors and names."""
    from trainer.trunk.adapter import adapted

    if not origins.audio:
        raise ConfigError("an adapter needs the pack of an audio encoder", "name it with --audio")
    opened, model = adapted(origins.audio, origins.bioclip or BIOCLIP, origins.tell)
    return model, clip_tokenizer(opened.context), opened


register(Family("adapted", from_dict, build, load, export="adapted"))
