"""What a collection is to be: where from, of which taxa, under which terms, how many, and how it is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeapp.collect.curation import Rules
from edgeapp.collect.defaults import CONNECTIONS
from edgeapp.collect.licences import Terms
from edgeapp.collect.sources import KINDS
from edgeapp.collect.sources.kind import MODALITIES
from edgeapp.collect.transfer import Limits
from edgeapp.errors import UsageError
from edgeapp.species_lists import listed


@dataclass(frozen=True)
class Plan:
    """All that a run is told.

    Attributes
    ----------
    output : Path
        Folder of the collection.
    sources : tuple of (str, str)
        Names of sources, of `edgeapp.collect.sources.KINDS`, with their file or query. None: what is known already.
    modalities : tuple of str
    species, groups : tuple of str
        Scientific names and higher taxa that are wanted; empty for all.
    backbone : Path or None
        See `edgeapp.collect.taxonomy.backbone.Backbone.open`.
    terms : Terms
        Licences that are taken.
    rules : Rules
    photo_size, key : str
        See `edgeapp.collect.sources.kind.Setting`.
    addresses : mapping of str to str
        Source to the begin of its addresses, where it is not the public one.
    limits : Limits
    connections : int
        Files at once.
    per_s : float or None
        Requests a second to every host, instead of what each is known to bear.
    enough : int or None
        Media of a query that are wanted; None for all.
    again : bool
        Ask sources again for what they were asked already, and fetch again what failed for good.
    """

    output: Path
    sources: tuple[tuple[str, str], ...] = ()
    modalities: tuple[str, ...] = MODALITIES
    species: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    backbone: Path | None = None
    terms: Terms = field(default_factory=Terms.of)
    rules: Rules = Rules()
    photo_size: str = "large"
    key: str = field(default="", repr=False)
    addresses: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    connections: int = CONNECTIONS
    per_s: float | None = None
    enough: int | None = None
    again: bool = False

    def all_addresses(self) -> dict[str, str]:
        """The begin of the addresses of every source that asks."""
        return {name: kind.address for name, kind in KINDS.items() if kind.address} | dict(self.addresses)


def addresses_of(texts: list[str]) -> dict[str, str]:
    """Addresses of sources from ``NAME=URL``.

    Raises
    ------
    UsageError
    """
    known = [*(name for name, kind in KINDS.items() if kind.address), "wikipedia"]
    found = {}
    for text in texts:
        name, _, url = text.partition("=")
        if name not in known or "://" not in url:
            raise UsageError(
                f"--address {text}: not a source and its address", f"write NAME=URL for {', '.join(known)}"
            )
        found[name] = url
    return found


def species_of(path: Path) -> tuple[str, ...]:
    """Scientific names of a list, see `edgeapp.species_lists`.

    Raises
    ------
    UsageError
    """
    found = tuple(dict.fromkeys(name for _, name in listed(path)))
    if not found:
        raise UsageError(f"species list {path} has no name", "write one scientific name on each line")
    return found
