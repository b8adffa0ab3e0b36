"""iNaturalist's API, version 1: observations with their sounds and photos. https://api.inaturalist.org/v1/docs

Pages go by `id_above`, which has no limit and does not shift when observations are added meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from edgeapp.collect.client import FetchError
from edgeapp.collect.medium import Medium, Page
from edgeapp.collect.sources.kind import Setting
from edgeapp.collect.sources.query import parameters
from edgeapp.collect.sources.words import coordinates, understood, with_scheme

PAGE = 200
RESERVED = "all rights reserved"  # what an observation without a licence is
CLASSES = frozenset(("Aves", "Mammalia", "Amphibia", "Reptilia", "Actinopterygii", "Insecta", "Arachnida"))
OWN = ("page", "per_page", "order", "order_by", "id_above", "id_below")
_RIGHTS = re.compile(r"(?:\(c\)|©)?\s*(.+?), (?:some|all|no) rights reserved", re.IGNORECASE)
_SIZE = re.compile(r"/(?:square|thumb|small|medium|large|original)\.")


class INaturalist:
    """Sounds and photos of the observations of a query, such as ``place_id=7207&quality_grade=research``.

    ``"all"`` asks for no further parameters; with species, one query each.
    """

    name = "inaturalist"

    def __init__(self, what: str, setting: Setting) -> None:
        self._setting, self._client = setting, setting.asking()
        self._address = f"{setting.addresses[self.name].rstrip('/')}/observations"
        self._given = parameters(self.name, what, OWN, bool(setting.species))

    def queries(self) -> Iterable[str]:
        """One query for each modality, and for each species."""
        names = self._setting.species or ("",)
        words = {"audio": "sounds", "image": "photos"}
        return [
            urlencode([*self._given, *([("taxon_name", name)] if name else []), (words[modality], "true")])
            for name in names
            for modality in self._setting.modalities
        ]

    def pages(self, query: str, begin: str = "") -> Iterator[Page]:
        """The pages of a query; one goes on above the last observation."""
        above, without = int(begin or 0), 0
        while True:
            per_page = self._setting.page(PAGE)
            asked = urlencode({"per_page": per_page, "order_by": "id", "order": "asc", "id_above": above})
            answer = self._client.json(f"{self._address}?{query}&{asked}")
            records = answer.get("results") if isinstance(answer, dict) else None
            if not isinstance(records, list):
                raise FetchError(f"{self._address}: the answer is not what iNaturalist answers", "check the address")
            with understood(self._address):
                media = [medium for record in records for medium in self._media(record)]
                without += sum(self._without_address(record) for record in records)
                last_above, above = above, max([above, *(int(record["id"]) for record in records)])
                left = answer.get("total_results")  # of those above the last one
                whole = left is not None and len(records) >= int(left)
                last = not records or whole and len(records) < per_page  # a full page may be followed by another
            if not last and above == last_above:
                raise FetchError(f"{self._address}: the same observations come again and again", "check the address")
            yield Page(media, "" if last else str(above))
            if last:
                break
        if without:
            self._setting.tell(f"{self.name}: {without:,} sounds and photos have no address, and are left out")

    def _without_address(self, record: Mapping[str, Any]) -> int:
        """Media of an observation that are hidden, or not there any more."""
        many = {"audio": "sounds", "image": "photos"}
        media = [one for modality in self._setting.modalities for one in record.get(many[modality]) or []]
        return sum(1 for one in media if one.get("hidden") or not (one.get("file_url") or one.get("url")))

    def _media(self, record: Mapping[str, Any]) -> Iterator[Medium]:
        taxon, user = record.get("taxon") or {}, record.get("user") or {}
        observation = f"https://www.inaturalist.org/observations/{record['id']}"
        north, _, east = str(record.get("location") or "").partition(",")
        latitude, longitude = coordinates(north, east)
        iconic = taxon.get("iconic_taxon_name") or ""
        person = user.get("name") or user.get("login") or ""
        for modality, many in (("audio", "sounds"), ("image", "photos")):
            if modality not in self._setting.modalities:
                continue
            for media in record.get(many) or []:
                url = with_scheme(media.get("file_url") or media.get("url") or "")
                if not url or media.get("hidden"):
                    continue
                yield Medium(
                    source=self.name,
                    id=f"{many[:-1]}-{media['id']}",
                    observation=observation,
                    modality=modality,
                    url=_SIZE.sub(f"/{self._setting.photo_size}.", url) if modality == "image" else url,
                    scientific_name=taxon.get("name") or "",
                    ranks={"class": iconic} if iconic in CLASSES else {},
                    common_name=taxon.get("preferred_common_name") or "",
                    media_type=media.get("file_content_type") or "",
                    licence=media.get("license_code") or RESERVED,
                    author=_author(media.get("attribution") or "") or person,
                    page=record.get("uri") or observation,
                    observer=user.get("login") or "",
                    recorded_at=record.get("time_observed_at") or record.get("observed_on") or "",
                    latitude=latitude,
                    longitude=longitude,
                    country="",
                    quality=record.get("quality_grade") or "",
                )


def _author(attribution: str) -> str:
    """The name in ``"(c) A. Name, some rights reserved (CC BY)"``."""
    found = _RIGHTS.match(attribution)
    return found.group(1) if found else ""
