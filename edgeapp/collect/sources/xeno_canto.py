"""Xeno-canto, API version 3. https://xeno-canto.org/explore/api

A key is needed, which its users find on their account's page. It comes from the environment or a file, and stands in
no message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edgeapp.collect.client import FetchError, message
from edgeapp.collect.medium import Medium, Page
from edgeapp.collect.sources.kind import Setting
from edgeapp.collect.sources.words import coordinates, date_of_parts, number_of, seconds_of, understood, with_scheme
from edgeapp.collect.taxonomy.names import Name, parsed
from edgeapp.errors import UsageError

PAGE = 500
KEY_VARIABLE = "XENO_CANTO_KEY"
GRADES, NOT_RATED = ("A", "B", "C", "D", "E"), "no score"
GROUPS = {
    "birds": "Aves",
    "grasshoppers": "Insecta",
    "bats": "Mammalia",
    "land mammals": "Mammalia",
    "frogs": "Amphibia",
}  # of Xeno-canto, and their classes


class XenoCanto:
    """Recordings of a query with tags, such as ``cnt:germany q:A``; ``"all"`` for no further ones.

    With species, one query each.
    """

    name = "xeno-canto"

    def __init__(self, what: str, setting: Setting) -> None:
        self._setting, self._client = setting, setting.asking()
        self._address = f"{setting.addresses[self.name].rstrip('/')}/recordings"
        self._tags = "" if what.strip().casefold() == "all" else what.strip()
        if not setting.key:
            raise UsageError(
                "Xeno-canto asks for a key",
                f"find it at xeno-canto.org/account, and set {KEY_VARIABLE} or name a file with --xeno-canto-key-file",
            )
        if self._tags and ":" not in self._tags:
            raise UsageError(f"--{self.name} {what!r} has no tags", "version 3 wants tags: gen:parus, cnt:germany, q:A")
        if not self._tags and not setting.species:
            raise UsageError(f"--{self.name} all asks for everything", "narrow it, or name species with --species-list")
        self._client.keep_secret(setting.key)

    def queries(self) -> Iterable[str]:
        """One query, or one for each species."""
        if "audio" not in self._setting.modalities:
            return []
        if not self._setting.species:
            return [self._tags]
        return [f"{_species_tags(name)} {self._tags}".strip() for name in self._setting.species]

    def pages(self, query: str, begin: str = "") -> Iterator[Page]:
        """The pages of a query."""
        page = int(begin or 1)
        unavailable, seen = 0, (page - 1) * PAGE
        before: list[Any] = []
        while True:
            answer = self._client.json(
                self._address, {"query": query, "key": self._setting.key, "page": page, "per_page": PAGE}
            )
            records = answer.get("recordings") if isinstance(answer, dict) else None
            if not isinstance(records, list):
                said = str(answer.get("message") or answer.get("error") or "") if isinstance(answer, dict) else ""
                words = self._client.hidden(message(said)) or "the answer has no recordings"
                raise FetchError(f"{self._address}: {words}", "see Xeno-canto's API")
            with understood(self._address):
                media = [medium for record in records if (medium := self._medium(record)) is not None]
                numbers = [record.get("id") for record in records]
            if numbers and numbers == before:
                raise FetchError(f"{self._address}: the same recordings come again and again", "check the address")
            before = numbers
            unavailable += len(records) - len(media)
            seen += len(records)
            pages, announced = number_of(answer.get("numPages")), number_of(answer.get("numRecordings")) or 0.0
            last = not records or (page >= pages if pages is not None else seen >= announced)
            page += 1
            yield Page(media, "" if last else str(page))
            if last:
                break
        if seen < announced:
            self._setting.tell(f"{self.name}: announced {announced:,.0f} recordings of {query!r}, and gave {seen:,}")
        if unavailable:
            self._setting.tell(f"{self.name}: {unavailable:,} recordings of {query!r} have no file for the public")

    def _medium(self, record: Mapping[str, Any]) -> Medium | None:
        def text(name: str) -> str:
            value = record.get(name)
            return "" if value is None else str(value).strip()

        url, number = with_scheme(text("file")), text("id")
        if not url or not number:
            return None
        group = GROUPS.get(text("grp").casefold(), "")
        ranks = {"class": group, "genus": text("gen")}
        latitude, longitude = coordinates(record.get("lat"), record.get("lon", record.get("lng")))
        also = record.get("also")
        return Medium(
            source=self.name,
            id=number,
            observation=f"https://xeno-canto.org/{number}",
            modality="audio",
            url=url,
            scientific_name=" ".join(part for part in (text("gen"), text("sp"), text("ssp")) if part),
            ranks={rank: name for rank, name in ranks.items() if name},
            common_name=text("en"),
            licence=with_scheme(text("lic")),
            author=text("rec"),
            page=with_scheme(text("url")) or f"https://xeno-canto.org/{number}",
            observer=text("rec"),
            recorded_at=date_of_parts(text("date"), text("time")),
            latitude=latitude,
            longitude=longitude,
            country=text("cnt"),
            quality=text("q").upper() if text("q").upper() in GRADES else NOT_RATED,
            duration_s=seconds_of(text("length")) if text("length") else None,
            kind=", ".join(part for part in (text("type"), text("sex"), text("stage")) if part),
            background=tuple(name for name in also if isinstance(name, str) and name) if isinstance(also, list) else (),
        )


def _species_tags(name: str) -> str:
    found = parsed(name)  # version 3 refuses words without a tag: authors, subspecies
    genus, _, species = (found.species if isinstance(found, Name) else name).partition(" ")
    return f"gen:{genus.casefold()} sp:{species.casefold()}" if species else f"gen:{genus.casefold()}"
