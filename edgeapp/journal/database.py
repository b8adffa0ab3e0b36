"""The file of the journal: opening it to write or only to read, checking it, and what SQLite's errors mean.

The file outlives power cuts: WAL with full synchronisation, so that a row which was shown is a row on the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeapp.errors import BiovitaError
from edgeapp.journal.schema import APPLICATION_ID, migrations
from edgeapp.paths import default_journal
from gallery import sqlite
from gallery.migrating import Database

READING_BUSY_S = 5.0
WAL_BYTES = 8 * 2**20  # what the WAL file is cut back to after a checkpoint


class JournalError(BiovitaError):
    """A journal that cannot be opened, read or written, or that has no such row."""


class NoSuchRowError(JournalError):
    """A row that the journal does not have."""


class DamagedJournalError(JournalError):
    """A journal whose file is broken."""

    exit_code = 3


def default_path() -> Path:
    """Where the journal lies by default: the user's data folder."""
    return default_journal()


def open_to_write(path: Path, busy_s: float) -> Database:
    """Open a journal, make it where it is missing, check it, and bring its schema up to date.

    The connection may be used from several threads, by one at a time. It commits what `BEGIN` began, and nothing else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite.connect(path, "rwc", busy_s, autocommit=True, any_thread=True)
    try:
        database = Database(connection, execute_plugins=False)
        _check_ours(database, path)
        sqlite.write_ahead(connection, "FULL", busy_s)
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        check_whole(connection, path)
        if migrations.pending(database):
            _migrate(database)
    except BaseException:
        connection.close()
        raise
    return database


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a journal that is there and of this version, without changing anything in it.

    Raises
    ------
    JournalError
        There is none, it cannot be read, it is none, or another version wrote it.
    """
    if not path.is_file():
        raise JournalError(f"{path}: no journal found", "give another --journal, or let `biovita-edge listen` begin it")
    with explained(path, "read"):
        connection = sqlite.connect(path, "ro", READING_BUSY_S, any_thread=True)
        try:
            database = Database(connection, execute_plugins=False)
            _check_ours(database, path)
            if not database.table_names():
                raise JournalError(f"{path}: is empty", "give another --journal")
            if migrations.pending(database):
                raise JournalError(
                    f"{path}: was written by an older version", "`biovita-edge journal upgrade` keeps all its rows"
                )
        except BaseException:
            connection.close()
            raise
        return connection


def check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `DamagedJournalError` when the file is damaged: at the start, not at the first detection."""
    for fault in sqlite.faults(connection, most=1):
        raise _damaged(path, fault)


@contextmanager
def explained(path: Path, doing: str = "written") -> Iterator[None]:
    """Convert errors of SQLite and the file system to `JournalError` with a remedy."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = str(error)
        if "not a database" in reason:
            raise JournalError(f"{path}: is not a journal", "give another --journal") from error
        if "malformed" in reason:
            raise _damaged(path, reason) from error
        if sqlite.is_busy(error):
            raise JournalError(
                f"{path}: the journal is locked by another program ({reason})", "stop that program, or wait"
            ) from error
        raise JournalError(
            f"{path}: the journal cannot be {doing} ({reason})", "check the folder, its permissions and the free space"
        ) from error


def _check_ours(database: Database, path: Path) -> None:
    """Refuse a foreign database before anything is changed in it."""
    database.conn.execute("BEGIN")  # one look at the file, which another program may be making at this moment
    try:
        _check_owner(database, path)
    finally:
        database.conn.rollback()


def _check_owner(database: Database, path: Path) -> None:
    [(owner,)] = database.execute("PRAGMA application_id").fetchall()
    if owner == APPLICATION_ID:
        known = {migration.name for migration in migrations.pending(Database(memory=True, execute_plugins=False))}
        newer = [migration.name for migration in migrations.applied(database) if migration.name not in known]
        if newer:
            raise JournalError(
                f"{path}: was written by a newer version ({newer[-1]})",
                "update biovita-edge, or give another --journal",
            )
    elif database.table_names():
        raise JournalError(f"{path}: is a database, but not a journal", "give another --journal")


def _migrate(database: Database) -> None:
    connection = database.conn
    # A table is changed by making it anew; dropping the old one would take the rows that refer to it along.
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")  # of two programs that open an old journal, one waits
    try:
        migrations.apply(database)
        strays = connection.execute("PRAGMA foreign_key_check").fetchall()
        if strays:
            raise sqlite3.IntegrityError(f"{len(strays)} rows have dangling references, the first in {strays[0][0]}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    connection.execute("PRAGMA foreign_keys = ON")


def _damaged(path: Path, reason: str) -> DamagedJournalError:
    return DamagedJournalError(f"{path}: is damaged ({reason})", "move it away; `sqlite3 FILE .recover` saves its rows")
