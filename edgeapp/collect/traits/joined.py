"""Traits of the species of a collection, joined from several tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeapp.collect.traits.schema import LABELS, NAME, NO, UNKNOWN, YES, TraitTable
from gallery import files
from gallery.taxon import Taxon

WORD = {YES: "yes", NO: "no", UNKNOWN: ""}


@dataclass(frozen=True)
class Coverage:
    """How much is known of one label.

    Attributes
    ----------
    label, group : str
    known, yes : int
        Species.
    """

    label: str
    group: str
    known: int
    yes: int


@dataclass(frozen=True)
class JoinedTraits:
    """Answers to all labels.

    Attributes
    ----------
    species : tuple of str
        Accepted names.
    values : np.ndarray
        ``[species, 34]`` int8: yes, no or unknown, in the order of the labels.
    coverage : tuple of Coverage
        One for each label.
    """

    species: tuple[str, ...]
    values: np.ndarray
    coverage: tuple[Coverage, ...]

    def write(self, path: Path) -> None:
        """Write a CSV that `read_traits` reads, atomically."""
        text = io.StringIO(newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow([NAME, *(label.name for label in LABELS)])
        for name, row in zip(self.species, self.values.tolist(), strict=True):
            table.writerow([name, *(WORD[value] for value in row)])
        files.write_text(path, text.getvalue())


def joined(taxa: Sequence[Taxon], tables: Sequence[TraitTable]) -> JoinedTraits:
    """Answer each label by the first table that knows it, species being found by their synonyms too.

    Parameters
    ----------
    taxa : sequence of Taxon
    tables : sequence of TraitTable
        The one that is trusted most first: the user's own, AVONET, EltonTraits.
    """
    names = tuple(taxon.scientific_name for taxon in taxa)
    values = np.full((len(names), len(LABELS)), UNKNOWN, np.int8)
    for table in tables:
        own = table.with_names_of(taxa).of(names) if names else values
        new = (values == UNKNOWN) & (own != UNKNOWN)
        values[new] = own[new]
    coverage = tuple(
        Coverage(
            label.name,
            label.group,
            int((values[:, column] != UNKNOWN).sum()),
            int((values[:, column] == YES).sum()),
        )
        for column, label in enumerate(LABELS)
    )
    return JoinedTraits(names, values, coverage)
