"""Wikimedia Commons: one good photo of each species, with its author and licence.

The picture of the species' article comes first, which somebody chose to show what it looks like; then the best file of
the category with its name. https://www.mediawiki.org/wiki/API:Imageinfo
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from edgeapp.collect.client import FetchError, message
from edgeapp.collect.medium import Medium, Page
from edgeapp.collect.sources.kind import Setting
from edgeapp.collect.sources.words import understood
from edgeapp.errors import UsageError

BATCH = 50  # titles of one request
WIDTHS = {"large": 1280, "medium": 500, "small": 250}  # of thumbnails that Wikimedia makes; others are refused
LEAST_SIDE = 300  # pixels
BUSY = ("maxlag", "ratelimited", "readonly")  # errors that pass
MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp")
# What stands for a species in an article and is no photo of it.
_NO_PHOTO = re.compile(
    r"\b(?:map|range|distribution|verbreitung|areal|phylogeny|cladogram|skeleton|skull|egg|eggs)\b", re.I
)
_TAG = re.compile(r"<[^>]+>")
_METADATA = "LicenseShortName|LicenseUrl|UsageTerms|Artist|Assessments|DateTimeOriginal"


class Commons:
    """A photo of each species; takes the language of the Wikipedia that is asked for it."""

    name = "commons"

    def __init__(self, what: str, setting: Setting) -> None:
        self._setting, self._client = setting, setting.asking()
        self._commons = setting.addresses[self.name]
        self._wikipedia = setting.addresses.get("wikipedia", f"https://{what}.wikipedia.org/w/api.php")
        if not re.fullmatch(r"[a-z]{2,3}(?:-[a-z]+)*", what):
            raise UsageError(f"--{self.name} {what!r} is no language", "name that of a Wikipedia, such as en")

    def queries(self) -> Iterable[str]:
        """Fifty species at a time."""
        names = self._setting.species if "image" in self._setting.modalities else ()
        return ["|".join(names[at : at + BATCH]) for at in range(0, len(names), BATCH)]

    def pages(self, query: str, begin: str = "") -> Iterator[Page]:
        """The photos of the species of a query."""
        names = query.split("|")
        with understood(self._wikipedia):
            files = self._of_articles(names)
        with understood(self._commons):
            described = self._described(sorted(set(files.values())))
            media = []
            for name in names:
                best = described.get(files.get(name, ""))
                if best is None:
                    best = self._of_category(name)
                if best is not None:
                    media.append(self._medium(name, best))
        yield Page(media)

    def _of_articles(self, names: Sequence[str]) -> dict[str, str]:
        """The title of the picture of each species' article, where it has one.

        An article that stands for several species, or a section of one, has a picture of some other species.
        """
        asked = {"redirects": 1, "prop": "pageimages", "piprop": "name", "pilimit": BATCH, "titles": "|".join(names)}
        found = self._ask(self._wikipedia, asked)
        leads = {one["from"]: one["to"] for kind in ("normalized", "redirects") for one in found.get(kind) or []}
        pictures = {page["title"]: page["pageimage"] for page in found.get("pages") or [] if page.get("pageimage")}
        sections = {one["from"] for one in found.get("redirects") or [] if one.get("tofragment")}
        ways: dict[str, list[str]] = {}  # of a name to its article
        for name in names:
            ways[name] = [name]
            while len(ways[name]) < 4 and (title := leads.get(ways[name][-1])):
                ways[name].append(title)
        led = Counter(way[-1] for way in ways.values())
        return {
            name: f"File:{pictures[way[-1]].replace('_', ' ')}"
            for name, way in ways.items()
            if way[-1] in pictures
            and led[way[-1]] == 1
            and way[-1] != name.partition(" ")[0]
            and not sections & set(way)
        }

    def _described(self, titles: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Good photos among files, by their titles."""
        found: dict[str, Mapping[str, Any]] = {}
        for at in range(0, len(titles), BATCH):
            answer = self._ask(self._commons, {**self._info(), "titles": "|".join(titles[at : at + BATCH])})
            leads = {one["to"]: one["from"] for one in answer.get("normalized") or []}
            for page in answer.get("pages") or []:
                if _is_good(page):
                    found[leads.get(page["title"], page["title"])] = page
        return found

    def _of_category(self, name: str) -> Mapping[str, Any] | None:
        """The best photo of the category of a species: one that was assessed, then the largest."""
        answer = self._ask(
            self._commons,
            {
                **self._info(),
                "generator": "categorymembers",
                "gcmtitle": f"Category:{name}",
                "gcmtype": "file",
                "gcmlimit": BATCH,
            },
        )
        good = [page for page in answer.get("pages") or [] if _is_good(page)]
        return max(good, key=_rank, default=None)

    def _info(self) -> dict[str, Any]:
        width = WIDTHS.get(self._setting.photo_size)
        asked: dict[str, Any] = {
            "prop": "imageinfo",
            "iiprop": "url|size|mime|sha1|extmetadata",
            "iiextmetadatafilter": _METADATA,
            "iiextmetadatalanguage": "en",
        }
        return asked | ({"iiurlwidth": width} if width else {})

    def _ask(self, address: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        query = {"action": "query", "format": "json", "formatversion": 2, **asked}
        answer = self._client.json(address, query)
        if error := answer.get("error"):
            words = message(str(error.get("info") or error))
            remedy = "try again later" if error.get("code") in BUSY else "check the query"
            raise FetchError(f"{self._client.shown(address)}: {words}", remedy)
        return answer.get("query") or {}

    def _medium(self, name: str, page: Mapping[str, Any]) -> Medium:
        info = page["imageinfo"][0]
        width = WIDTHS.get(self._setting.photo_size)
        smaller = width is not None and info["width"] > width and info.get("thumburl")
        title = page["title"].removeprefix("File:")
        return Medium(
            source=self.name,
            id=title,
            observation=info.get("descriptionurl") or title,
            modality="image",
            url=info["thumburl"] if smaller else info["url"],
            scientific_name=name,
            media_type=info["mime"],
            licence=_said(info, "LicenseShortName") or _said(info, "LicenseUrl") or _said(info, "UsageTerms"),
            author=_said(info, "Artist"),
            page=info.get("descriptionurl") or "",
            recorded_at=_said(info, "DateTimeOriginal")[:10],
            size=None if smaller else info.get("size"),
            checksum="" if smaller or not info.get("sha1") else f"sha1:{info['sha1']}",
        )


def _is_good(page: Mapping[str, Any]) -> bool:
    info = (page.get("imageinfo") or [{}])[0]
    return (
        info.get("mime") in MEDIA_TYPES
        and min(info.get("width") or 0, info.get("height") or 0) >= LEAST_SIDE
        and not _NO_PHOTO.search(page["title"].replace("_", " "))
    )


def _rank(page: Mapping[str, Any]) -> tuple[bool, int, str]:
    info = page["imageinfo"][0]
    return bool(_said(info, "Assessments")), info["width"] * info["height"], page["title"]


def _said(info: Mapping[str, Any], name: str) -> str:
    """A value of the extended metadata without its HTML."""
    value = ((info.get("extmetadata") or {}).get(name) or {}).get("value")
    return " ".join(html.unescape(_TAG.sub(" ", str(value or ""))).split())
