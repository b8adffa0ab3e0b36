"""Trait values of birds from AVONET (Tobias et al. 2022, Ecology Letters 25), CC BY 4.0.

AVONET answers 20 of the 34 labels. It says nothing on activity, locomotion mode, social behaviour, mountains and life
below the ground; those stay unknown. It names one habitat and one lifestyle for each species, the main one, so that a
species of two habitats counts for one of them.

Climatic distribution is the latitudinal belts that the breeding range reaches into: belts of latitude, not climates. A
range is known by its two ends alone, so that a belt between two far parts of it counts as reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trainer.errors import DataError
from trainer.probes.labelled import read_lines
from trainer.probes.trait_schema import AT, LABELS, NO, UNKNOWN, YES, TraitTable

SPECIES = "Species1"
ABSENT = ("NA", "")
BELTS_DEG = {  # distance from the equator; the two circles are 23.44 and 66.56, the limits between them are a choice
    "tropical": (0.0, 23.44),
    "subtropical": (23.44, 35.0),
    "temperate": (35.0, 55.0),
    "boreal": (55.0, 66.56),
    "polar": (66.56, 90.0),
}
NORTHERN = ("boreal",)  # there is no boreal zone in the south
LEAST_REACH_DEG = 1.0  # of a belt that a range must cover, or half of the range where that is smaller

HABITATS = ("forest", "grassland", "desert", "wetland", "urban")
LIFESTYLES = ("arboreal", "aquatic", "terrestrial", "aerial")
DIETS = ("herbivorous", "carnivorous", "insectivorous", "omnivorous")

# Value in AVONET to the label that is answered yes; the others of its row are answered no, all of them where it is "".
# A value that leaves the question open maps to None: a generalist has no main lifestyle, and AVONET's coast is partly
# salt marsh and estuary.
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
    "Insessorial": "arboreal",  # perches above the ground: trees for the most part, also rocks and wires
    "Aquatic": "aquatic",
    "Terrestrial": "terrestrial",
    "Aerial": "aerial",
    "Generalist": None,
}
TROPHIC_LEVELS = ("Herbivore", "Carnivore", "Omnivore", "Scavenger")
MIGRATION = {"1": NO, "2": NO, "3": YES}  # 2: a part of the population, or over short distances


def from_avonet(path: Path) -> TraitTable:
    """Read AVONET's table of species (BirdLife names).

    Raises
    ------
    DataError
        The file cannot be read, or is not AVONET: a column is missing, or a value is unknown (named with its line).
    """
    columns = (SPECIES, "Habitat", "Migration", "Trophic.Level", "Trophic.Niche", "Primary.Lifestyle")
    _, lines = read_lines(path, (*columns, "Min.Latitude", "Max.Latitude"))
    values = np.full((len(lines), len(LABELS)), UNKNOWN, np.int8)
    for row, (line, fields) in enumerate(lines):
        try:
            for name, value in answers(fields).items():
                values[row, AT[name]] = value
        except (KeyError, ValueError) as error:
            raise DataError(f"{path} line {line}: {error} is not a value of AVONET", "copy the file again") from None
    return TraitTable(path, tuple(fields[SPECIES] for _, fields in lines), values)


def answers(fields: Mapping[str, str]) -> dict[str, int]:
    """Labels that one line of AVONET answers.

    Raises
    ------
    KeyError, ValueError
        A value that AVONET does not have.
    """
    given = {name: value for name, value in fields.items() if value not in ABSENT}
    told: dict[str, int] = {}
    if "Habitat" in given:
        told |= _one_of(HABITATS, HABITAT[given["Habitat"]])
    if "Primary.Lifestyle" in given:
        told |= _one_of(LIFESTYLES, LIFESTYLE[given["Primary.Lifestyle"]])
    if "Trophic.Level" in given:
        told |= _diet(given["Trophic.Level"], given.get("Trophic.Niche"))
    if "Migration" in given:
        told["migratory"] = MIGRATION[given["Migration"]]
    if "Min.Latitude" in given and "Max.Latitude" in given:
        told |= belts(float(given["Min.Latitude"]), float(given["Max.Latitude"]))
    return told


def _one_of(names: tuple[str, ...], yes: str | None) -> dict[str, int]:
    return {} if yes is None else {name: YES if name == yes else NO for name in names}


def _diet(level: str, niche: str | None) -> dict[str, int]:
    """Diet and trophic level; the niche tells among carnivores those that live on land invertebrates."""
    if level not in TROPHIC_LEVELS:
        raise KeyError(level)
    told = {"predator": YES if level == "Carnivore" else NO}
    if level == "Carnivore" and niche is None:
        return told | {"herbivorous": NO, "omnivorous": NO}
    insects = level == "Carnivore" and niche == "Invertivore"
    yes = {"Herbivore": "herbivorous", "Omnivore": "omnivorous"}.get(level, "carnivorous")
    return told | _one_of(DIETS, "insectivorous" if insects else yes)


def belts(south_deg: float, north_deg: float) -> dict[str, int]:
    """Which latitudinal belts a range from `south_deg` to `north_deg` reaches into, on either side of the equator."""
    if not -90.0 <= south_deg <= north_deg <= 90.0:
        raise ValueError(f"latitude {south_deg:g} to {north_deg:g}")
    enough = min(LEAST_REACH_DEG, (north_deg - south_deg) / 2)
    told = {}
    for name, (near, far) in BELTS_DEG.items():
        north = min(north_deg, far) - max(south_deg, near)
        south = min(-south_deg, far) - max(-north_deg, near)
        reach = north if name in NORTHERN else max(north, south)
        told[name] = YES if reach >= enough else NO
    return told
