"""Trait values of birds from AVONET (Tobias et al. 2022, Ecology Letters 25), CC BY 4.0.

AVONET has values for 20 of the 34 labels, and none for activity, locomotion mode, social behaviour, mountains and life
below the ground; those stay unknown. It gives one main habitat and lifestyle for each species, so a species of two
habitats counts for one of them.

Climatic distribution is the latitudinal belts that the breeding range overlaps: belts of latitude, not climates. Only
the two ends of a range are known, so a belt between two separate parts of it counts as overlapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgeapp.collect.traits.lines import read_lines
from edgeapp.collect.traits.schema import AT, LABELS, NO, UNKNOWN, YES, TraitTable
from edgeapp.errors import UsageError

SPECIES = ("Species1", "Species2", "Species3")  # of its three tables, by the names of BirdLife, eBird and BirdTree
ABSENT = ("NA", "")
BELTS_DEG = {  # distance from the equator; the limits between tropics (23.44) and polar circles (66.56) are a choice
    "tropical": (0.0, 23.44),
    "subtropical": (23.44, 35.0),
    "temperate": (35.0, 55.0),
    "boreal": (55.0, 66.56),
    "polar": (66.56, 90.0),
}
NORTHERN = ("boreal",)  # there is no boreal zone in the south
MIN_OVERLAP_DEG = 1.0  # of a range with a belt, or half of the range if that is smaller

HABITATS = ("forest", "grassland", "desert", "wetland", "urban")
LIFESTYLES = ("arboreal", "aquatic", "terrestrial", "aerial")
DIETS = ("herbivorous", "carnivorous", "insectivorous", "omnivorous")

# Value in AVONET to the label that is yes; the other labels of its group are no, or all of them for "". A value that
# decides nothing maps to None: a generalist has no main lifestyle, and AVONET's coast is partly salt marsh and estuary.
HABITAT: Mapping[str, str | None] = {
    "Forest": "forest",
    "Woodland": "forest",
    "Grassland": "grassland",
    "Desert": "desert",
    "Wetland": "wetland",
    "Riverine": "wetland",
    "Human Modified": "urban",
    "Shrubland": "",
    "Rock": "",
    "Marine": "",
    "Coastal": None,
}
LIFESTYLE: Mapping[str, str | None] = {
    "Insessorial": "arboreal",  # perches above the ground, mostly in trees, also on rocks and wires
    "Aquatic": "aquatic",
    "Terrestrial": "terrestrial",
    "Aerial": "aerial",
    "Generalist": None,
}
TROPHIC_LEVELS = ("Herbivore", "Carnivore", "Omnivore", "Scavenger")
MIGRATION = {"1": NO, "2": NO, "3": YES}  # 2: part of the population, or over short distances


def from_avonet(path: Path) -> TraitTable:
    """Read one of AVONET's tables of species: by the names of BirdLife, eBird or BirdTree.

    Raises
    ------
    UsageError
        The file cannot be read, a column is missing, or a value is unknown (named with its line).
    """
    header, _ = read_lines(path, ())
    name = next((one for one in SPECIES if one in header), None)
    if name is None:
        raise UsageError(f"{path}: column {SPECIES[0]} is missing", f"it must have one of {', '.join(SPECIES)}")
    columns = (name, "Habitat", "Migration", "Trophic.Level", "Trophic.Niche", "Primary.Lifestyle")
    _, lines = read_lines(path, (*columns, "Min.Latitude", "Max.Latitude"))
    values = np.full((len(lines), len(LABELS)), UNKNOWN, np.int8)
    for row, (line, fields) in enumerate(lines):
        try:
            for label, value in answers(fields).items():
                values[row, AT[label]] = value
        except (KeyError, ValueError) as error:
            raise UsageError(f"{path} line {line}: {error} is not a value of AVONET", "copy the file again") from None
    return TraitTable(path, tuple(fields[name] for _, fields in lines), values)


def answers(fields: Mapping[str, str]) -> dict[str, int]:
    """Values of the labels in one line of AVONET.

    Raises
    ------
    KeyError, ValueError
        A value is unknown.
    """
    given = {name: value for name, value in fields.items() if value not in ABSENT}
    values: dict[str, int] = {}
    if "Habitat" in given:
        values |= _one_of(HABITATS, HABITAT[given["Habitat"]])
    if "Primary.Lifestyle" in given:
        values |= _one_of(LIFESTYLES, LIFESTYLE[given["Primary.Lifestyle"]])
    if "Trophic.Level" in given:
        values |= _diet(given["Trophic.Level"], given.get("Trophic.Niche"))
    if "Migration" in given:
        values["migratory"] = MIGRATION[given["Migration"]]
    if "Min.Latitude" in given and "Max.Latitude" in given:
        south, north = (float(given[one].replace(",", ".")) for one in ("Min.Latitude", "Max.Latitude"))
        values |= belts(south, north)
    return values


def _one_of(names: tuple[str, ...], yes: str | None) -> dict[str, int]:
    return {} if yes is None else {name: YES if name == yes else NO for name in names}


def _diet(level: str, niche: str | None) -> dict[str, int]:
    """Diet and trophic level; the niche distinguishes carnivores that eat land invertebrates."""
    if level not in TROPHIC_LEVELS:
        raise KeyError(level)
    predator = {"predator": YES if level == "Carnivore" else NO}
    if level == "Carnivore" and niche is None:
        return predator | {"herbivorous": NO, "omnivorous": NO}
    insects = level == "Carnivore" and niche == "Invertivore"
    yes = {"Herbivore": "herbivorous", "Omnivore": "omnivorous"}.get(level, "carnivorous")
    return predator | _one_of(DIETS, "insectivorous" if insects else yes)


def belts(south_deg: float, north_deg: float) -> dict[str, int]:
    """Which latitudinal belts a range from `south_deg` to `north_deg` overlaps, on either side of the equator."""
    if not -90.0 <= south_deg <= north_deg <= 90.0:
        raise ValueError(f"latitude {south_deg:g} to {north_deg:g}")
    enough = min(MIN_OVERLAP_DEG, (north_deg - south_deg) / 2)
    values = {}
    for name, (near, far) in BELTS_DEG.items():
        north = min(north_deg, far) - max(south_deg, near)
        south = min(-south_deg, far) - max(-north_deg, near)
        overlap = north if name in NORTHERN else max(north, south)
        values[name] = YES if overlap >= enough else NO
    return values
