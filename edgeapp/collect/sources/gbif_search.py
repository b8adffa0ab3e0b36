"""GBIF's occurrence search: pages of 300 records, at most 100,000 of a search, which is divided where it has more.

https://techdocs.gbif.org/en/openapi/v1/occurrence
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from edgeapp.collect.client import FetchError
from edgeapp.collect.medium import Medium, Page
from edgeapp.collect.sources.kind import Setting
from edgeapp.collect.sources.query import parameters
from edgeapp.collect.sources.words import (
    addresses,
    coordinates,
    modality_of,
    short_hash,
    understood,
    with_scheme,
)
from gallery.taxon import HIGHER_RANKS

PAGE = 300
REACHED = 100_000  # records of one search: offset and limit together
FACETS = 100_000  # values of a division
MEDIA_TYPES = {"audio": "Sound", "image": "StillImage"}
# By which a search is divided, one after the other, until each part can be reached. Every record has a data set.
DIVISIONS = ("datasetKey", "year", "month", "country", "speciesKey")
OWN = ("offset", "limit", "facet", "facetLimit", "facetMincount")  # of this module, not of the person who asks


class GbifSearch:
    """Media of a search.

    Parameters
    ----------
    what : str
        Parameters of the search, as in an address: ``"country=DE&classKey=212"``; ``"all"`` for no further ones.
    setting : Setting
        With species, one search each.
    """

    name = "gbif"

    def __init__(self, what: str, setting: Setting) -> None:
        self._setting, self._client = setting, setting.asking()
        self._address = f"{setting.addresses['gbif'].rstrip('/')}/occurrence/search"
        self._without = 0  # media without an address, of the query that is asked
        self._given = parameters("gbif", what, OWN, bool(setting.species))
        names = {name for name, _ in self._given}
        if "mediaType" not in names:
            self._given += [("mediaType", MEDIA_TYPES[modality]) for modality in setting.modalities]
        if "occurrenceStatus" not in names:
            self._given.append(("occurrenceStatus", "PRESENT"))

    def queries(self) -> Iterable[str]:
        """One search, or one for each species."""
        if not self._setting.species:
            return [urlencode(self._given)]
        return [urlencode([*self._given, ("scientificName", name)]) for name in self._setting.species]

    def pages(self, query: str, begin: str = "") -> Iterator[Page]:
        """The pages of a search and of its parts; `begin` has the number of the part and the offset in it."""
        part, _, offset = begin.partition(" ")
        first, at = int(part or 0), int(offset or 0)
        for n, (given, count) in enumerate(self._parts(query)):
            if n < first:
                continue
            at = at if n == first else 0
            while at < min(count, REACHED):
                answer = self._ask([*given, ("limit", min(self._setting.page(PAGE), REACHED - at)), ("offset", at)])
                results = answer.get("results") or []
                with understood(self._address):
                    media = [medium for record in results for medium in self._media(record)]
                    at += max(1, int(answer.get("limit") or PAGE))
                over = bool(answer.get("endOfRecords")) or not results or at >= REACHED
                yield Page(media, f"{n + 1}" if over else f"{n} {at}")
                if over:
                    break
        yield Page(())
        if self._without:
            self._setting.tell(f"gbif: {self._without:,} media have no address, and are left out")
            self._without = 0

    def _parts(self, query: str) -> Iterator[tuple[list[tuple[str, Any]], int]]:
        """Searches that can be reached to their ends and together have every record, with their numbers of records."""
        given: list[tuple[str, Any]] = parse_qsl(query)
        answer = self._ask([*given, ("limit", 0)])
        with understood(self._address):
            count = int(answer.get("count") or 0)
        yield from self._divided(given, count, DIVISIONS)

    def _divided(
        self, given: list[tuple[str, Any]], count: int, by: tuple[str, ...]
    ) -> Iterator[tuple[list[tuple[str, Any]], int]]:
        by = tuple(name for name in by if sum(one == name for one, _ in given) == 0)
        if count <= REACHED:
            if count:
                yield given, count
            return
        if not by:
            self._setting.tell(
                f"gbif: {count - REACHED:,} of {count:,} records cannot be reached by a search; "
                "ask GBIF for a Darwin Core Archive, and collect with --gbif-archive"
            )
            yield given, count
            return
        name = by[0]
        answer = self._ask([*given, ("limit", 0), ("facet", name), ("facetLimit", FACETS)])
        with understood(self._address):
            facets = [facet for facet in answer.get("facets") or [] if facet.get("counts")]
            values = [(str(one["name"]), int(one["count"])) for facet in facets for one in facet["counts"]]
        if not values or len(values) == 1 and values[0][1] == count:
            yield from self._divided(given, count, by[1:])
            return
        for value, n in sorted(values):
            yield from self._divided([*given, (name, value)], n, by[1:])
        if (lost := count - sum(n for _, n in values)) > 0:
            self._setting.tell(
                f"gbif: {lost:,} records without a {name} cannot be reached by a search; "
                "ask GBIF for a Darwin Core Archive, and collect with --gbif-archive"
            )

    def _ask(self, given: list[tuple[str, Any]]) -> Mapping[str, Any]:
        answer = self._client.json(f"{self._address}?{urlencode(given)}")
        if not isinstance(answer, dict):
            raise FetchError(f"{self._address}: the answer is not what GBIF answers", "check the address")
        return answer

    def _media(self, record: Mapping[str, Any]) -> Iterator[Medium]:
        for media in record.get("media") or []:
            if not _text(media, "identifier"):
                self._without += 1
                continue
            for url in map(with_scheme, addresses(_text(media, "identifier"))):
                modality = modality_of(_text(media, "type"), _text(media, "format"), url)
                if modality in self._setting.modalities:
                    yield self._medium(record, media, modality, url)

    def _medium(self, record: Mapping[str, Any], media: Mapping[str, Any], modality: str, url: str) -> Medium:
        key = str(record.get("gbifID") or record.get("key") or "")
        latitude, longitude = coordinates(record.get("decimalLatitude"), record.get("decimalLongitude"))
        page = f"https://www.gbif.org/occurrence/{key}"
        return Medium(
            source=self.name,
            id=f"{key}/{short_hash(url)}",
            observation=_text(record, "occurrenceID") or page,
            modality=modality,
            url=url,
            scientific_name=_text(record, "scientificName"),
            ranks={rank: _text(record, rank) for rank in HIGHER_RANKS if _text(record, rank)},
            common_name=_text(record, "vernacularName"),
            media_type=_text(media, "format"),
            licence=_text(media, "license") or _text(record, "license"),
            author=_text(media, "creator") or _text(media, "rightsHolder") or _text(record, "recordedBy"),
            page=_text(media, "references") or _text(record, "references") or page,
            observer=_text(record, "recordedBy") or _text(media, "creator"),
            recorded_at=_text(record, "eventDate") or _text(media, "created"),
            latitude=latitude,
            longitude=longitude,
            country=_text(record, "countryCode") or _text(record, "country"),
            quality=_text(record, "identificationVerificationStatus"),
            kind=_text(record, "behavior") or _text(record, "lifeStage"),
            dataset=_text(record, "datasetKey"),
        )


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return value.strip() if isinstance(value, str) else "" if value is None else str(value)
