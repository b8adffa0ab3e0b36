"""What a source offers: one recording or photo, described but not yet fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Medium:
    """One recording or photo of one organism, as its source describes it.

    Texts are as the source writes them; the taxonomy, the licences and the curation read them afterwards. What a source
    does not say is ``""`` or None.

    Attributes
    ----------
    source : str
        Name of the source, as in the registry: ``"gbif"``, ``"xeno-canto"``, ``"inaturalist"`` and so on.
    id : str
        Of the file, unique within its source and the same in every run.
    observation : str
        The source's record of the encounter that the file documents; several files can share one. With a global
        identifier, such as an occurrence's address, the same encounter is known in two sources.
    modality : str
        ``"audio"`` or ``"image"``.
    url : str
        Where the file is: an address, or a path for files that lie here.
    scientific_name : str
        With authorship, subspecies and qualifiers, if the source gives them.
    ranks : mapping of str to str
        Names of higher taxa by rank, lower case: ``{"class": "Aves", "genus": "Parus"}``.
    common_name : str
    media_type : str
        As announced, such as ``"audio/mpeg"``; ``""`` when unknown.
    licence, author, page : str
        Terms and rights holder as written, and the address to be credited.
    observer : str
        Who was there; bursts of one observer are told by it.
    recorded_at : str
        Date or time of the encounter, ISO 8601 as precise as it is known.
    latitude, longitude : float or None
        Degrees.
    country : str
    quality : str
        The source's grade: ``"A"`` to ``"E"``, ``"research"``.
    duration_s : float or None
    size : int or None
        Bytes, as announced.
    checksum : str
        ``"sha256:…"`` or ``"md5:…"`` as published; of a file that lies here, what tells it from another of its name.
    kind : str
        What is heard or seen: ``"song"``, ``"call"``, a life stage.
    background : tuple of str
        Other taxa that are heard as well.
    dataset : str
        Data set within a source that gathers many, such as a dataset's key of GBIF.
    """

    source: str
    id: str
    observation: str
    modality: str
    url: str
    scientific_name: str
    ranks: Mapping[str, str] = field(default_factory=dict)
    common_name: str = ""
    media_type: str = ""
    licence: str = ""
    author: str = ""
    page: str = ""
    observer: str = ""
    recorded_at: str = ""
    latitude: float | None = None
    longitude: float | None = None
    country: str = ""
    quality: str = ""
    duration_s: float | None = None
    size: int | None = None
    checksum: str = ""
    kind: str = ""
    background: tuple[str, ...] = ()
    dataset: str = ""


@dataclass(frozen=True)
class Page:
    """A part of what a query offers.

    Attributes
    ----------
    media : iterable of Medium
    then : str
        Where the query goes on after this page; ``""`` at its end.
    """

    media: Iterable[Medium]
    then: str = ""


class Source(Protocol):
    """Offers media, page by page, without holding them in memory.

    A query is what is remembered from run to run: one that has ended is not asked again, and one that was cut goes on
    after its last whole page.
    """

    name: str

    def queries(self) -> Iterable[str]:
        """What is asked, one after the other; the same texts in every run with the same options."""
        ...

    def pages(self, query: str, begin: str = "") -> Iterator[Page]:
        """What a query offers, from its begin or from where an earlier page said that it goes on.

        Raises
        ------
        edgeapp.errors.CollectError
            If the source cannot be read or asked, with what to do about it.
        """
        ...
