"""Darwin Core Archives of GBIF and of publishers: occurrences with their recordings and photos."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from edgeapp.collect.medium import Medium, Page
from edgeapp.collect.sources.darwin_core import Archive, Table
from edgeapp.collect.sources.joined import ABSENT, IMAGE_ROW, MEDIA, Joined
from edgeapp.collect.sources.kind import Setting
from edgeapp.collect.sources.words import addresses, coordinates, modality_of, short_hash, with_scheme
from edgeapp.errors import CollectError
from gallery.taxon import HIGHER_RANKS

EVENT, OCCURRENCE = "event", "occurrence"
MEDIA_ROWS = ("multimedia", IMAGE_ROW, "simplemultimedia")  # of GBIF and of Audubon Core
_CORE = (
    *("gbifID", "occurrenceID", "catalogNumber", "scientificName", "genus", "specificEpithet", "infraspecificEpithet"),
    *("vernacularName", "license", "rightsHolder", "references", "recordedBy", "eventDate", "year", "decimalLatitude"),
    *("decimalLongitude", "countryCode", "country", "datasetKey", "datasetName", "behavior", "lifeStage", "mediaType"),
    *(
        "associatedMedia",
        "identificationVerificationStatus",
        "occurrenceStatus",
        "kingdom",
        "phylum",
        "class",
        "order",
        "family",
    ),
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
            occurrences = self._occurrences(archive)
            with Joined(Path(folder), archive, occurrences, self._of_media(archive, occurrences)) as joined:
                skipped["of events, which are of none of their occurrences"] = joined.ambiguous
                for key, record in joined.rows(_CORE):
                    found, again = joined.of(key)
                    if again:
                        skipped["of an occurrence with the identifier of an earlier one"] += len(found)
                        continue
                    found = found or _associated(record)
                    if record["occurrenceStatus"].casefold() == ABSENT:
                        skipped["of a species that was looked for and not found"] += len(found)
                        continue
                    for media in found:
                        medium = self._medium(key, record, media, skipped, alone=len(found) == 1)
                        if medium is not None:
                            yield medium
                if lost := joined.lost():
                    skipped["without an occurrence"] = lost
                    if not joined.any_found():
                        raise CollectError(
                            f"{self._path}: none of its {lost:,} media has an occurrence in it",
                            "check the columns of identifiers in its meta.xml, or download it again",
                        )
        for reason, n in sorted((+skipped).items()):
            self._setting.tell(f"{self._path}: {n:,} media {reason} are left out")

    def _occurrences(self, archive: Archive) -> Table:
        """The table of occurrences: the core, or an extension of one of events."""
        core = archive.core
        found = [one for one in archive.extensions if one.kind == OCCURRENCE] if core.kind == EVENT else [core]
        if not found or not {"scientificName", "genus"} & {*found[0].columns, *found[0].defaults}:
            raise CollectError(
                f"{self._path}: its core ({core.row_type or 'of no type'}) has no scientific names",
                "take an archive of occurrences; GBIF makes one of every data set",
            )
        return found[0]

    def _of_media(self, archive: Archive, occurrences: Table) -> list[Table]:
        """The tables of media; none where occurrences name their media themselves."""
        found = [one for row in MEDIA_ROWS for one in archive.extensions if one.kind == row]
        if not found and "associatedMedia" not in occurrences.columns:
            raise CollectError(
                f"{self._path} has no recordings or photos: no table of multimedia",
                "download the records as a Darwin Core Archive",
            )
        joined = [*found, *([occurrences] if occurrences is not archive.core else [])]
        if joined and (archive.core.id_index is None or any(one.id_index is None for one in joined)):
            raise CollectError(
                f"{self._path}: its meta.xml does not say in which columns a medium and its occurrence find each other",
                "add id and coreid there, or download the archive again",
            )
        return found

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


def _associated(record: Mapping[str, str]) -> list[dict[str, str]]:
    """Media that an occurrence names itself, in a list with any separator."""
    urls = addresses(record["associatedMedia"])
    return [{name: url if name == "url" else "" for name in MEDIA} for url in urls if "://" in url]
