"""The list of taxa to leave out of training, so that unseen names can be measured."""

from __future__ import annotations

from pathlib import Path

from edgeapp.species_lists import listed
from gallery import Names, Taxon
from gallery.errors import UnknownNameError
from trainer.errors import DataError


def read_withheld(path: Path, taxa: list[Taxon]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names in a file, one per line, or in the column `scientific_name` of a CSV such as a manifest.

    Returns
    -------
    names : scientific names of those in `taxa`, each once
    unknown : names that are not in `taxa`

    Raises
    ------
    UsageError
        When the file cannot be read.
    DataError
        When it has none of the taxa.
    """
    names = Names(taxa)
    found: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for name in dict.fromkeys(name for _, name in listed(path)):
        try:
            found[names.find(name, suggest=False).scientific_name] = None
        except UnknownNameError:
            unknown[name] = None
    if not found:
        raise DataError(f"{path}: has no taxon with a class vector", "write a scientific name on each line")
    return tuple(found), tuple(unknown)
