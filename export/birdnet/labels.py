"""Labels of a BirdNET classifier, one `Scientific name_Common name` per line, as taxa."""

from __future__ import annotations

from pathlib import Path

from export.errors import ExportError
from gallery.labels import Label
from gallery.taxon import Names, Taxon

NO_SPECIES = "noise"


def taxa_of(path: Path, known: list[Label]) -> list[Label]:
    """The labels of a file, with the ranks of known taxa.

    A label whose scientific name has only one word, such as `Noise_Noise`, is not a species.

    Raises
    ------
    ExportError
        The file cannot be read, or a species occurs twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: no labels ({error})", "name a text file with one label per line") from error
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
            raise ExportError(f"{path}, line {number}: {scientific} occurs twice", "remove one of them")
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
