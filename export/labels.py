"""Labels of a classifier as taxa, in the formats in which classifiers are published."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeapp.collect.taxonomy.names import NoSpecies, parsed
from edgeapp.file_names import printable
from export.errors import ExportError
from gallery.errors import TaxonError
from gallery.labels import SPECIES, Label
from gallery.taxon import Names, Taxon

SCIENTIFIC = ("scientific_name", "sci_name", "scientific name", "scientificname", "species", "label", "name")
COMMON = ("common_name", "com_name", "common name", "commonname", "english_name", "english name")
SEPARATORS = ",;\t"
BETWEEN = "_"  # scientific and common name in BirdNET's lines
NO_SPECIES = "noise"
TOLD = 3  # labels that are not species


class Named(NamedTuple):
    """The names of a label, as written, and the line of the file they are in."""

    scientific: str
    common: str
    line: int


def read_names(path: Path) -> list[Named]:
    """The labels of a file, in the order of the outputs; blank lines are left out.

    A table separated by commas, semicolons or tabs with a header such as `scientific_name` or `sci_name`; one column
    with any header, as for Perch; or BirdNET's lines `Scientific name_Common name`.

    Raises
    ------
    ExportError
        The file cannot be read or is empty, or a row of the table has another number of columns.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}", "name a readable file") from None
    except UnicodeDecodeError:
        raise ExportError(f"{path}: is not UTF-8 text", "save it as UTF-8") from None
    lines = [(number, line.strip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise ExportError(f"{path}: has no labels", "name a file with one label per line")
    first = lines[0][1]
    separator = max(SEPARATORS, key=first.count)
    header = [cell.strip().strip('"').lower() for cell in first.split(separator)]
    if any(name in header for name in SCIENTIFIC):
        return _rows(path, lines, separator, header)
    if len(header) > 1 and BETWEEN not in first:
        raise ExportError(f"{path}: no column has scientific names", f"call it {SCIENTIFIC[0]}")
    return [_named(line, number) for number, line in lines[_has_header([line for _, line in lines]) :]]


def taxon_of(scientific: str, index: Names) -> Taxon | None:
    """The known taxon of a name, which may have an author and, if it is known then, a `_` for the blank."""
    for name in (scientific, _species(scientific)):
        try:
            return index.find(name, suggest=False)
        except TaxonError:
            continue
    return None


def taxa_of_names(names: Sequence[Named], known: Sequence[Label]) -> list[Label]:
    """Labels as taxa, with the ranks of known taxa.

    The second label of a species keeps its own name; a repeated name is not a species.
    """
    index = Names(label.taxon for label in known)
    kinds = {label.taxon.scientific_name: label.kind for label in known}
    labels: list[Label] = []
    seen: set[str] = set()
    for one in names:
        label = _label(one, index, kinds)
        if label.taxon.scientific_name.casefold() in seen:
            label = _own(one.scientific, one.common)
        if label.taxon.scientific_name.casefold() in seen:
            label = Label(label.taxon, NO_SPECIES)
        seen.add(label.taxon.scientific_name.casefold())
        labels.append(label)
    return labels


def distinct_taxa(path: Path, known: Sequence[Label]) -> list[Label]:
    """The labels of a file as taxa, each of which is another one.

    Raises
    ------
    ExportError
        The file cannot be read, or a species occurs twice.
    """
    index = Names(label.taxon for label in known)
    kinds = {label.taxon.scientific_name: label.kind for label in known}
    labels: dict[str, Label] = {}
    for one in read_names(path):
        label = _label(one, index, kinds)
        if labels.setdefault(label.taxon.scientific_name, label) is not label:
            raise ExportError(
                f"{path}, line {one.line}: {one.scientific} occurs twice", "rename one of them; the order stays"
            )
    return list(labels.values())


def tell_others(labels: Sequence[Label], tell: Callable[[str], None]) -> None:
    """Say how many labels are not species, and name the first of them."""
    others = [label.taxon.scientific_name or "a blank one" for label in labels if not label.is_species]
    if others:
        first = printable(", ".join([*others[:TOLD], *(["..."] if len(others) > TOLD else [])]))
        tell(f"{len(others)} of {len(labels)} labels name no species of their own: {first}")


def _rows(path: Path, lines: list[tuple[int, str]], separator: str, header: list[str]) -> list[Named]:
    scientific = next(header.index(name) for name in SCIENTIFIC if name in header)
    common = next((header.index(name) for name in COMMON if name in header), None)
    rows = csv.reader([f"{line}\n" for _, line in lines], delimiter=separator, strict=True)
    found: list[Named] = []
    try:
        for row in rows:
            line = lines[rows.line_num - 1][0]
            if len(row) != len(header):
                raise ExportError(
                    f"{path}, line {line}: does not have {len(header)} columns", "quote values with a separator"
                )
            found.append(Named(row[scientific].strip(), row[common].strip() if common is not None else "", line))
    except csv.Error as error:
        line = lines[min(rows.line_num, len(lines)) - 1][0]
        raise ExportError(f"{path}, line {line}: is not a table ({error})", "save it as CSV") from None
    return found[1:]


def _named(line: str, number: int) -> Named:
    scientific, _, common = line.partition(BETWEEN)
    return Named(scientific.strip(), common.strip(), number)


def _has_header(lines: Sequence[str]) -> bool:
    """Whether the first line is a header: a single word that is not capitalised, followed by names of several words."""
    first = lines[0].strip()
    below = sum(len(line.split(BETWEEN)[0].split()) > 1 for line in lines[1:])
    return not first[:1].isupper() and len(first.split()) == 1 and 2 * below > len(lines) - 1


def _label(one: Named, index: Names, kinds: dict[str, str]) -> Label:
    joined = f"{one.scientific} {one.common}"  # Parus_major, as folders of recordings are named
    if one.common.islower() and len(joined.split()) == 2 and (taxon := taxon_of(joined, index)) is not None:
        return Label(taxon, kinds[taxon.scientific_name])
    if (taxon := taxon_of(one.scientific, index)) is not None:
        return Label(taxon, kinds[taxon.scientific_name])
    return _own(one.scientific, one.common)


def _own(scientific: str, common: str) -> Label:
    """A label that is not a known taxon."""
    name = _species(scientific)
    words = name.split()
    is_species = len(words) > 1 and words[0].isalpha() and words[0].istitle() and words[1].islower()
    taxon = Taxon(name, "", "", "", "", "", words[0] if is_species else "", {"en": common} if common else {})
    return Label(taxon, SPECIES if is_species else NO_SPECIES)


def _species(scientific: str) -> str:
    """A name without its author; what is not the name of a species stays as it is."""
    found = parsed(scientific)
    if isinstance(found, NoSpecies) or not found.authorship:
        return scientific
    return found.subspecies or found.species
