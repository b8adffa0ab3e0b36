"""Schema of a gallery file, as the list of changes that led to it.

A change is never edited once a gallery has been made with it: the next one is added below it, and its name to
`gallery.schema.SCHEMA`.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

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
