"""What a collection is to be: where from, of which taxa, under which terms, how many, and how it is fetched."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeapp.collect.curation import Rules
from edgeapp.collect.defaults import CONNECTIONS
from edgeapp.collect.licences import Terms
from edgeapp.collect.sources import KINDS
from edgeapp.collect.sources.decoding import delimiter_of
from edgeapp.collect.sources.kind import MODALITIES
from edgeapp.collect.transfer import Limits
from edgeapp.errors import UsageError

SCIENTIFIC = "scientificname"  # column of a species table


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
    """Scientific names of a list: a species table (with commas, tabs or semicolons), or one name a line.

    A ``#`` starts a comment; ``Parus major_Great Tit`` and ``Parus_major`` are *Parus major*.

    Raises
    ------
    UsageError
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"species list {path} is not UTF-8 text", "save it as text in UTF-8") from None
    except OSError as error:
        raise UsageError(f"species list {path} cannot be read ({error.strerror})", "check the path") from None
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    delimiter = delimiter_of(lines[0]) if lines else ","
    try:
        columns = [_column(name) for name in next(csv.reader(lines[:1], delimiter=delimiter), [])]
        if SCIENTIFIC in columns:
            at = columns.index(SCIENTIFIC)
            rows = csv.reader(lines[1:], delimiter=delimiter, strict=True)
            names = [row[at].strip() for row in rows if len(row) > at]
        else:
            names = [_name_in(line.partition("#")[0]) for line in lines]
    except csv.Error as error:
        raise UsageError(
            f"species list {path} is no table ({error})", "close its quotes, or list names alone"
        ) from None
    found = tuple(dict.fromkeys(name for name in names if name))
    if not found:
        raise UsageError(f"species list {path} has no name", "write one scientific name on each line")
    return found


def _column(name: str) -> str:
    """The name of a column, as it is compared: ``Scientific Name`` is `SCIENTIFIC`."""
    return "".join(filter(str.isalnum, name.casefold()))


def _name_in(line: str) -> str:
    """The name in a line, before the common name that BirdNET's lists have behind it."""
    line = line.strip().strip('"')
    first, _, _ = line.partition("_")
    return first.strip() if " " in first.strip() else line.replace("_", " ").strip()
