"""The species of a region: what the occurrence model of a pack or a table of ranges expects there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeapp.detections.occurrence import Occurrence
from edgeapp.detections.species_range import check_place, met
from edgeapp.errors import UsageError
from edgeapp.pack.format import Pack
from gallery.taxon import Taxon

POINTS = 12  # at most, of a side of a box: from 5 to 12, Europe gains 10 of 556 species, and 8 s
STEP_DEG = 1.0
_REMEDY = "write LATITUDE,LONGITUDE, or the box SOUTH,WEST,NORTH,EAST in degrees"


@dataclass(frozen=True)
class Region:
    """A place, or a box of degrees.

    Attributes
    ----------
    latitude, longitude : (float, float)
        From south to north and from west to east; a west above the east runs over 180 degrees.
    """

    latitude: tuple[float, float]
    longitude: tuple[float, float]

    @classmethod
    def of(cls, text: str) -> Region:
        """A region from ``"51.5,7.0"`` or ``"47,5.5,55,15"``; a west above the east runs over 180 degrees.

        Raises
        ------
        UsageError
        """
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            raise UsageError(f"--region {text!r}: not numbers of degrees", _REMEDY) from None
        if len(numbers) == 2:
            check_place(*numbers)
            return cls((numbers[0], numbers[0]), (numbers[1], numbers[1]))
        if len(numbers) != 4 or not numbers[0] <= numbers[2]:
            raise UsageError(f"--region {text!r} is no region", _REMEDY)
        south, west, north, east = numbers
        check_place(south, west)
        check_place(north, east)
        return cls((south, north), (west, east))

    @property
    def places(self) -> list[tuple[float, float]]:
        """Places [(latitude, longitude)] that stand for it, where places are all that can be asked for."""
        west, east = self.longitude
        east += 360.0 if east < west else 0.0
        longitudes = [value if value <= 180.0 else value - 360.0 for value in _spread(west, east)]
        return [(latitude, longitude) for latitude in _spread(*self.latitude) for longitude in longitudes]


def species_of_region(
    region: Region, taxa: Sequence[Taxon], pack: Pack, table: Path | None = None, least: float | None = None
) -> tuple[str, ...]:
    """Species that are expected at a place of a region at some time of the year.

    Parameters
    ----------
    region : Region
    taxa : sequence of Taxon
        Among which they are.
    pack : Pack
        Whose occurrence model is asked, for the `Region.places`.
    table : Path, optional
        Of ranges, instead of the model: those that meet the region.
    least : float, optional
        Occurrence from which a species is expected; the pack's own if not given.

    Raises
    ------
    UsageError, PackError
        The table cannot be read, or the pack has no such model.
    """
    if table is not None:
        found = met(table, taxa, region.latitude, region.longitude)
    else:
        found = set()
        for latitude, longitude in region.places:
            occurrence = Occurrence.of(pack, latitude, longitude, least, taxa)
            highest = {name: float(values.max()) for name, values in occurrence.values.items()}
            found.update(name for name, value in highest.items() if value >= occurrence.least)
    return tuple(taxon.scientific_name for taxon in taxa if taxon.scientific_name in found)


def _spread(low: float, high: float) -> list[float]:
    n = min(POINTS, 1 + round((high - low) / STEP_DEG)) if high > low else 1
    return np.linspace(low, high, max(2, n)).tolist() if high > low else [low]
