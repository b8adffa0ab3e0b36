"""Names of taxa for the journal commands: shown in one language, found in any.

A journal has scientific and English names. Names in other languages come from the galleries of its detections, if they
have any, and from the table shipped with the program.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgeapp.config.defaults import language_of
from edgeapp.detections.pictures import DocumentPictures
from edgeapp.journal import Reader
from edgeapp.outputs.journal_records import taxa_of
from edgeapp.pack.names import names_of, naming_in, shipped_names, shipped_species
from edgeapp.terminal import complain, tell
from gallery.errors import UnknownNameError
from gallery.names_table import ENGLISH, first_subtag, key_of
from gallery.naming import Naming
from gallery.taxon import Taxon


def naming_of(reader: Reader, language: str | None) -> Naming:
    """Common names for the taxa of a journal, in a language or in that of the settings.

    Raises
    ------
    TaxonError
        There is no such language.
    """
    tag = language_of(language)
    if first_subtag(tag) == ENGLISH:
        return Naming()
    return naming_in(tag, [taxon for path in galleries_of(reader) for taxon in taxa_of(path)])


def galleries_of(reader: Reader) -> list[str]:
    """Paths of the galleries of a journal's detections."""
    return list(dict.fromkeys(deployment["gallery"] for deployment in reader.deployments()))


def pictures_in(reader: Reader, n: int) -> DocumentPictures | None:
    """Pictures of the documents of a journal: from the gallery of its newest deployment."""
    newest = reader.deployments()[-1:]
    return DocumentPictures(newest[0]["gallery"], n, complain) if newest and n else None


def spellings(name: str | None, reader: Reader) -> list[str] | None:
    """The names of a taxon in a journal: the name itself, and the scientific names of the species with that name.

    Raises
    ------
    TaxonError
        Several species have this name.
    """
    if name is None:
        return None
    taxon = _known(name, galleries_of(reader), "searched as written")
    return [name] if taxon is None else list(dict.fromkeys((name, taxon.scientific_name, *taxon.synonyms)))


def corrected(name: str, gallery: str) -> str:
    """The scientific name for a name in any language.

    Parameters
    ----------
    name : str
    gallery : str
        Path of the gallery of the detection.

    Raises
    ------
    UnknownNameError
        No taxon has this name, at any rank; similar ones are named.
    TaxonError
        Several species have this name.
    """
    found = _find(name, [gallery])
    return found if isinstance(found, str) else found.scientific_name


def _known(name: str, galleries: Iterable[str], otherwise: str) -> Taxon | None:
    """The species of a name; None for a group or an unknown name, which is reported with what is done instead."""
    try:
        found = _find(name, galleries)
    except UnknownNameError as error:
        tell(f"{error}; {otherwise}")
        return None
    return None if isinstance(found, str) else found


def _find(name: str, galleries: Iterable[str]) -> Taxon | str:
    """The species of a name, from some galleries, then from the program; of a group, its name.

    Raises
    ------
    UnknownNameError
    TaxonError
        Several species have this name.
    """
    for taxa in (*map(taxa_of, galleries), shipped_species()):
        names = shipped_names() if taxa is shipped_species() else names_of(taxa)
        try:
            return names.find(name, suggest=taxa is shipped_species())
        except UnknownNameError as error:
            unknown = error
            if names.is_rank(name):
                key = key_of(name)
                return next(one for taxon in taxa for one in taxon.path() if key_of(one) == key)
    raise unknown
