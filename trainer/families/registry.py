"""The register of families: which there are, and the one that sizes are of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from tokenizers import Tokenizer

from trainer.frontend import LogMelConfig
from trainer.models.sizes import Towers, tuples
from trainer.models.student import StudentTower
from trainer.models.vita import Vita

Sizes = TypeVar("Sizes", bound=Towers)

# Checkpoints in which no family is named, each known by a field that no other family had.
UNNAMED = {"teacher": "student", "text": "starter", "clip": "biovita"}
RENAMED = {"window": "win_length"}  # fields of the front end, as older checkpoints have them


@dataclass(frozen=True)
class Origins:
    """Where a first stage may take weights and words from; each family takes what it needs.

    Attributes
    ----------
    pretrained : folder of the public weights of the small trunks; None is the one beside the project
    audio, bioclip : sources of CLAP and BioCLIP 2, as `trainer.hub` reads them; None is the published model
    texts : gives the prompts that a tokenizer may be learned from
    teacher : model and tokenizer of a student's teacher
    tell : is told, in a line, what somebody should know to repeat the run
    """

    pretrained: Path | None = None
    audio: str | None = None
    bioclip: str | None = None
    texts: Callable[[], Sequence[str]] = tuple
    teacher: tuple[Vita, Tokenizer] | None = None
    tell: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Family(Generic[Sizes]):
    """What can be done with the towers of one kind.

    Attributes
    ----------
    name : as sizes and checkpoints have it
    from_dict : sizes from their fields, lists already tuples and the front end already built
    build : the model of these sizes, random but for what is in a folder of public weights
    load : model, tokenizer and true sizes that the first stage of a run begins with
    export : which of `export.lowerings.LOWERINGS` makes graphs of the audio tower
    begin_student : bring the audio tower of a student to where one of this family is; None where the trunk is another
    """

    name: str
    from_dict: Callable[[dict[str, Any]], Sizes]
    build: Callable[[Sizes, Path | None], Vita]
    load: Callable[[Sizes, Origins], tuple[Vita, Tokenizer, Sizes]]
    export: str
    begin_student: Callable[[StudentTower, Any], None] | None = None


FAMILIES: dict[str, Family[Any]] = {}


def register(family: Family[Any]) -> None:
    """Make a family known by its name."""
    FAMILIES[family.name] = family


def family_of(towers: Towers) -> Family[Any]:
    """The family that sizes are of."""
    return FAMILIES[towers.family]


def towers_from_dict(values: dict[str, Any]) -> Towers:
    """Sizes as stored beside a checkpoint.

    Raises
    ------
    ValueError
        When no family of that name is known.
    """
    named = next((family for field, family in UNNAMED.items() if field in values), None)
    name = values.get("family", named)
    if name not in FAMILIES:
        raise ValueError(f"towers of the family {name}")
    mel = {RENAMED.get(field, field): value for field, value in values["mel"].items()}
    fields = {**tuples(values), "mel": LogMelConfig(**mel)}
    fields.pop("family", None)
    return FAMILIES[name].from_dict(fields)


def build(towers: Towers, pretrained: Path | None = None) -> Vita:
    """The model of these sizes; with the folder of public weights, small trunks start from them."""
    return family_of(towers).build(towers, pretrained)
