"""Registry of the families of towers."""

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

# Family of checkpoints that name none, by a field that no other family had.
UNNAMED = {"teacher": "student", "text": "starter", "clip": "biovita"}
RENAMED = {"window": "win_length"}  # fields of the front end in older checkpoints


@dataclass(frozen=True)
class Origins:
    """Sources of the initial weights and tokenizer of a first stage; each family uses those it needs.

    Attributes
    ----------
    pretrained : folder of the public weights of the small networks; None for the one beside the project
    audio, bioclip : sources of CLAP and BioCLIP 2, see `trainer.hub`; None for the published models
    texts : gives the prompts to train a tokenizer on
    teacher : model and tokenizer of a student's teacher
    tell : called with a message that helps to repeat the run
    """

    pretrained: Path | None = None
    audio: str | None = None
    bioclip: str | None = None
    texts: Callable[[], Sequence[str]] = tuple
    teacher: tuple[Vita, Tokenizer] | None = None
    tell: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Family(Generic[Sizes]):
    """A kind of towers.

    Attributes
    ----------
    name : in sizes and checkpoints
    from_dict : sizes from their fields, with tuples instead of lists and the front end as `LogMelConfig`
    build : model of these sizes with random weights, or with those in a folder of public weights
    load : model, tokenizer and actual sizes that the first stage of a run starts from
    export : entry of `export.lowerings.LOWERINGS` that exports the audio tower
    begin_student : initialise a student's audio tower from one of this family; None if the trunks differ
    """

    name: str
    from_dict: Callable[[dict[str, Any]], Sizes]
    build: Callable[[Sizes, Path | None], Vita]
    load: Callable[[Sizes, Origins], tuple[Vita, Tokenizer, Sizes]]
    export: str
    begin_student: Callable[[StudentTower, Any], None] | None = None


FAMILIES: dict[str, Family[Any]] = {}


def register(family: Family[Any]) -> None:
    """Register a family by its name."""
    FAMILIES[family.name] = family


def family_of(towers: Towers) -> Family[Any]:
    """The family of some sizes."""
    return FAMILIES[towers.family]


def towers_from_dict(values: dict[str, Any]) -> Towers:
    """Sizes as stored with a checkpoint.

    Raises
    ------
    ValueError
        When the family is unknown.
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
    """The model of these sizes, with random weights or those in a folder of public weights."""
    return family_of(towers).build(towers, pretrained)
