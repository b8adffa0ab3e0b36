"""A student's towers: the starter's trunk for sound beside the text and image towers of a teacher of any family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from trainer.errors import ConfigError
from trainer.families.registry import Family, Origins, family_of, register, towers_from_dict
from trainer.families.registry import build as build_any
from trainer.hub import default_pretrained
from trainer.models.student import StudentTowers, build_student_audio
from trainer.models.vita import Vita


def from_dict(fields: dict[str, Any]) -> StudentTowers:
    return StudentTowers(**{**fields, "teacher": towers_from_dict(fields["teacher"])})


def build(towers: StudentTowers, pretrained: Path | None = None) -> Vita:
    model = build_any(towers.teacher)
    model.audio = build_student_audio(towers, pretrained)
    return model


def load(towers: StudentTowers, origins: Origins) -> tuple[Vita, Tokenizer, StudentTowers]:
    """The teacher's text and image towers with a small audio tower in place of its own.

    The small tower starts from public weights, or from those of a teacher with the same trunk.
    """
    if origins.teacher is None:
        raise ConfigError("a student needs a teacher", "name its checkpoint with --teacher")
    theirs, tokenizer = origins.teacher
    audio = build_student_audio(towers, origins.pretrained or default_pretrained())
    begin = family_of(towers.teacher).begin_student
    if begin:
        begin(audio, theirs.audio)
    model = Vita(audio, theirs.text, theirs.image, theirs.dim)
    model.logit_scale, model.base_logit_scale = theirs.logit_scale, theirs.base_logit_scale
    return model.eval(), tokenizer, towers


register(Family("student", from_dict, build, load, export="mobilenet"))
