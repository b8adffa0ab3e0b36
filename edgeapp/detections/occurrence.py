"""Which species are expected at a place and in a week, from the occurrence model of the pack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeapp.detections.species_range import check_place
from edgeapp.errors import UsageError
from edgeapp.pack.format import Pack
from edgeapp.pack.names import names_table
from edgeapp.runtime.occurrence import occurrence
from gallery.taxon import Taxon


@dataclass(frozen=True, eq=False)
class Occurrence:
    """What the model says of one place.

    Attributes
    ----------
    latitude, longitude : float
        Degrees.
    least : float
        Occurrence from which a species is expected.
    values : Mapping[str, numpy.ndarray]
        Accepted scientific name to ``[1 + WEEKS]``: of the whole year, then of each of BirdNET's weeks.
    without_value : int
        Taxa of which the model knows nothing; they are expected everywhere.
    """

    latitude: float
    longitude: float
    least: float
    values: Mapping[str, np.ndarray]
    without_value: int = 0

    @classmethod
    def of(
        cls,
        pack: Pack,
        latitude: float,
        longitude: float,
        least: float | None = None,
        taxa: Sequence[Taxon] | None = None,
    ) -> Occurrence:
        """Ask the model of a pack.

        Parameters
        ----------
        pack : Pack
        latitude, longitude : float
        least : float, optional
            The pack's own, which is BirdNET's, if not given.
        taxa : sequence of Taxon, optional
            Those that values are wanted for, by their synonyms too; the species of the model if not given.

        Raises
        ------
        PackError
            The pack has no such model, or it cannot be used.
        UsageError
            There is no such place or threshold.
        """
        check_place(latitude, longitude)
        if least is not None and not 0 <= least <= 1:
            raise UsageError(f"min_occurrence must be between 0 and 1, not {least:g}", "give a number from 0 to 1")
        names, values = occurrence(pack, latitude, longitude)
        assert pack.range is not None  # or `occurrence` would have raised
        columns = {name: values[:, column] for column, name in enumerate(names) if name}
        least = pack.range.threshold if least is None else least
        if taxa is None:
            return cls(latitude, longitude, least, columns)
        found = {taxon.scientific_name: column for taxon in taxa if (column := _column(taxon, columns)) is not None}
        return cls(latitude, longitude, least, found, len(taxa) - len(found))

    def value(self, species: str, week: int | None) -> float | None:
        """Occurrence of a species in a week, in the whole year for None; None where the model knows nothing of it."""
        values = self.values.get(species)
        return None if values is None else float(values[week or 0])

    def expects(self, species: str, week: int | None) -> bool:
        """Whether a species is expected; one that the model knows nothing of always is."""
        value = self.value(species, week)
        return value is None or value >= self.least

    def described(self) -> dict[str, Any]:
        """The filter for the record of a deployment."""
        return {
            "min_occurrence": self.least,
            "species_with_value": len(self.values),
            "species_without_value": self.without_value,
        }


def _column(taxon: Taxon, columns: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Values of a taxon, found by its accepted name, its synonyms, or the accepted name that it is a synonym of."""
    names = (taxon.scientific_name, *taxon.synonyms)
    for name in names:
        if name in columns:
            return columns[name]
    table = names_table()
    for row in (table.rows[name] for name in names if name in table.rows):
        if table.scientific_names[row] in columns:
            return columns[table.scientific_names[row]]
    return None
