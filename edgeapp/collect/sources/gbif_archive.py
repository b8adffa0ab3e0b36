"""Darwin Core Archives of GBIF and of publishers: occurrences with their recordings and photos."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from edgeapp.collect.medium import Medium, Page
from edgeapp.collect.scratch import scratch
from edgeapp.collect.sources.darwin_core import Archive, Table
from edgeapp.collect.sources.kind import Setting
from edgeapp.collect.sources.words import coordinates, modality_of, short_hash, with_scheme
from edgeapp.errors import CollectError
from gallery.taxon import HIGHER_RANKS

BATCH = 10_000
MEDIA_ROWS = ("Multimedia", "Image", "SimpleMultimedia")  # of GBIF and of Audubon Core
# Terms of Audubon Core (ac, xmpRights, photoshop) stand for those of GBIF's extension.
_MEDIA = {
    "type": ("type",),
    "format": ("format",),
    "url": ("identifier", "accessURI"),
    "page": ("references", "furtherInformationURL"),
    "creator": ("creator", "providerLiteral"),
    "licence": ("license", "UsageTerms", "WebStatement", "rights"),
    "holder": ("rightsHolder", "Owner"),
    "created": ("created", "CreateDate"),
}
_CORE = (
    *("gbifID", "occurrenceID", "catalogNumber", "scientificName", "genus", "specificEpithet", "infraspecificEpithet"),
    *("vernacularName", "license", "rightsHolder", "references", "recordedBy", "eventDate", "year", "decimalLatitude"),
    *("decimalLongitude", "countryCode", "country", "datasetKey", "datasetName", "behavior", "lifeStage", "mediaType"),
    *("associatedMedia", "identificationVerificationStatus", "kingdom", "phylum", "class", "order", "family"),
)


class GbifArchive:
    """Media of a Darwin Core Archive, in the order of its occurrences.

    The extension is kept in a temporary database on the disk, by which every occurrence finds its media, whatever the
    order of the two tables; no table is held in memory.
    """

    name = "gbif"

    def __init__(self, what: str, setting: Setting) -> None:
        self._path, self._setting = Path(what), setting

    def queries(self) -> Iterable[str]:
        """The archive, known again by its path, size and time."""
        try:
            known = self._path.stat()
        except OSError as error:
            raise CollectError(f"{self._path}: {error.strerror or error}", "check the path") from None
        return [f"{self._path.resolve()} {known.st_size} {known.st_mtime_ns}"]

    def pages(self, query: str, begin: str = "") -> Iterator[Page]:
        """All of the archive."""
        yield Page(self._media())

    def _media(self) -> Iterator[Medium]:
        skipped: Counter[str] = Counter()
        with Archive.open(self._path) as archive, tempfile.TemporaryDirectory(prefix="biovita-") as folder:
            extension = next((one for row in MEDIA_ROWS for one in archive.extensions if one.row_type == row), None)
            if extension is None and "associatedMedia" not in archive.core.columns:
                raise CollectError(
                    f"{self._path} has no recordings or photos: no table of multimedia",
                    "download the records as a Darwin Core Archive",
                )
            with _Joined(Path(folder), archive, extension) as joined:
                for key, values in archive.rows(archive.core, _CORE):
                    record = dict(zip(_CORE, values, strict=True))
                    found = joined.of(key) if extension is not None else _associated(record)
                    for media in found:
                        medium = self._medium(key, record, media, skipped, alone=len(found) == 1)
                        if medium is not None:
                            yield medium
                if extension is not None and (lost := joined.lost()):
                    skipped["without an occurrence"] = lost
        for reason, n in sorted(skipped.items()):
            self._setting.tell(f"{self._path}: {n:,} media {reason} are left out")

    def _medium(
        self, key: str, record: Mapping[str, str], media: Mapping[str, str], skipped: Counter[str], alone: bool
    ) -> Medium | None:
        if not media["url"]:
            skipped["without an address"] += 1
            return None
        url = with_scheme(media["url"])
        kinds = [kind for kind in record["mediaType"].replace("|", ";").split(";") if kind]
        modality = modality_of(media["type"], media["format"], url) or (
            modality_of(kinds[0]) if alone and len(kinds) == 1 and not media["type"] else ""
        )
        if modality not in self._setting.modalities:
            if not modality:
                skipped["that are neither sound nor photos"] += 1
            return None
        genus, species, below = record["genus"], record["specificEpithet"], record["infraspecificEpithet"]
        composed = " ".join([genus, species, below]).strip() if genus and species else genus
        latitude, longitude = coordinates(record["decimalLatitude"], record["decimalLongitude"])
        gbif = record["gbifID"]
        fallback = f"https://www.gbif.org/occurrence/{gbif}" if gbif else ""
        return Medium(
            source=self.name if gbif else "darwin-core",
            id=f"{gbif or record['occurrenceID'] or key}/{short_hash(url)}",
            observation=record["occurrenceID"] or fallback or key,
            modality=modality,
            url=url,
            scientific_name=record["scientificName"] or composed,
            ranks={rank: record[rank] for rank in HIGHER_RANKS if record[rank]},
            common_name=record["vernacularName"],
            media_type=media["format"] if "/" in media["format"] else "",
            licence=media["licence"] or record["license"],
            author=media["creator"] or media["holder"] or record["rightsHolder"] or record["recordedBy"],
            page=media["page"] or record["references"] or fallback,
            observer=record["recordedBy"] or media["creator"],
            recorded_at=record["eventDate"] or media["created"] or record["year"],
            latitude=latitude,
            longitude=longitude,
            country=record["countryCode"] or record["country"],
            quality=record["identificationVerificationStatus"],
            kind=record["behavior"] or record["lifeStage"],
            dataset=record["datasetKey"] or record["datasetName"],
        )


class _Joined:
    """The media of every occurrence, in a temporary database."""

    def __init__(self, folder: Path, archive: Archive, extension: Table | None) -> None:
        self._db = scratch(folder / "media.db")
        self._db.execute(f"CREATE TABLE media (key TEXT, {', '.join(_MEDIA)})")
        self._db.execute("CREATE TABLE found (key TEXT PRIMARY KEY) WITHOUT ROWID")
        if extension is not None:
            self._read(archive, extension)

    def __enter__(self) -> _Joined:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _read(self, archive: Archive, extension: Table) -> None:
        terms = [term for several in _MEDIA.values() for term in several]
        spans, at = [], 0
        for several in _MEDIA.values():
            spans.append((at, at + len(several)))
            at += len(several)

        def rows() -> Iterator[tuple[str, ...]]:
            for key, values in archive.rows(extension, terms):
                yield key, *(next((text for text in values[begin:end] if text), "") for begin, end in spans)

        self._db.execute("BEGIN")
        self._db.executemany(f"INSERT INTO media VALUES (?, {', '.join('?' * len(_MEDIA))})", rows())
        self._db.execute("COMMIT")
        self._db.execute("CREATE INDEX by_key ON media (key)")

    def of(self, key: str) -> list[dict[str, str]]:
        found = self._db.execute("SELECT * FROM media WHERE key = ? ORDER BY rowid", (key,)).fetchall()
        if found:
            self._db.execute("INSERT OR IGNORE INTO found VALUES (?)", (key,))
        return [dict(zip(_MEDIA, values[1:], strict=True)) for values in found]

    def lost(self) -> int:
        """Media of occurrences that the core has not."""
        query = "SELECT count(*) FROM media WHERE key NOT IN (SELECT key FROM found)"
        return int(self._db.execute(query).fetchone()[0])


def _associated(record: Mapping[str, str]) -> list[dict[str, str]]:
    """Media that an occurrence names itself, in a list with ``|``."""
    urls = [text.strip() for text in record["associatedMedia"].split("|")]
    return [{name: url if name == "url" else "" for name in _MEDIA} for url in urls if "://" in url]
