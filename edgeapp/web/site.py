"""What the pages know: the journal, the settings, the names of taxa, and the station where one runs in this program."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from edgeapp.config.effect import Change
from edgeapp.config.settings import Settings
from edgeapp.detections.occurrence import Occurrence
from edgeapp.detections.pictures import DocumentPictures
from edgeapp.doctor.finding import Finding
from edgeapp.errors import BiovitaError
from edgeapp.journal import Journal, Reader
from edgeapp.pack.names import names_of, names_table, shipped_names, shipped_species
from edgeapp.web.completion import Completion
from edgeapp.web.live import Live
from gallery.errors import TaxonError
from gallery.naming import Naming
from gallery.taxon import RANKS, Names, Taxon

log = logging.getLogger(__name__)

SUGGESTIONS = 12


@dataclass
class Station:
    """A station that runs in this program.

    Attributes
    ----------
    live : Live
    apply : callable
        Takes settings while it runs.
    learn : callable or None
        Learns from the reviews; gives a line that says what was learnt.
    """

    live: Live
    apply: Callable[[Settings], Change]
    learn: Callable[[], str] | None = None


@dataclass
class Site:
    """The parts of a page.

    Attributes
    ----------
    settings : Settings
    journal : Journal
        Through which reviews are written.
    naming : Naming
    gallery : Path or None
        Whose taxa are named and whose pictures are shown.
    taxa : tuple of Taxon
    title : str
        Name of the station.
    station : Station or None
        None where it runs in another program, or not at all.
    occurrence : Occurrence or None
        What the pack's model says of the place.
    publish : callable
        Takes the kind and the data of an event for all open pages.
    """

    settings: Settings
    journal: Journal
    naming: Naming
    gallery: Path | None
    taxa: tuple[Taxon, ...]
    title: str
    station: Station | None = None
    occurrence: Occurrence | None = None
    publish: Callable[[str, dict[str, Any]], None] = lambda kind, data: None
    examined: tuple[float, list[Finding]] = field(
        default=(float("-inf"), []), repr=False
    )  # when, on the monotonic clock, and what was found
    _threads: threading.local = field(default_factory=threading.local, repr=False)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """The journal, open for reading; one connection for each thread."""
        reader: Reader | None = getattr(self._threads, "reader", None)
        if reader is None:
            reader = Reader(self.journal.path)
            reader.naming = self.naming
            if self.gallery is not None:
                reader.pictures = DocumentPictures(self.gallery, self.settings.station.pictures, log.warning)
            self._threads.reader = reader
        reader.share_location = self.settings.station.share_location  # which may change
        try:
            yield reader
        except BiovitaError:
            # A journal that was replaced or repaired is opened anew by the next request.
            self._threads.reader = None
            if reader.pictures is not None:
                reader.pictures.close()
            reader.close()
            raise

    def prepare(self) -> None:
        """Read the names of taxa, which takes half a second, before somebody waits for them."""
        self.heard_members("Aves")
        self.shipped_names.rows("Aves")
        self.suggest("a")

    @cached_property
    def names(self) -> Names:
        """Names of the taxa of the gallery, in every language."""
        return names_of(self.taxa)

    @property
    def shipped_names(self) -> Names:
        """Names of the species whose names come with the program, in every language."""
        return shipped_names()

    @cached_property
    def by_name(self) -> dict[str, Taxon]:
        """Species by scientific name: those of the gallery, and those whose names come with the program."""
        return {taxon.scientific_name: taxon for taxon in (*shipped_species(), *self.taxa)}

    def common_name(self, scientific_name: str) -> str:
        """Common name of a species in the language of the page; empty if it has none."""
        taxon = self.by_name.get(scientific_name)
        return self.naming.of(scientific_name, taxon.common_name if taxon is not None else "")

    def members(self, name: str, suggest: bool = True) -> tuple[str, ...]:
        """Scientific names of a taxon and of all inside it: species, and groups between.

        Parameters
        ----------
        name : str
        suggest : bool
            As of `gallery.taxon.Names.find`.

        Raises
        ------
        TaxonError
            No taxon is called so.
        """
        rows = self.names.rows(name, suggest=suggest)
        found: dict[str, None] = {}
        key = " ".join(name.split()).casefold()
        for row in rows:
            taxon = self.taxa[row]
            found[taxon.scientific_name] = None
            ranks = [rank for rank in RANKS if taxon.at(rank).casefold() == key]
            if ranks:
                for rank in RANKS[RANKS.index(ranks[0]) :]:
                    if taxon.at(rank):
                        found[taxon.at(rank)] = None
        return tuple(found)

    def heard_members(self, name: str) -> tuple[str, ...]:
        """Like `members`; a name that is in no gallery now stands for itself, for old journals."""
        text = " ".join(name.split())
        if text in self.by_name and not self.names.is_rank(text):
            return (text,)
        try:
            return self.members(text, suggest=False)
        except TaxonError:
            return (text,)

    def heard_taxon(self, name: str) -> Taxon | None:
        """A taxon by any name, first by a scientific one, for which no language is read; None if nothing has it."""
        try:
            return self.by_name.get(name) or self.names.find(name, suggest=False)
        except TaxonError:
            return None

    def suggest(self, text: str) -> list[dict[str, str]]:
        """Species with a name, in any language, that has a text in it; those that begin with it first."""
        found = self._completion.find(text, SUGGESTIONS)
        return [{"scientific_name": name, "common_name": self.common_name(name)} for name in found]

    @cached_property
    def _completion(self) -> Completion:
        return Completion(self.taxa, names_table(), self.naming)
