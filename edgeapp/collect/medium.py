"""What a source offers: one recording or photo, described but not yet fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
        ``"sha256:…"`` or ``"md5:…"`` as published.
    kind : str
        What is heard or seen: ``"song"``, ``"call"``, a life stage.
    background : tuple of str
        Other taxa that are heard as well.
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


class Source(Protocol):
    """Offers media, one after the other, without holding them in memory."""

    name: str

    def media(self) -> Iterator[Medium]:
        """All that the query or the files of this source offer.

        Raises
        ------
        edgeapp.errors.CollectError
            If the source cannot be read or asked, with what to do about it.
        """
        ...
