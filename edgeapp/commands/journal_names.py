"""Names of taxa at the journal's commands: shown in one language, found in any.

A journal has scientific and English names. Those of other languages come from the galleries that its detections were
made with, where these have some of their own, and from the table that comes with the program.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from edgeapp.config.defaults import language_of
from edgeapp.journal import Reader
from edgeapp.pack.names import names_of, naming_in, shipped_species
from edgeapp.terminal import tell
from gallery.errors import GalleryError, UnknownNameError
from gallery.names_table import ENGLISH, first_subtag
from gallery.naming import Naming
from gallery.store import Gallery
from gallery.taxon import Taxon


@cache
def taxa_of(path: str) -> tuple[Taxon, ...]:
    """Taxa of a gallery; none when it is not there any more."""
    try:
        with Gallery.open(path) as gallery:
            return tuple(gallery.taxa())
    except GalleryError:
        return ()


def naming_of(reader: Reader, language: str | None) -> Naming:
    """Common names for what a journal holds, in a language or in that of the settings.

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
    """Paths of the galleries that the detections of a journal were made with."""
    return list(dict.fromkeys(deployment["gallery"] for deployment in reader.deployments()))


def spellings(name: str | None, reader: Reader) -> list[str] | None:
    """What a taxon may be called in a journal: the name itself, and the scientific names of the species that bears it.

    Raises
    ------
    TaxonError
        Several species bear it.
    """
    if name is None:
        return None
    taxon = _known(name, galleries_of(reader), "looked for as it is written")
    return [name] if taxon is None else list(dict.fromkeys((name, taxon.scientific_name, *taxon.synonyms)))


def corrected(name: str, gallery: str) -> str:
    """The scientific name that a reviewer means by a name in any language; a name that nobody knows stays as it is.

    Parameters
    ----------
    name : str
    gallery : str
        Path of the one that the detection was made with.

    Raises
    ------
    TaxonError
        Several species bear it.
    """
    taxon = _known(name, [gallery], "kept as it is written")
    return name if taxon is None else taxon.scientific_name


def _known(name: str, galleries: Iterable[str], otherwise: str) -> Taxon | None:
    """The species of a name, by some galleries, then by the program; None for a group, and for what nobody knows.

    The latter is told, with names that look like it, and with what becomes of it.
    """
    for taxa in (*map(taxa_of, galleries), shipped_species()):
        names = names_of(taxa)
        try:
            return names.find(name, suggest=taxa is shipped_species())
        except UnknownNameError as error:
            if names.is_rank(name):
                return None
            unknown = error
    tell(f"{unknown}; {otherwise}")
    return None
