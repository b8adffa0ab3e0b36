"""The page of a journal whose station runs in another program, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgeapp.config.settings import Settings
from edgeapp.detections.occurrence import Occurrence
from edgeapp.errors import BiovitaError
from edgeapp.journal import Journal, Reader
from edgeapp.pack.installed import load_pack
from edgeapp.pack.names import naming_in, shipped_species
from edgeapp.station.targets import station_name
from edgeapp.terminal import complain
from edgeapp.web.server import Server
from edgeapp.web.site import Site
from gallery.store import Gallery

BUSY_S = 10.0  # a person waits


@contextmanager
def page_of(settings: Settings) -> Iterator[Server]:
    """The server of a journal's page.

    Raises
    ------
    BiovitaError
        There is no journal, or a setting is wrong.
    """
    Reader(settings.journal_path).close()  # neither makes nor migrates a journal
    gallery, taxa, occurrence = None, shipped_species(), None
    try:
        pack = load_pack(settings.station.pack, verify=False)
        gallery = settings.station.gallery or pack.gallery_path()
        with Gallery.open(gallery) as opened:
            taxa = tuple(opened.taxa())
        if settings.place is not None and pack.range is not None:
            occurrence = Occurrence.of(pack, *settings.place, settings.detections.min_occurrence, taxa)
    except BiovitaError as error:
        complain(f"{error}; the page has no pictures, and the names that come with the program")
    with Journal.open(settings.journal_path, BUSY_S) as journal:
        naming = naming_in(settings.station.language, taxa)
        journal.naming, journal.share_location = naming, settings.station.share_location
        yield Server(Site(settings, journal, naming, gallery, taxa, station_name(settings), occurrence=occurrence))
