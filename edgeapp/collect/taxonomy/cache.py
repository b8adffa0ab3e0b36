"""A backbone in SQLite: read once, since the largest have seven million names, and then looked up.

The file is made beside the collection, under a temporary name until it is whole. It belongs to one version of one
source, by path, size and time of writing; another one makes it anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edgeapp.collect.scratch import scratch
from edgeapp.collect.taxonomy.checklists import opened
from edgeapp.collect.taxonomy.lists import of_list, of_taxa
from edgeapp.collect.taxonomy.names import Name, epithet_stem, parsed
from edgeapp.collect.taxonomy.usages import CommonName, Usage
from edgeapp.errors import CollectError
from edgeapp.pack.names import names_table, shipped_species
from gallery import files, sqlite
from gallery.names_table import key_of
from gallery.taxon import starter_taxa

VERSION = "2"  # of the tables below and of how names are read
SHIPPED = "species that come with the program"
BATCH = 10_000
CACHE_KIB = 64_000  # memory of SQLite while indices are made
BELOW_GENUS = ("", "species", "subspecies", "variety", "form", "forma", "infraspecific name", "infraspecific_name")
KEPT = ("kingdom", "phylum", "class", "order", "family")  # ranks whose names are kept, to say which groups there are
LISTS = (".csv", ".json", ".gz", ".tsv", ".txt")

_SCHEMA = """
CREATE TABLE usage (
    id TEXT NOT NULL, parent TEXT NOT NULL, accepted TEXT NOT NULL, standing INTEGER NOT NULL, rank TEXT NOT NULL,
    name TEXT NOT NULL, authorship TEXT NOT NULL, key TEXT NOT NULL, stem TEXT NOT NULL, ranks TEXT NOT NULL
);
CREATE TABLE common_name (usage TEXT NOT NULL, language TEXT NOT NULL, name TEXT NOT NULL, preferred INTEGER NOT NULL);
CREATE TABLE higher (rank TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (rank, key)) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_INDICES = """
CREATE INDEX by_id ON usage (id);
CREATE INDEX by_key ON usage (key) WHERE key <> '';
CREATE INDEX by_stem ON usage (stem) WHERE stem <> '';
CREATE INDEX by_accepted ON usage (accepted) WHERE accepted <> '';
CREATE INDEX by_usage ON common_name (usage);
"""


@dataclass(frozen=True)
class Origin:
    """What a backbone is read from: a file or folder, or nothing for the species that come with the program."""

    path: Path | None = None

    @property
    def name(self) -> str:
        """For people."""
        return str(self.path) if self.path is not None else SHIPPED

    def fingerprint(self) -> str:
        """The same as long as the source is the same.

        Raises
        ------
        CollectError
            There is no such file.
        """
        if self.path is None:
            taxa = (taxon.scientific_name for taxon in (*shipped_species(), *starter_taxa()))
            return f"{VERSION} {SHIPPED} {hash_of(taxa)}"
        try:
            inside = sorted(self.path.rglob("*")) if self.path.is_dir() else [self.path]
            stats = [(one, one.stat()) for one in inside if one.is_file()]
            if not stats:
                raise FileNotFoundError(2, "No such file or directory")
        except OSError as error:
            raise CollectError(
                f"backbone {self.path}: cannot be read ({error.strerror})", "check the path of the taxonomy"
            ) from None
        listed = [f"{one.name} {stat.st_size} {stat.st_mtime_ns}" for one, stat in stats]
        return f"{VERSION} {self.path.resolve()} {hash_of(listed)}"


def hash_of(texts: Iterable[str]) -> str:
    """A short digest of texts."""
    import hashlib

    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:16]


def up_to_date(file: Path, origin: Origin, told: Callable[[int], None] = lambda names: None) -> Path:
    """The cache of a source, made if it is not there or is of another one.

    Parameters
    ----------
    file : Path
        The cache.
    origin : Origin
    told : callable
        Called with the number of names read so far, now and then.

    Raises
    ------
    CollectError
        The source cannot be read or has no species, or the cache cannot be written.
    """
    fingerprint = origin.fingerprint()
    if _fingerprint_in(file) == fingerprint:
        return file
    try:
        with files.replacing(file, parents=True) as part:
            _write(part, origin, fingerprint, told)
    except (OSError, sqlite3.Error) as error:
        raise CollectError(f"{file}: cannot be written ({error})", "check the folder and the free space") from None
    return file


def _write(part: Path, origin: Origin, fingerprint: str, told: Callable[[int], None]) -> None:
    connection = scratch(part, CACHE_KIB)
    try:
        connection.executescript(_SCHEMA)
        _fill(connection, _read(origin), told)
        if not connection.execute("SELECT 1 FROM usage WHERE key <> '' LIMIT 1").fetchone():
            raise CollectError(f"backbone {origin.name}: has no species", "name a checklist with species")
        connection.executescript(_INDICES)
        connection.execute("INSERT INTO facts VALUES ('fingerprint', ?), ('name', ?)", (fingerprint, origin.name))
        connection.execute("ANALYZE")
    finally:
        connection.close()


def _read(origin: Origin) -> Iterator[Usage | CommonName]:
    if origin.path is None:
        yield from of_taxa(_shipped())
        table = names_table()
        for language in table.languages:
            for name, common in table.names(language).items():
                yield CommonName(name, language, common, preferred=True)
    elif origin.path.is_dir() or origin.path.suffix.casefold() not in LISTS:
        checklist = opened(origin.path)
        try:
            yield from checklist.read_usages()
            yield from checklist.read_common_names()
        finally:
            checklist.close()
    else:
        yield from of_list(origin.path)


def _shipped() -> list:
    own = starter_taxa()
    names = {name for taxon in own for name in (taxon.scientific_name, *taxon.synonyms)}
    others = (taxon for taxon in shipped_species() if names.isdisjoint((taxon.scientific_name, *taxon.synonyms)))
    return [*own, *others]


def _fill(connection: sqlite3.Connection, rows: Iterable[Usage | CommonName], told: Callable[[int], None]) -> None:
    rest, read = iter(rows), 0
    higher: set[tuple[str, str]] = set()
    while batch := list(islice(rest, BATCH)):
        read += len(batch)
        usages = [_values(one) for one in batch if isinstance(one, Usage) and one.id]
        common = [(one.usage, one.language, one.name, one.preferred) for one in batch if isinstance(one, CommonName)]
        for one in batch:
            if isinstance(one, Usage):
                higher.update((rank, key_of(one.ranks[rank])) for rank in KEPT if rank in one.ranks)
                if one.rank in KEPT:
                    higher.add((one.rank, key_of(higher_name(one.name, one.authorship))))
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO usage VALUES ({', '.join('?' * 10)})", usages)
        connection.executemany("INSERT INTO common_name VALUES (?, ?, ?, ?)", common)
        connection.execute("COMMIT")
        told(read)
    connection.executemany("INSERT OR IGNORE INTO higher VALUES (?, ?)", sorted(higher))


def _values(usage: Usage) -> tuple[str | int, ...]:
    name, key, stem = higher_name(usage.name, usage.authorship), "", ""
    if usage.rank in BELOW_GENUS:
        found = parsed(usage.name)
        if isinstance(found, Name) and found.certain:
            name = found.subspecies or found.species
            key, stem = key_of(name), epithet_stem(key_of(found.species)) if not found.subspecies else ""
    ranks = json.dumps(usage.ranks, ensure_ascii=False) if usage.ranks else ""
    author = usage.authorship or (found.authorship if key and isinstance(found, Name) else "")
    return (usage.id, usage.parent, usage.accepted, usage.standing, usage.rank, name, author, key, stem, ranks)


def higher_name(name: str, authorship: str) -> str:
    """The name of a higher taxon without its author."""
    bare = name.removesuffix(authorship).strip() if authorship else name
    return bare.partition(" ")[0]


def _fingerprint_in(file: Path) -> str:
    if not file.is_file():
        return ""
    try:
        connection = sqlite.connect(file, "ro")
    except (OSError, sqlite3.Error):
        return ""
    try:
        found = connection.execute("SELECT value FROM facts WHERE name = 'fingerprint'").fetchone()
    except sqlite3.Error:
        return ""
    finally:
        connection.close()
    return found[0] if found else ""
