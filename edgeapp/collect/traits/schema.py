"""The 34 trait labels and tables of their values.

BioVITA publishes the number of its labels and their groups, but not the labels. AnimalCLAP, by the same authors,
publishes 22: eighteen yes-or-no labels and four with several values (diet type, activity, locomotion mode, social
behaviour). With four values for each of those four, each a yes-or-no label of its own, the 22 become 34 in the
published groups. This is the schema used here; whether it is BioVITA's cannot be verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeapp.collect.traits.lines import read_lines
from edgeapp.errors import UsageError
from gallery import Taxon

NAME = "scientific_name"
SISTER_PAPER = "sister paper"  # AnimalCLAP names the label or the value
PUBLISHED_GROUP = "published group"  # only its group is published; the labels in it are chosen here
YES, NO, UNKNOWN = 1, 0, -1
WORDS = {
    **dict.fromkeys(("yes", "true", "1", "1.0"), YES),
    **dict.fromkeys(("no", "false", "0", "0.0"), NO),
    **dict.fromkeys(("", "na", "n/a", "nan", "none", "unknown", "?"), UNKNOWN),
}
MAX_LISTED = 5  # lines listed in an error


@dataclass(frozen=True)
class Label:
    """One yes-or-no question about a species.

    Attributes
    ----------
    name : column of a table
    group : published group
    means : condition for yes
    source : `SISTER_PAPER` or `PUBLISHED_GROUP`
    column : column with several values, in which its name means yes for it and no for the others
    """

    name: str
    group: str
    means: str
    source: str = SISTER_PAPER
    column: str = ""


def _values(group: str, column: str, *values: tuple[str, str, str]) -> tuple[Label, ...]:
    return tuple(Label(name, group, means, source, column) for name, means, source in values)


LABELS: tuple[Label, ...] = (
    *_values(
        "Diet type",
        "diet_type",
        ("herbivorous", "eats mainly plants, seeds, fruit or nectar", SISTER_PAPER),
        ("carnivorous", "eats mainly vertebrates, animals of the water, or carrion", PUBLISHED_GROUP),
        ("insectivorous", "eats mainly insects and other invertebrates of the land", PUBLISHED_GROUP),
        ("omnivorous", "eats plants and animals in like measure", PUBLISHED_GROUP),
    ),
    *_values(
        "Activity pattern",
        "activity_pattern",
        ("diurnal", "active by day", SISTER_PAPER),
        ("nocturnal", "active at night", SISTER_PAPER),
        ("crepuscular", "active at dusk and dawn", SISTER_PAPER),
        ("cathemeral", "active at any hour", SISTER_PAPER),
    ),
    *_values(
        "Locomotion",
        "locomotion_mode",
        ("quadrupedal", "moves mainly on four legs", SISTER_PAPER),
        ("bipedal", "moves mainly on two legs", PUBLISHED_GROUP),
        ("flying", "moves mainly on the wing", PUBLISHED_GROUP),
        ("saltatory", "moves mainly in leaps", PUBLISHED_GROUP),
    ),
    Label("arboreal", "Lifestyle", "lives mainly in trees or on other perches above the ground"),
    Label("aquatic", "Lifestyle", "lives mainly on or in water"),
    Label("terrestrial", "Lifestyle", "lives mainly on the ground"),
    Label("fossorial", "Lifestyle", "lives mainly below the ground"),
    Label("aerial", "Lifestyle", "spends much of its time in the air"),
    Label("predator", "Trophic level", "lives mainly on animals that it kills"),
    Label("forest", "Habitat", "lives mainly in forest or woodland"),
    Label("grassland", "Habitat", "lives mainly in grassland"),
    Label("desert", "Habitat", "lives mainly in desert"),
    Label("wetland", "Habitat", "lives mainly at fresh water: lakes, marshes, rivers"),
    Label("mountain", "Habitat", "lives mainly in mountains"),
    Label("urban", "Habitat", "lives mainly in towns, gardens and other land made by people"),
    Label("tropical", "Climatic distribution", "lives in the tropics"),
    Label("subtropical", "Climatic distribution", "lives in the subtropics"),
    Label("temperate", "Climatic distribution", "lives in the temperate zone"),
    Label("boreal", "Climatic distribution", "lives in the boreal zone"),
    Label("polar", "Climatic distribution", "lives in the polar zone"),
    *_values(
        "Social behaviour",
        "social_behavior",
        ("solitary", "lives alone outside the breeding season", PUBLISHED_GROUP),
        ("pairing", "lives in pairs", SISTER_PAPER),
        ("group", "lives in flocks, herds or family groups", PUBLISHED_GROUP),
        ("colonial", "breeds in colonies", PUBLISHED_GROUP),
    ),
    Label("migratory", "Migration status", "most of its population migrates over long distances"),
)
AT: Mapping[str, int] = {label.name: row for row, label in enumerate(LABELS)}
VALUES: Mapping[str, tuple[str, ...]] = {  # of each column that holds one of several values
    column: tuple(label.name for label in LABELS if label.column == column)
    for column in dict.fromkeys(label.column for label in LABELS if label.column)
}


@dataclass(frozen=True)
class TraitTable:
    """Trait values of species.

    Attributes
    ----------
    species : names as in the table
    values : [species, 34] int8, YES, NO or UNKNOWN, in the order of `LABELS`
    ignored : columns that match no label
    """

    path: Path
    species: tuple[str, ...]
    values: np.ndarray
    ignored: tuple[str, ...] = ()

    def of(self, names: Sequence[str]) -> np.ndarray:
        """Values [names, 34] of species; UNKNOWN for those not in the table."""
        row_of = {_key(name): row for row, name in enumerate(self.species)}
        rows = np.array([row_of.get(_key(name), -1) for name in names], dtype=int)
        values = np.full((len(rows), len(LABELS)), UNKNOWN, np.int8)
        values[rows >= 0] = self.values[rows[rows >= 0]]
        return values

    def absent(self, names: Iterable[str]) -> tuple[str, ...]:
        """The species in `names` that are not in the table, each once."""
        known = {_key(name) for name in self.species}
        return tuple(sorted({name for name in names if _key(name) not in known}))

    def with_names_of(self, taxa: Iterable[Taxon]) -> TraitTable:
        """The table with the accepted name of taxa that it lists only under a synonym."""
        row_of = {_key(name): row for row, name in enumerate(self.species)}
        names, rows = list(self.species), list(range(len(self.species)))
        for taxon in taxa:
            synonyms = [row_of[_key(name)] for name in taxon.synonyms if _key(name) in row_of]
            if synonyms and _key(taxon.scientific_name) not in row_of:
                names.append(taxon.scientific_name)
                rows.append(synonyms[0])
        return replace(self, species=tuple(names), values=self.values[rows])


def read_traits(path: Path) -> TraitTable:
    """Read a table of trait values.

    Parameters
    ----------
    path : CSV with the column scientific_name and any of the labels as columns (yes/no, true/false, 1/0; empty if
        unknown), or any of the columns diet_type, activity_pattern, locomotion_mode and social_behavior with the name
        of one of their labels

    Raises
    ------
    UsageError
        The file cannot be read, no column is a label, a species occurs twice, or values are invalid or contradict each
        other; the first five are listed with their lines.
    """
    header, lines = read_lines(path, (NAME,))
    known = [name for name in header if name in AT or name in VALUES]
    if not known:
        raise UsageError(f"{path}: no column is a trait label", f"the labels are {', '.join(AT)}")
    names: list[str] = []
    values = np.full((len(lines), len(LABELS)), UNKNOWN, np.int8)
    faults: list[str] = []
    for row, (line, fields) in enumerate(lines):
        names.append(" ".join(fields[NAME].split()))
        for column in known:
            fault = _answer(values[row], column, fields[column])
            faults += [f"line {line}, column {column}: {fault}"] if fault else []
    if faults:
        more = f" and {len(faults) - MAX_LISTED} more" if len(faults) > MAX_LISTED else ""
        raise UsageError(f"{path}: {', '.join(faults[:MAX_LISTED])}{more}", "correct them; leave unknown values empty")
    _once(path, names, [line for line, _ in lines])
    return TraitTable(path, tuple(names), values, tuple(name for name in header if name not in (NAME, *known)))


def _answer(values: np.ndarray, column: str, text: str) -> str:
    """Set the values [34] of a species from one field; returns an error message, or an empty string."""
    word = " ".join(text.split()).lower()
    if column in VALUES:
        if WORDS.get(word) == UNKNOWN:
            return ""
        if word not in VALUES[column]:
            return f"'{text}' is not one of {', '.join(VALUES[column])}"
        given = {AT[name]: YES if name == word else NO for name in VALUES[column]}
    elif word in WORDS:
        given = {AT[column]: WORDS[word]} if WORDS[word] != UNKNOWN else {}
    else:
        return f"'{text}' is neither yes nor no"
    for at, value in given.items():
        if values[at] not in (UNKNOWN, value):
            return f"'{text}' contradicts another column about {LABELS[at].name}"
        values[at] = value
    return ""


def _once(path: Path, names: Sequence[str], lines: Sequence[int]) -> None:
    """Refuse empty and repeated names."""
    line_of: dict[str, int] = {}
    for name, line in zip(names, lines):
        first = line_of.setdefault(_key(name), line)
        if not name:
            raise UsageError(f"{path} line {line}: {NAME} is empty", "name the species or remove the line")
        if first != line:
            raise UsageError(f"{path} line {line}: '{name}' is already on line {first}", "keep one of the two")


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()
