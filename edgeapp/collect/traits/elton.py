"""Trait values of birds and mammals from EltonTraits 1.0 (Wilman et al. 2014, Ecology 95: 2027).

It gives the share of ten kinds of food in the diet; for birds that of seven strata in foraging; for mammals one stratum
and the hours of activity. So it answers 13 of the 34 labels. A share of more than half is a main one, as in the paper's
five classes of diet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgeapp.collect.traits.schema import AT, LABELS, NO, UNKNOWN, YES, TraitTable
from edgeapp.errors import UsageError

MAIN = 50.0  # per cent; above it a food or a stratum is the main one
INVERTEBRATES = ("diet_inv",)
VERTEBRATES = ("diet_vend", "diet_vect", "diet_vfish", "diet_vunk")
CARRION = ("diet_scav",)
PLANTS = ("diet_fruit", "diet_nect", "diet_seed", "diet_planto")
DIET = (*INVERTEBRATES, *VERTEBRATES, *CARRION, *PLANTS)
STRATA: Mapping[str, tuple[str, ...]] = {
    "aquatic": ("forstrat_watbelowsurf", "forstrat_wataroundsurf"),
    "terrestrial": ("forstrat_ground",),
    "arboreal": ("forstrat_understory", "forstrat_midhigh", "forstrat_canopy"),
    "aerial": ("forstrat_aerial",),
}
STRATUM = {"g": "terrestrial", "ar": "arboreal", "a": "aerial", "m": "aquatic", "s": None}  # of mammals
HOURS = ("nocturnal", "crepuscular", "diurnal")
_NAMES = ("scientific_name", "scientific")
_REMEDY = "name BirdFuncDat.txt or MamFuncDat.txt of EltonTraits 1.0, or a CSV with their columns"


def from_elton(path: Path) -> TraitTable:
    """Read EltonTraits' table of birds or of mammals, tab-separated as published or as CSV.

    Raises
    ------
    UsageError
        The file cannot be read, has not its columns, or a value is no number (named with its line).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})", _REMEDY) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # as published
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter="\t" if "\t" in first else ",")
    header = [name.strip().casefold().replace("-", "_").replace(".", "_") for name in next(reader, [])]
    name_column = next((header.index(name) for name in _NAMES if name in header), None)
    if name_column is None or not set(DIET) <= set(header):
        raise UsageError(f"{path}: has not the columns of EltonTraits", _REMEDY)
    names, values = [], []
    for row in reader:
        fields = {name: value.strip() for name, value in zip(header, row)}
        name = " ".join(row[name_column].split()) if len(row) > name_column else ""
        if not name:
            continue  # footnotes below the table
        answered = np.full(len(LABELS), UNKNOWN, np.int8)
        try:
            for label, value in answers(fields).items():
                answered[AT[label]] = value
        except ValueError as error:
            raise UsageError(f"{path} line {reader.line_num}: {error}", "copy the file again") from None
        names.append(name)
        values.append(answered)
    if not names:
        raise UsageError(f"{path}: has no species", _REMEDY)
    return TraitTable(path, tuple(names), np.array(values))


def answers(fields: Mapping[str, str]) -> dict[str, int]:
    """Values of the labels in one line, its columns in lower case with underscores.

    Raises
    ------
    ValueError
        A share is no number.
    """
    values: dict[str, int] = {}
    if (diet := _shares(fields, DIET)) is not None:
        values |= _diet(diet)
    of_strata = {label: _shares(fields, columns) for label, columns in STRATA.items()}
    if all(shares is not None for shares in of_strata.values()):
        main = {label: sum((shares or {}).values()) > MAIN for label, shares in of_strata.items()}
        values |= {label: YES if is_main else NO for label, is_main in main.items()}
    stratum = fields.get("forstrat_value", "").casefold()
    if stratum in STRATUM and STRATUM[stratum] is not None:
        values |= {label: YES if label == STRATUM[stratum] else NO for label in STRATA}
    return {**values, **_activity(fields)}


def _diet(share: Mapping[str, float]) -> dict[str, int]:
    def of(columns: Sequence[str]) -> float:
        return sum(share[name] for name in columns)

    groups = {
        "herbivorous": of(PLANTS),
        "insectivorous": of(INVERTEBRATES),
        "carnivorous": of(VERTEBRATES) + of(CARRION),
    }
    main = next((label for label, total in groups.items() if total > MAIN), "omnivorous")
    killed = of(INVERTEBRATES) + of(VERTEBRATES) > MAIN
    values = {label: YES if label == main else NO for label in (*groups, "omnivorous")}
    return {**values, "predator": YES if killed else NO}


def _activity(fields: Mapping[str, str]) -> dict[str, int]:
    told = {name: fields.get(f"activity_{name}", "") for name in HOURS}
    if all(value in ("0", "1") for value in told.values()) and "1" in told.values():  # of mammals
        active = {name: value == "1" for name, value in told.items()}
        always = active["nocturnal"] and active["diurnal"]
        return {
            **{name: YES if active[name] and not always else NO for name in HOURS},
            "cathemeral": YES if always else NO,
        }
    if fields.get("nocturnal") == "1":  # of birds
        return {"nocturnal": YES, "diurnal": NO, "crepuscular": NO, "cathemeral": NO}
    return {"nocturnal": NO} if fields.get("nocturnal") == "0" else {}


def _shares(fields: Mapping[str, str], columns: Sequence[str]) -> dict[str, float] | None:
    """Per cent of each column; None where one is not known."""
    given = {name: fields.get(name, "") for name in columns}
    if any(value in ("", "NA") for value in given.values()):
        return None
    return {name: float(value) for name, value in given.items()}
