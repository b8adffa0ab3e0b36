"""The starter's towers: EfficientAT mn04, a small text tower and MobileNetV2."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from trainer.families.registry import Family, Origins, register
from trainer.hub import default_pretrained
from trainer.models.starter import StarterTowers, build_starter
from trainer.models.student import start_from_teacher
from trainer.models.text import TextConfig, learn_tokenizer
from trainer.models.vita import Vita


def from_dict(fields: dict[str, Any]) -> StarterTowers:
    return StarterTowers(**{**fields, "text": TextConfig(**fields["text"])})


def load(towers: StarterTowers, origins: Origins) -> tuple[Vita, Tokenizer, StarterTowers]:
    """Public weights for the trunks of sound and pictures, a new text tower, and a tokenizer of the prompts.

    With a student named, its audio trunk takes the place of the public one.
    """
    from trainer.tuned import open_tuned  # reads checkpoints, which know the families

    pretrained, tuned = origins.pretrained or default_pretrained(), None
    if origins.audio:
        tuned, space = open_tuned(Path(origins.audio))
        towers = replace(towers, trunk=space)
    tokenizer = learn_tokenizer(origins.texts(), towers.text)
    return build_starter(towers, pretrained, tuned), tokenizer, towers


register(Family("starter", from_dict, build_starter, load, export="mobilenet", begin_student=start_from_teacher))
