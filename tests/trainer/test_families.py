"""Families of towers: each is registered by its own module, and nothing else asks which one a tower is of."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import trainer.families
from export.lowerings import LOWERINGS
from tests.conftest import PROJECT
from trainer.families.registry import FAMILIES, UNNAMED, build, family_of, towers_from_dict
from trainer.models import adapted, bioclip, clap, student, trunk, vita
from trainer.models.adapted import AdaptedTowers
from trainer.models.biovita import FULL
from trainer.models.sizes import Towers
from trainer.models.starter import StarterTowers
from trainer.models.student import StudentTowers
from trainer.models.text import TextConfig
from trainer.models.trunk import TrunkTowers, WordsConfig

TEXT = TextConfig(vocabulary=64, context=16)
SIZES: dict[str, Towers] = {
    "starter": StarterTowers(dim=32, text=TEXT),
    "student": StudentTowers(StudentTowers(FULL, "first"), "second", level_dbfs=-30.0),
    "biovita": replace(FULL, mean=(0.1, 0.2, 0.3)),
    "trunk": TrunkTowers(dim=32, text=WordsConfig(vocabulary=64, context=16)),
    "adapted": AdaptedTowers(
        pack="linear", space="space", trunk_dim=24, clip=FULL.clip, window_s=0.5, mean=(0.1, 0.2, 0.3)
    ),
}
TOWER_CLASSES = {
    name
    for module in (vita, student, clap, bioclip, trunk, adapted)
    for name, value in vars(module).items()
    if isinstance(value, type) and (issubclass(value, vita.SoundTower) or name.startswith("Clip") or "Tower" in name)
} | {type(towers).__name__ for towers in SIZES.values()}


def as_before(values: Any) -> Any:
    """What was stored before sizes named their family, and the length of a frame was called a window."""
    if not isinstance(values, dict):
        return values
    older = {"win_length": "window"}
    return {older.get(name, name): as_before(value) for name, value in values.items() if name != "family"}


def test_every_family_is_registered_by_a_module_of_its_name() -> None:
    folder = Path(trainer.families.__file__).parent
    assert set(FAMILIES) == {path.stem for path in folder.glob("*.py")} - {"__init__", "registry"} == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_read_back_as_they_were_stored(name: str) -> None:
    towers = SIZES[name]
    stored = json.loads(json.dumps(asdict(towers)))  # type: ignore[call-overload]
    assert towers_from_dict(stored) == towers and towers.family == name == family_of(towers).name


@pytest.mark.parametrize("name", UNNAMED.values())
def test_sizes_are_read_as_they_were_stored_before(name: str) -> None:
    stored = as_before(json.loads(json.dumps(asdict(SIZES[name]))))  # type: ignore[call-overload]
    assert towers_from_dict(stored) == SIZES[name]


def test_a_family_that_is_not_registered_is_named() -> None:
    with pytest.raises(ValueError, match="perch"):
        towers_from_dict({**asdict(SIZES["starter"]), "family": "perch"})  # type: ignore[call-overload]


def test_a_student_is_built_beside_the_towers_of_its_teacher() -> None:
    model = build(StudentTowers(SIZES["starter"], "space"))
    assert type(model.audio) is student.StudentTower and model.dim == 32


def test_the_exporter_knows_the_audio_tower_of_every_family() -> None:
    assert {family.export for family in FAMILIES.values()} == set(LOWERINGS)


def asked(source: str) -> Iterator[str]:
    """Names of the classes that a module asks objects for."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            classes: list[ast.AST] = node.args[1:]
        elif isinstance(node, ast.MatchClass):
            classes = [node.cls]
        else:
            continue
        names = [name for one in classes for name in ast.walk(one)]
        yield from (name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "") for name in names)


def test_the_search_for_classes_finds_them() -> None:
    source = "isinstance(a, (AudioTower, vita.Tower | None))\nmatch a:\n    case StarterTowers(): pass"
    assert {"AudioTower", "Tower", "StarterTowers"} <= set(asked(source)) & TOWER_CLASSES


def test_nothing_asks_which_tower_it_has() -> None:
    paths = [path for package in ("trainer", "export") for path in sorted((PROJECT / package).rglob("*.py"))]
    found = [
        f"{path.relative_to(PROJECT)}: {name}"
        for path in paths
        for name in asked(path.read_text(encoding="utf-8"))
        if name in TOWER_CLASSES
    ]
    assert found == [] and len(paths) > 50
