"""The taxon of each row of a manifest, looked up in a species table or built from the manifest's own columns.

The accepted name has precedence over the scientific name. All rows with one accepted name are one taxon: a row that
gives only a synonym belongs to the taxon that other rows give as its accepted name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gallery import Names, Taxon, TaxonError
from trainer.data.layouts import TAXONOMY
from trainer.data.tables import arrow, codes
from trainer.errors import DataError

NAMED = 3  # species listed in a note


@dataclass(frozen=True)
class Named:
    """Taxa in the order of their names, and the taxon of each row of a manifest.

    Attributes
    ----------
    taxa : tuple of Taxon
    taxon : [rows] int32
    notes : remarks, one line each
    """

    taxa: tuple[Taxon, ...]
    taxon: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Pairs:
    """Every pair of accepted and scientific name, in the order of their first rows."""

    names: list[tuple[str, str]]
    first: np.ndarray  # [pairs] first row
    of_row: np.ndarray  # [rows]


def look_up(columns: dict[str, Any], table: Sequence[Taxon], where: Callable[[int], str]) -> Named:
    """Find the taxon of each row in a species table.

    Parameters
    ----------
    columns : Arrow arrays accepted_name, scientific_name [rows]
    where : gives the position of a row, for messages

    Raises
    ------
    DataError
        When a name is not in the table.
    """
    names, pairs = Names(table), _pairs(columns)
    found: list[Taxon] = []
    for (accepted, scientific), row in zip(pairs.names, pairs.first.tolist()):
        found.append(_find(names, [name for name in (accepted, scientific) if name], where, row))
    return _in_name_order(found, pairs)


def make(columns: dict[str, Any]) -> Named:
    """Build the taxa from the manifest: names and TAXONOMY, Arrow arrays [rows].

    Where rows contradict each other about a species, the first value is used; the notes have the number of such species
    and some of them.
    """
    pairs = _pairs(columns)
    called = _accepted(pairs.names)
    spelling: dict[str, str] = {}
    synonyms: dict[str, dict[str, None]] = defaultdict(dict)
    for key, (accepted, scientific) in zip(called, pairs.names):
        if _key(accepted or scientific) == key:
            spelling.setdefault(key, accepted or scientific)
    for key, (_, scientific) in zip(called, pairs.names):
        if scientific and _key(scientific) not in spelling:
            synonyms[key].setdefault(scientific)
    ranks, conflicts = _ranks(columns, pairs, called)
    taxa = {key: _taxon(spelling[key], ranks[key], tuple(synonyms[key])) for key in spelling}
    named = _in_name_order([taxa[key] for key in called], pairs)
    if not conflicts:
        return named
    shown = "; ".join(f"{spelling[key]}: {differs}" for key, differs in list(conflicts.items())[:NAMED])
    note = f"rows contradict each other about {len(conflicts)} species, the first value is used ({shown})"
    return Named(named.taxa, named.taxon, (note,))


def _find(names: Names, called: Sequence[str], where: Callable[[int], str], row: int) -> Taxon:
    error: TaxonError | None = None
    for name in called:
        try:
            return names.find(name)
        except TaxonError as failed:
            error = error or failed
    raise DataError(f"{where(row)}: {error}", "add the species to the table given with --taxa") from error


def _pairs(columns: dict[str, Any]) -> _Pairs:
    accepted, accepted_names = codes(columns["accepted_name"])
    scientific, scientific_names = codes(columns["scientific_name"])
    both = accepted.astype(np.int64) * len(scientific_names) + scientific
    unique, first, of_row = np.unique(both, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    names = [
        (accepted_names[code // len(scientific_names)], scientific_names[code % len(scientific_names)])
        for code in unique[order].tolist()
    ]
    return _Pairs(names, first[order], place[of_row.reshape(-1)])


def _in_name_order(found: Sequence[Taxon], pairs: _Pairs) -> Named:
    """Taxa sorted by name, so that rows do not depend on the order of the file."""
    taxa = sorted({taxon.scientific_name: taxon for taxon in found}.values(), key=lambda taxon: taxon.scientific_name)
    place = {taxon.scientific_name: row for row, taxon in enumerate(taxa)}
    of_pair = np.array([place[taxon.scientific_name] for taxon in found], np.int32)
    return Named(tuple(taxa), of_pair[pairs.of_row])


def _accepted(names: Sequence[tuple[str, str]]) -> list[str]:
    """Key of the taxon of each pair of accepted and scientific name."""
    accepted = {_key(name) for name, _ in names if name}
    stands_for: dict[str, set[str]] = defaultdict(set)
    for name, scientific in names:
        if name and scientific:
            stands_for[_key(scientific)].add(_key(name))
    called = []
    for name, scientific in names:
        key = _key(name or scientific)
        if key not in accepted and len(stands_for[key]) == 1:
            (key,) = stands_for[key]
        called.append(key)
    return called


def _ranks(
    columns: dict[str, Any], pairs: _Pairs, called: Sequence[str]
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Values of TAXONOMY of each taxon, and a contradiction of each taxon that has one."""
    coded = {name: codes(columns[name]) for name in TAXONOMY}
    rows = {"pair": pairs.of_row, **{name: of_row for name, (of_row, _) in coded.items()}}
    pa = arrow()
    table = pa.table({**rows, "row": np.arange(len(pairs.of_row))})
    every = table.group_by(list(rows)).aggregate([("row", "min")]).sort_by("row_min").to_pydict()
    values = {name: [" ".join(value.split()) for value in texts] for name, (_, texts) in coded.items()}
    ranks: dict[str, dict[str, str]] = defaultdict(dict)
    conflicts: dict[str, str] = {}
    for at, pair in enumerate(every["pair"]):
        of_taxon = ranks[called[pair]]
        for name in TAXONOMY:
            value = values[name][every[name][at]]
            first = of_taxon.setdefault(name, value) or value
            of_taxon[name] = first
            if value and value.casefold() != first.casefold():
                conflicts.setdefault(called[pair], f"{name.replace('_', ' ')} {first}, not {value}")
    return ranks, conflicts


def _taxon(name: str, ranks: dict[str, str], synonyms: tuple[str, ...]) -> Taxon:
    return Taxon(
        scientific_name=name,
        kingdom=ranks["kingdom"],
        phylum=ranks["phylum"],
        class_=ranks["class"],
        order=ranks["order"],
        family=ranks["family"],
        genus=ranks["genus"],
        common_names={"en": ranks["common_name"]} if ranks["common_name"] else {},
        synonyms=synonyms,
    )


def _key(name: str) -> str:
    return name.casefold()
