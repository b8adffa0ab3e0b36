"""The tables of a Darwin Core Archive joined on the disk: every occurrence with its media.

Where the core is Occurrence, media point to it. Where it is Event (sampling events), both occurrences and media point
to the event, and a medium is that of the occurrence that it names, or that has the name that it gives, or else of the
only species of its event. A medium of several species is nobody's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edgeapp.collect.scratch import scratch
from edgeapp.collect.sources.darwin_core import Archive, Table
from edgeapp.collect.sources.words import addresses
from edgeapp.errors import CollectError

IMAGE_ROW = "image"  # its media need not say what they are
ABSENT = "absent"
# Terms of Audubon Core (ac, xmpRights, photoshop) stand for those of GBIF's extension.
MEDIA = {
    "type": ("type",),
    "format": ("format",),
    "url": ("accessURI", "identifier"),  # where Audubon Core has both, the identifier is that of its record
    "page": ("references", "furtherInformationURL"),
    "creator": ("creator", "providerLiteral"),
    "licence": ("license", "UsageTerms", "WebStatement", "rights"),
    "holder": ("rightsHolder", "Owner"),
    "created": ("created", "CreateDate"),
    "occurrence": ("occurrenceID", "associatedObservationReference"),
    "name": ("scientificName",),
}
OF_EVENT = (
    *("license", "rightsHolder", "recordedBy", "eventDate", "year", "decimalLatitude", "decimalLongitude"),
    *("countryCode", "country", "datasetKey", "datasetName"),
)
_OF_OCCURRENCE = (
    "SELECT min(key) FROM occurrences AS one WHERE media.occurrence <> '' AND one.event = media.key "
    "AND one.id = media.occurrence"
)
_OF_NAME = (
    "SELECT min(key) FROM occurrences AS one WHERE media.occurrence = '' AND media.name <> '' "
    "AND one.event = media.key AND one.name = media.name"
)
_ALONE = (
    "SELECT first FROM heard WHERE media.occurrence = '' AND media.name = '' AND heard.event = media.key "
    "AND species = 1"
)


class Joined:
    """The occurrences of an archive, each with its media.

    Media are kept in a temporary database, by which every occurrence finds its own, whatever the order of the tables;
    of sampling events, the events and the names of occurrences as well. No table is held in memory.

    Parameters
    ----------
    folder : Path
        For the database.
    archive : Archive
    occurrences : Table
        The core, or where the core is Event an extension.
    media : iterable of Table

    Raises
    ------
    CollectError
        A table cannot be read, or the folder has no room.

    Attributes
    ----------
    ambiguous : int
        Media of events that are of none of their occurrences.
    """

    def __init__(self, folder: Path, archive: Archive, occurrences: Table, media: Iterable[Table]) -> None:
        self._archive, self._occurrences = archive, occurrences
        self._of_events = occurrences is not archive.core
        self._db = scratch(folder / "media.db")
        self._db.execute(f"CREATE TABLE media (key TEXT, {', '.join(MEDIA)})")
        self._db.execute("CREATE TABLE found (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self.ambiguous = 0
        try:
            for table in media:
                self._insert("media", self._media(table), 1 + len(MEDIA))
            if self._of_events:
                self._match()
            self._db.execute("CREATE INDEX by_key ON media (key)")
        except sqlite3.Error as error:
            self._db.close()
            raise CollectError(
                f"{archive.path}: its media cannot be sorted in {folder.parent} ({error})",
                "make room there, or name another folder with TMPDIR",
            ) from None

    def __enter__(self) -> Joined:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def rows(self, terms: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """Key and values of every occurrence; what it does not say, its event may."""
        for n, (key, values) in enumerate(self._archive.rows(self._occurrences, terms)):
            record = dict(zip(terms, values, strict=True))
            if not self._of_events:
                yield key, record
                continue
            event = self._db.execute(f"SELECT {', '.join(OF_EVENT)} FROM events WHERE key = ?", (key,)).fetchone()
            for term, value in zip(OF_EVENT, event or ()):
                record[term] = record[term] or value
            yield _numbered(key, n), record

    def of(self, key: str) -> tuple[list[dict[str, str]], bool]:
        """Media of an occurrence, one for each address; and whether they were asked for before."""
        rows = self._db.execute("SELECT * FROM media WHERE key = ? ORDER BY rowid", (key,)).fetchall()
        again = bool(rows) and not self._db.execute("INSERT OR IGNORE INTO found VALUES (?)", (key,)).rowcount
        found: dict[str, dict[str, str]] = {}
        for n, values in enumerate(rows):
            media = dict(zip(MEDIA, values[1:], strict=True))
            for url in addresses(media["url"]):
                found.setdefault(url or f"{n}", {**media, "url": url})
        return list(found.values()), again

    def any_found(self) -> bool:
        """Whether any occurrence has media."""
        return self._db.execute("SELECT 1 FROM found LIMIT 1").fetchone() is not None

    def lost(self) -> int:
        """Media of occurrences that are not there."""
        query = "SELECT count(*) FROM media WHERE key NOT IN (SELECT key FROM found)"
        return int(self._db.execute(query).fetchone()[0])

    def _media(self, table: Table) -> Iterator[tuple[str, ...]]:
        terms = [term for several in MEDIA.values() for term in several]
        spans, at = [], 0
        for several in MEDIA.values():
            spans.append((at, at + len(several)))
            at += len(several)
        type_at = 1 + list(MEDIA).index("type")
        for key, values in self._archive.rows(table, terms):
            row = [key, *(next((text for text in values[begin:end] if text), "") for begin, end in spans)]
            if table.kind == IMAGE_ROW:
                row[type_at] = row[type_at] or "StillImage"
            yield tuple(row)

    def _match(self) -> None:
        """Give the media of events the keys of occurrences; those of none are taken out and counted."""
        self._db.execute(f"CREATE TABLE events (key TEXT PRIMARY KEY, {', '.join(OF_EVENT)}) WITHOUT ROWID")
        events = ((key, *values) for key, values in self._archive.rows(self._archive.core, OF_EVENT))
        self._insert("events", events, 1 + len(OF_EVENT))
        self._db.execute("CREATE TABLE occurrences (key TEXT, event TEXT, id TEXT, name TEXT)")
        self._insert("occurrences", self._present(), 4)
        self._db.execute("CREATE INDEX by_id ON occurrences (event, id, key)")
        self._db.execute("CREATE INDEX by_name ON occurrences (event, name, key)")
        self._db.execute("CREATE TABLE heard (event TEXT PRIMARY KEY, first TEXT, species INTEGER) WITHOUT ROWID")
        counts = "SELECT event, min(key), count(DISTINCT name) FROM occurrences GROUP BY event"
        self._db.execute(f"INSERT INTO heard {counts}")
        matched = f"coalesce(({_OF_OCCURRENCE}), ({_OF_NAME}), ({_ALONE}))"
        self._db.execute("CREATE TABLE matched (place INTEGER PRIMARY KEY, key TEXT)")
        self._db.execute(
            f"INSERT INTO matched SELECT rowid, {matched} FROM media WHERE key IN (SELECT event FROM heard)"
        )
        [self.ambiguous] = self._db.execute("SELECT count(*) FROM matched WHERE key IS NULL").fetchone()
        self._db.execute("DELETE FROM media WHERE rowid IN (SELECT place FROM matched WHERE key IS NULL)")
        of_medium = "SELECT key FROM matched WHERE place = media.rowid"
        self._db.execute(f"UPDATE media SET key = ({of_medium}) WHERE rowid IN (SELECT place FROM matched)")

    def _present(self) -> Iterator[tuple[str, ...]]:
        terms = ("occurrenceID", "scientificName", "genus", "specificEpithet", "occurrenceStatus")
        for n, (key, (id, name, genus, species, status)) in enumerate(self._archive.rows(self._occurrences, terms)):
            if status.casefold() != ABSENT:
                yield _numbered(key, n), key, id, name or f"{genus} {species}".strip()

    def _insert(self, table: str, rows: Iterator[tuple[str, ...]], columns: int) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * columns)})", rows)
        self._db.execute("COMMIT")


def _numbered(event: str, n: int) -> str:
    """Key of an occurrence of an event, by its place in the table."""
    return f"{event}#{n}"
