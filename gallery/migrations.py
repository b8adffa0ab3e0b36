"""Schema of a gallery file, as the list of changes that led to it.

A change is never edited once a gallery has been made with it: the next one is added below it, and its name to
`gallery.schema.SCHEMA`.
"""

from __future__ import annotations

import zlib

import numpy as np

from gallery.centroids import Appender
from gallery.migrating import Database, Migrations
from gallery.rows import VECTOR, stored_hash, vectors_of
from gallery.schema import MIGRATION_SET

migrations = Migrations(MIGRATION_SET)


@migrations()
def m001_taxa_and_entries(db: Database) -> None:
    # Written out, since NOCASE names, checks and partial unique indexes have no short form in sqlite-utils.
    for statement in (
        """
        CREATE TABLE gallery (
            key TEXT PRIMARY KEY,
            value TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE taxa (
            id INTEGER PRIMARY KEY,
            scientific_name TEXT NOT NULL UNIQUE COLLATE NOCASE CHECK (scientific_name <> ''),
            kingdom TEXT NOT NULL,
            phylum TEXT NOT NULL,
            class TEXT NOT NULL,
            "order" TEXT NOT NULL,
            family TEXT NOT NULL,
            genus TEXT NOT NULL,
            common_names TEXT NOT NULL,
            synonyms TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE entries (
            id INTEGER PRIMARY KEY,
            taxon INTEGER NOT NULL REFERENCES taxa (id) ON DELETE CASCADE,
            kind TEXT NOT NULL CHECK (kind IN ('text', 'image', 'audio')),
            vector BLOB NOT NULL,
            label TEXT NOT NULL,
            author TEXT NOT NULL,
            licence TEXT NOT NULL,
            source TEXT NOT NULL,
            sha256 TEXT NOT NULL
        )
        """,
        # Pictures in a table of their own: reading all vectors must not page through them.
        """
        CREATE TABLE thumbnails (
            entry INTEGER PRIMARY KEY REFERENCES entries (id) ON DELETE CASCADE,
            jpeg BLOB NOT NULL
        )
        """,
        """
        CREATE TABLE rejected (
            id INTEGER PRIMARY KEY,
            label TEXT NOT NULL,
            reason TEXT NOT NULL
        )
        """,
        "CREATE INDEX entries_by_taxon ON entries (taxon, kind)",
        "CREATE INDEX entries_by_kind ON entries (kind, taxon)",
        # The same file twice for one taxon would count twice in its mean; so would the same prompt.
        "CREATE UNIQUE INDEX one_file_once ON entries (taxon, kind, sha256) WHERE sha256 <> ''",
        "CREATE UNIQUE INDEX one_label_once ON entries (taxon, kind, label) WHERE sha256 = ''",
    ):
        db.execute(statement)


@migrations()
def m002_modality_and_class_vectors(db: Database) -> None:
    for statement in (
        "ALTER TABLE entries RENAME COLUMN kind TO modality",
        "DROP INDEX entries_by_kind",
        "CREATE INDEX entries_by_modality ON entries (modality, taxon)",
        # Of a row of a classifier's last layer; of all other entries null.
        "ALTER TABLE entries ADD COLUMN logit_scale REAL CHECK (logit_scale > 0)",
        "ALTER TABLE entries ADD COLUMN logit_bias REAL CHECK ((logit_bias IS NULL) = (logit_scale IS NULL))",
        "CREATE UNIQUE INDEX one_class_vector ON entries (taxon) WHERE logit_scale IS NOT NULL",
    ):
        db.execute(statement)


@migrations()
def m003_photos_without_vectors_and_two_sizes(db: Database) -> None:
    # SQLite cannot lift NOT NULL off a column: both tables are made anew. The one that refers to the other goes first,
    # or dropping the other would empty it.
    for statement in (
        """
        CREATE TABLE new_entries (
            id INTEGER PRIMARY KEY,
            taxon INTEGER NOT NULL REFERENCES taxa (id) ON DELETE CASCADE,
            modality TEXT NOT NULL CHECK (modality IN ('text', 'image', 'audio')),
            vector BLOB CHECK (vector IS NOT NULL OR modality = 'image'),
            label TEXT NOT NULL,
            author TEXT NOT NULL,
            licence TEXT NOT NULL,
            source TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            logit_scale REAL CHECK (logit_scale > 0),
            logit_bias REAL CHECK ((logit_bias IS NULL) = (logit_scale IS NULL))
        )
        """,
        """
        INSERT INTO new_entries
        SELECT id, taxon, modality, vector, label, author, licence, source, sha256, logit_scale, logit_bias FROM entries
        """,
        # The small one before the large one, so that reading it does not page through the other; null where an earlier
        # version kept one size.
        """
        CREATE TABLE new_thumbnails (
            entry INTEGER PRIMARY KEY REFERENCES new_entries (id) ON DELETE CASCADE,
            width INTEGER,
            height INTEGER,
            small BLOB,
            large BLOB NOT NULL
        )
        """,
        "INSERT INTO new_thumbnails SELECT entry, NULL, NULL, NULL, jpeg FROM thumbnails",
        "DROP TABLE thumbnails",
        "DROP TABLE entries",
        "ALTER TABLE new_entries RENAME TO entries",
        "ALTER TABLE new_thumbnails RENAME TO thumbnails",
        "CREATE INDEX entries_by_taxon ON entries (taxon, modality)",
        "CREATE INDEX entries_by_modality ON entries (modality, taxon)",
        "CREATE UNIQUE INDEX one_file_once ON entries (taxon, modality, sha256) WHERE sha256 <> ''",
        "CREATE UNIQUE INDEX one_label_once ON entries (taxon, modality, label) WHERE sha256 = ''",
        "CREATE UNIQUE INDEX one_class_vector ON entries (taxon) WHERE logit_scale IS NOT NULL",
    ):
        db.execute(statement)


@migrations()
def m004_counterexamples(db: Database) -> None:
    # Apart from the entries: what is read as an example of a taxon can never be one of these.
    db.execute(
        """
        CREATE TABLE counterexamples (
            id INTEGER PRIMARY KEY,
            taxon_rank TEXT NOT NULL,
            scientific_name TEXT NOT NULL CHECK (scientific_name <> ''),
            vector BLOB NOT NULL,
            label TEXT NOT NULL,
            author TEXT NOT NULL,
            licence TEXT NOT NULL,
            source TEXT NOT NULL,
            UNIQUE (taxon_rank, scientific_name, label)
        )
        """
    )


@migrations()
def m005_blocks_of_vectors_and_centroids(db: Database) -> None:
    # In blocks, a page of the file has no room left over; and what is looked at of an entry lies close together.
    for statement in (
        """
        CREATE TABLE new_entries (
            id INTEGER PRIMARY KEY,
            taxon INTEGER NOT NULL REFERENCES taxa (id) ON DELETE CASCADE,
            modality TEXT NOT NULL CHECK (modality IN ('text', 'image', 'audio')),
            block INTEGER,
            place INTEGER CHECK ((place IS NULL) = (block IS NULL)),
            label TEXT NOT NULL,
            author TEXT NOT NULL,
            licence TEXT NOT NULL,
            source TEXT NOT NULL,
            sha256 NOT NULL
        )
        """,
        """
        CREATE TABLE vectors (
            id INTEGER PRIMARY KEY,
            taxon INTEGER NOT NULL REFERENCES taxa (id) ON DELETE CASCADE,
            modality TEXT NOT NULL,
            dtype TEXT NOT NULL,
            crc32 INTEGER NOT NULL,
            vectors BLOB NOT NULL
        )
        """,
        """
        CREATE TABLE centroids (
            taxon INTEGER NOT NULL REFERENCES taxa (id) ON DELETE CASCADE,
            modality TEXT NOT NULL,
            count INTEGER NOT NULL,
            crc32 INTEGER NOT NULL,
            changed INTEGER NOT NULL,
            total BLOB NOT NULL,
            PRIMARY KEY (taxon, modality)
        )
        """,
        """
        CREATE TABLE class_vectors (
            entry INTEGER PRIMARY KEY REFERENCES new_entries (id) ON DELETE CASCADE,
            taxon INTEGER NOT NULL UNIQUE REFERENCES taxa (id) ON DELETE CASCADE,
            logit_scale REAL NOT NULL CHECK (logit_scale > 0),
            logit_bias REAL NOT NULL,
            crc32 INTEGER NOT NULL,
            vector BLOB NOT NULL
        )
        """,
        """
        CREATE TABLE new_thumbnails (
            entry INTEGER PRIMARY KEY REFERENCES new_entries (id) ON DELETE CASCADE,
            width INTEGER,
            height INTEGER,
            small BLOB,
            large BLOB NOT NULL
        )
        """,
        "CREATE INDEX vectors_by_taxon ON vectors (taxon, modality)",
        "CREATE INDEX centroids_by_modality ON centroids (modality, taxon)",
    ):
        db.execute(statement)
    _move_entries(db)
    for statement in (
        "INSERT INTO new_thumbnails SELECT * FROM thumbnails",
        "DROP TABLE thumbnails",
        "DROP TABLE entries",
        "ALTER TABLE new_entries RENAME TO entries",
        "ALTER TABLE new_thumbnails RENAME TO thumbnails",
        # One index finds the entries of a taxon and keeps the same file or prompt from counting twice.
        """
        CREATE UNIQUE INDEX one_entry_once
        ON entries (taxon, modality, sha256, CASE sha256 WHEN '' THEN label ELSE '' END)
        """,
        # Vectors that another program changes are told when the gallery is opened, which reads the centroids alone.
        """
        CREATE TRIGGER vectors_changed AFTER UPDATE OF vectors ON vectors
        BEGIN
            UPDATE centroids SET changed = 1 WHERE taxon = new.taxon AND modality = new.modality;
        END
        """,
    ):
        db.execute(statement)


def _move_entries(db: Database) -> None:
    """Entries with a vector each to entries that name its place."""
    found = db.execute("SELECT value FROM gallery WHERE key = 'dim'").fetchone()
    dim = int(found[0]) if found else 0
    appender = Appender(db.conn, dim)
    rows = db.execute(
        """
        SELECT entries.*, scientific_name FROM entries JOIN taxa ON taxa.id = taxon ORDER BY taxon, modality, entries.id
        """
    )
    for id, taxon, modality, blob, label, author, licence, source, sha256, scale, bias, name in rows:
        place: tuple[int | None, int | None] = (None, None)
        vector = None if blob is None else vectors_of([blob], dim, [name])[0]
        if vector is not None and scale is None:
            place = appender.place((taxon, modality))
            appender.append((taxon, modality), vector)
        provenance = (label, author, licence, source, stored_hash(sha256))
        db.execute(
            f"INSERT INTO new_entries VALUES ({', '.join('?' * 10)})", (id, taxon, modality, *place, *provenance)
        )
        if vector is not None and scale is not None:
            content = np.ascontiguousarray(vector, VECTOR).tobytes()
            of_class = (id, taxon, scale, bias, zlib.crc32(content), content)
            db.execute("INSERT INTO class_vectors VALUES (?, ?, ?, ?, ?, ?)", of_class)
    appender.flush()
