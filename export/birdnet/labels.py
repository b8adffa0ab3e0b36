"""Labels of a BirdNET classifier, ``Scientific name_Common name`` a line, as taxa."""

from __future__ import annotations

from pathlib import Path

from export.errors import ExportError
from gallery.labels import Label
from gallery.taxon import Names, Taxon

NO_SPECIES = "noise"


def taxa_of(path: Path, known: list[Label]) -> list[Label]:
    """The labels of a file, with the ranks of those that are known by any of their names.

    A label whose scientific name is not two words or more is no species, such as ``Noise_Noise``.

    Raises
    ------
    ExportError
        The file cannot be read, or a species stands in it twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: no labels ({error})", "name a text file with a label a line") from error
    names = Names(label.taxon for label in known)
    kinds = {label.taxon.scientific_name: label.kind for label in known}
    labels, seen = [], set[str]()
    for number, line in enumerate(lines, 1):
        scientific, _, common = line.strip().partition("_")
        if not scientific:
            raise ExportError(f"{path}, line {number}: no label", "write Scientific name_Common name")
        taxon = _taxon(scientific, common, names)
        kind = kinds.get(taxon.scientific_name) or ("species" if len(scientific.split()) > 1 else NO_SPECIES)
        if taxon.scientific_name in seen:
            raise ExportError(f"{path}, line {number}: {scientific} stands there twice", "leave one of them out")
        seen.add(taxon.scientific_name)
        labels.append(Label(taxon, kind))
    return labels


def _taxon(scientific: str, common: str, names: Names) -> Taxon:
    from gallery.errors import TaxonError

    try:
        return names.find(scientific)
    except TaxonError:
        genus = scientific.split()[0] if len(scientific.split()) > 1 else ""
        return Taxon(scientific, "", "", "", "", "", genus, {"en": common} if common else {})
