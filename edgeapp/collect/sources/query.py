"""Queries as a person writes them: the parameters of an address."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from edgeapp.errors import UsageError


def parameters(source: str, what: str, own: tuple[str, ...], by_species: bool) -> list[tuple[str, Any]]:
    """Parameters of a query that a person gave.

    Raises
    ------
    UsageError
        It has parameters of the program's own, no parameter at all, or is for everything without a list of species.
    """
    if what.strip().casefold() == "all":
        if not by_species:
            raise UsageError(f"--{source} all asks for everything", "narrow it, or name species with --species-list")
        return []
    given: list[tuple[str, Any]] = [*parse_qsl(what.strip().lstrip("?"))]
    if not given:
        raise UsageError(f"--{source} {what!r} has no parameters", "write them as in an address: name=value&name=value")
    for name, _ in given:
        if name in own:
            raise UsageError(f"--{source}: {name} is set by the program", "leave it out")
    return given
