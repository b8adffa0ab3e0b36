"""Names shipped with the program: common names in many languages, and their species."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from edgeapp.paths import NAMES, TAXONOMY
from gallery.names_table import ENGLISH, NamesTable
from gallery.naming import Naming, naming
from gallery.taxon import Names, Taxon


@cache
def names_table() -> NamesTable:
    """Common names by language; read lazily."""
    return NamesTable(NAMES)


def names_of(taxa: Iterable[Taxon]) -> Names:
    """Names of taxa in every language, for finding them."""
    return Names(taxa, names_table())


@cache
def shipped_names() -> Names:
    """Names of `shipped_species` in every language: to gather them takes a third of a second."""
    return names_of(shipped_species())


def naming_in(language: str | None, taxa: Iterable[Taxon] = ()) -> Naming:
    """Common names in a language, for showing them; English when None.

    Raises
    ------
    TaxonError
        There is no such language; those that are there are listed.
    """
    return naming(language or ENGLISH, names_table(), taxa)


@cache
def shipped_species() -> tuple[Taxon, ...]:
    """The species whose names come with the program, with their ranks."""
    from gallery.labels import read_taxonomy

    return tuple(label.taxon for label in read_taxonomy(TAXONOMY) if label.is_species)
