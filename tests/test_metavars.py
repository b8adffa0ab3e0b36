"""The help of every command of all programs names values with the same words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

import edgeapp.cli
import export.cli
import trainer.__main__
from edgeapp.config.setting import METAVARS


def parameters(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every parameter that takes a value, with the words of its command."""
    with typer.Context(command) as context:
        for inner in command.list_commands(context) if hasattr(command, "list_commands") else ():
            yield from parameters(command.get_command(context, inner), f"{name} {inner}")
        for parameter in command.params:
            if not getattr(parameter, "is_flag", False):
                yield f"{name} {parameter.opts[0]}", parameter


DEVICE = dict(parameters(typer.main.get_command(edgeapp.cli.app), "biovita-edge"))
ALL = {
    **DEVICE,
    **dict(parameters(typer.main.get_command(trainer.__main__.app), "python -m trainer")),
    **dict(parameters(typer.main.get_command(export.cli.app), "python -m export")),
}


@pytest.mark.parametrize("name", ALL)
def test_a_metavar_is_a_known_word_or_the_choices(name):
    metavar = (ALL[name].metavar or "").removesuffix("...").strip("[]")
    words = re.split(r"[|=]", metavar)
    choices = all(re.fullmatch(r"[a-z0-9]+|-", word) for word in words)
    assert metavar and (choices or set(words) <= set(METAVARS))


def test_every_known_word_is_used():
    used = {word for parameter in DEVICE.values() for word in re.split(r"\W+", parameter.metavar or "")}
    assert set(METAVARS) - used == set()
