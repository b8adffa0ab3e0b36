"""Labels of an ONNX classifier as taxa, in the formats in which such classifiers are published."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from export.birdnet.labels import NO_SPECIES
from export.errors import ExportError
from gallery.errors import TaxonError
from gallery.labels import SPECIES, Label
from gallery.taxon import Names, Taxon

SCIENTIFIC = ("scientific_name", "sci_name", "scientific name", "scientificname", "species", "label", "name")
COMMON = ("common_name", "com_name", "common name", "commonname", "english_name", "english name")
SEPARATORS = ",;\t"


def read_names(path: Path) -> list[tuple[str, str]]:
    """Scientific and common name of each label, in the order of the outputs.

    A table separated by commas, semicolons or tabs with a header such as `scientific_name` or `sci_name`; one column
    with any header, as for Perch; or BirdNET's lines `Scientific name_Common name`.

    Raises
    ------
    ExportError
        The file cannot be read or is empty.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}", "name a readable file") from None
    except UnicodeDecodeError:
        raise ExportError(f"{path}: is not UTF-8 text", "save it as UTF-8") from None
    if not lines:
        raise ExportError(f"{path}: has no labels", "name a file with one label per line")
    separator = max(SEPARATORS, key=lines[0].count)
    try:
        rows = list(csv.reader(lines, delimiter=separator))
    except csv.Error as error:
        raise ExportError(f"{path}: is not a table ({error})", "save it as CSV") from None
    header = [cell.strip().lower() for cell in rows[0]]
    scientific = next((header.index(name) for name in SCIENTIFIC if name in header), None)
    if scientific is not None:
        common = next((header.index(name) for name in COMMON if name in header), None)
        if short := next((n for n, row in enumerate(rows, 1) if len(row) != len(header)), 0):
            raise ExportError(
                f"{path}, line {short}: does not have {len(header)} columns", "quote values with a separator"
            )
        return [(row[scientific].strip(), row[common].strip() if common is not None else "") for row in rows[1:]]
    if len(header) > 1:
        raise ExportError(f"{path}: no column has scientific names", f"call it {SCIENTIFIC[0]}")
    names = [tuple(part.strip() for part in line.partition("_")[::2]) for line in lines]
    return [(one, other) for one, other in names[_has_header(lines) :]]


def _has_header(lines: Sequence[str]) -> bool:
    """Whether the first line is a header: a single word that is not capitalised, followed by names of several words."""
    first = lines[0].strip()
    below = sum(len(line.split("_")[0].split()) > 1 for line in lines[1:])
    return not first[:1].isupper() and len(first.split()) == 1 and 2 * below > len(lines) - 1


def taxa_of_names(names: Sequence[tuple[str, str]], known: Sequence[Label]) -> list[Label]:
    """Labels as taxa, with the ranks of known taxa.

    The second label of a species keeps its own name; a repeated name is not a species.
    """
    index = Names(label.taxon for label in known)
    kinds = {label.taxon.scientific_name: label.kind for label in known}
    labels: list[Label] = []
    seen: set[str] = set()
    for scientific, common in names:
        taxon, kind = _found(scientific, common, index, kinds)
        if taxon.scientific_name.casefold() in seen:
            taxon, kind = _own(scientific, common)
        if taxon.scientific_name.casefold() in seen:
            kind = NO_SPECIES
        seen.add(taxon.scientific_name.casefold())
        labels.append(Label(taxon, kind))
    return labels


def _found(scientific: str, common: str, index: Names, kinds: dict[str, str]) -> tuple[Taxon, str]:
    try:
        taxon = index.find(scientific, suggest=False)
    except TaxonError:
        return _own(scientific, common)
    return taxon, kinds[taxon.scientific_name]


def _own(scientific: str, common: str) -> tuple[Taxon, str]:
    """A label that is not a known taxon."""
    words = scientific.split()
    is_species = len(words) > 1 and words[0].isalpha() and words[0].istitle() and words[1].islower()
    taxon = Taxon(scientific, "", "", "", "", "", words[0] if is_species else "", {"en": common} if common else {})
    return taxon, SPECIES if is_species else NO_SPECIES
