"""Labels of an ONNX classifier as taxa, from the tables that such classifiers are published with."""

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

    A table with commas, semicolons or tabs and a header that names its columns, such as ``scientific_name`` or
    ``sci_name``; one column under any header, as Perch's is; or BirdNET's lines ``Scientific name_Common name``.

    Raises
    ------
    ExportError
        The file cannot be read or is empty.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}", "name a file that can be read") from None
    except UnicodeDecodeError:
        raise ExportError(f"{path}: is not UTF-8 text", "save it as UTF-8") from None
    if not lines:
        raise ExportError(f"{path}: has no labels", "name a file with a label a line")
    separator = max(SEPARATORS, key=lines[0].count)
    rows = list(csv.reader(lines, delimiter=separator))
    header = [cell.strip().lower() for cell in rows[0]]
    scientific = next((header.index(name) for name in SCIENTIFIC if name in header), None)
    if scientific is not None:
        common = next((header.index(name) for name in COMMON if name in header), None)
        if short := next((n for n, row in enumerate(rows, 1) if len(row) != len(header)), 0):
            raise ExportError(f"{path}, line {short}: has not {len(header)} columns", "quote what has a separator")
        return [(row[scientific].strip(), row[common].strip() if common is not None else "") for row in rows[1:]]
    if len(header) > 1:
        raise ExportError(f"{path}: no column has scientific names", f"call it {SCIENTIFIC[0]}")
    names = [tuple(part.strip() for part in line.partition("_")[::2]) for line in lines]
    return [(one, other) for one, other in names[_has_header(lines) :]]


def _has_header(lines: Sequence[str]) -> bool:
    """Whether the first of some lines is no label: one word with an underscore or digits, and names below."""
    first = lines[0].strip()
    below = sum(len(line.split("_")[0].split()) > 1 for line in lines[1:])
    return not first[:1].isupper() and len(first.split()) == 1 and 2 * below > len(lines) - 1


def taxa_of_names(names: Sequence[tuple[str, str]], known: Sequence[Label]) -> list[Label]:
    """Labels as taxa, with the ranks of those that are known by any of their scientific names.

    Of two labels of one species, the second keeps the name it came with; the same name again is no species.
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
    """A label as it stands."""
    words = scientific.split()
    is_species = len(words) > 1 and words[0].isalpha() and words[0].istitle() and words[1].islower()
    taxon = Taxon(scientific, "", "", "", "", "", words[0] if is_species else "", {"en": common} if common else {})
    return taxon, SPECIES if is_species else NO_SPECIES
