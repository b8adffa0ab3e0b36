"""Common names of taxa in one language, for output only; decisions and storage use scientific names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gallery.candidates import Candidate
from gallery.names_table import ENGLISH, NamesTable, first_subtag, language_tag
from gallery.recognition import Detection
from gallery.taxon import Taxon


@dataclass(frozen=True)
class Naming:
    """Common names in one language.

    Attributes
    ----------
    language : str
        Its tag.
    names : Mapping[str, str]
        Scientific name to common name, of the taxa that have one in this language.
    """

    language: str = ENGLISH
    names: Mapping[str, str] = field(default_factory=dict)

    def of(self, scientific_name: str, english: str = "") -> str:
        """Common name of a taxon: in the language, else in English, else ``""``."""
        return self.names.get(scientific_name) or english

    def candidates(self, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
        """Candidates with their names in the language."""
        if not self.names:
            return tuple(candidates)
        return tuple(replace(one, common_name=self.of(one.scientific_name, one.common_name)) for one in candidates)

    def detection(self, detection: Detection) -> Detection:
        """A detection with its names in the language; groups have none."""
        if not self.names:
            return detection
        candidates = self.candidates(detection.candidates)
        if detection.taxon_rank != "species":
            return replace(detection, candidates=candidates)
        name = self.of(detection.scientific_name, detection.common_name)
        return replace(detection, common_name=name, candidates=candidates)


def naming(language: str, table: NamesTable, taxa: Iterable[Taxon] = ()) -> Naming:
    """Common names in a language: those that taxa bring along first, then those of a table, also by their synonyms.

    Parameters
    ----------
    language : str
        Any spelling, see `language_tag`.
    table : NamesTable
        Not read for English, in which galleries have their names.
    taxa : iterable of Taxon
        Of a gallery.

    Raises
    ------
    TaxonError
        Neither has the language, or the table cannot be read.
    """
    if first_subtag(language) == ENGLISH:
        return Naming()
    taxa = list(taxa)
    tag = language_tag(language, {ENGLISH, *table.languages, *(tag for taxon in taxa for tag in taxon.common_names)})
    names = table.names(tag) if tag in table.languages else {}
    for taxon in taxa:
        own = taxon.common_names.get(tag) or _first(names, (taxon.scientific_name, *taxon.synonyms))
        if own:
            names[taxon.scientific_name] = own
    return Naming(tag, names)


def _first(names: Mapping[str, str], scientific_names: Iterable[str]) -> str:
    return next((names[name] for name in scientific_names if name in names), "")
