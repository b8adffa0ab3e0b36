"""Text and image towers in the space of a pack's classifier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from trainer.families.registry import Family, Origins, register
from trainer.models.photo import PhotoConfig
from trainer.models.text import learn_tokenizer
from trainer.models.trunk import TrunkTowers, WordsConfig, build_trunk
from trainer.models.vita import Vita


def from_dict(fields: dict[str, Any]) -> TrunkTowers:
    photo = PhotoConfig(**fields.get("photo", {}))
    return TrunkTowers(**{**fields, "text": WordsConfig(**fields["text"]), "photo": photo})


def build(towers: TrunkTowers, pretrained: Path | None = None) -> Vita:
    return build_trunk(towers)


def load(towers: TrunkTowers, origins: Origins) -> tuple[Vita, Tokenizer, TrunkTowers]:
    """A new text tower and a tokenizer of the prompts, whose vocabulary may be smaller than configured."""
    tokenizer = learn_tokenizer(origins.texts(), towers.text.tokens)
    towers = replace(towers, text=replace(towers.text, vocabulary=tokenizer.get_vocab_size()))
    return build_trunk(towers), tokenizer, towers


register(Family("trunk", from_dict, build, load, export="given"))
