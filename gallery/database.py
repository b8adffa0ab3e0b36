"""Gallery files: opening them without changing them, and what SQLite's errors mean.

Reading takes SQLite alone: sqlite-utils, which makes and changes galleries, is loaded by those that write.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gallery.errors import GalleryError
from gallery.schema import MIGRATION_SET

if TYPE_CHECKING:
    from sqlite_utils import Database

BUSY_TIMEOUT_MS = 30_000  # long enough for another program to add a folder of photos

_SQLITE_MAGIC = b"SQLite format 3\0"
_WAL_VERSION = 2  # bytes 18 and 19 of the file, https://www.sqlite.org/fileformat2.html#the_database_header
_SIDE_FILES = ("-wal", "-shm", "-journal")


def drop_journals(old: Path) -> None:
    """Remove the WAL of a gallery about to be replaced: SQLite would play it into the new file."""
    if not old.exists() or not any(_beside(old, suffix).exists() for suffix in _SIDE_FILES):
        return
    try:
        db = sqlite3.connect(old, timeout=0)
        try:
            db.execute("PRAGMA journal_mode = DELETE")
        finally:
            db.close()
    except sqlite3.OperationalError as error:
        raise GalleryError(f"gallery {old} is open in another program ({error})", "close it and build again") from error
    except sqlite3.DatabaseError:
        pass  # damaged: its WAL is of no use to anybody
    remove_side_files(old)


def remove(path: Path) -> None:
    """Remove a gallery and what SQLite keeps beside it; nothing happens where there is none."""
    path.unlink(missing_ok=True)
    remove_side_files(path)


def remove_side_files(path: Path) -> None:
    """Remove what SQLite keeps beside a database; nothing happens where there is none."""
    for suffix in _SIDE_FILES:
        _beside(path, suffix).unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def uri(path: Path, mode: str) -> str:
    """SQLite URI of a file; `mode` is ``"ro"``, ``"rw"`` or ``"rwc"`` (made if missing)."""
    return f"{path.resolve().as_uri()}?mode={mode}"


def reading_uri(path: Path) -> str:
    """How to read the file at `path` without changing anything; raises GalleryError when it is not a database."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except FileNotFoundError as error:
        raise GalleryError(f"no gallery at {path}", "check the path, or build one") from error
    except OSError as error:
        raise GalleryError(
            f"gallery {path} cannot be read ({error.strerror})", "name a file that you may read"
        ) from error
    if len(header) < 20 or not header.startswith(_SQLITE_MAGIC):
        raise GalleryError(f"{path} is not a gallery (not an SQLite file)", "name a gallery file, or build one")
    # A file that was copied while it was edited stays in WAL mode, which SQLite cannot read where it cannot write.
    stranded = _WAL_VERSION in header[18:20] and not _beside(path, "-wal").exists()
    if stranded and not writable(path.resolve().parent):
        return f"{uri(path, 'ro')}&immutable=1"
    return uri(path, "ro")


def connect(uri: str) -> sqlite3.Connection:
    """Connection with the settings that SQLite does not keep in the file."""
    connection = sqlite3.connect(uri, uri=True)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def changing(connection: sqlite3.Connection) -> Database:
    """The same connection for writing: what is not inside a transaction is committed at once."""
    from sqlite_utils import Database

    return Database(connection, execute_plugins=False)


def bring_up_to_date(db: sqlite3.Connection) -> None:
    """Apply the changes that the file has not seen, all of them to an empty one."""
    from gallery.migrations import migrations

    migrations.apply(changing(db))


def applied(db: sqlite3.Connection) -> list[str]:
    """Names of the changes this file has seen, oldest first; empty when it is not a gallery."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone():
        return []
    names = db.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY rowid", (MIGRATION_SET,))
    return [name for (name,) in names]


def edit(db: sqlite3.Connection) -> None:
    """Let others read while this connection writes."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")


def settle(db: sqlite3.Connection) -> None:
    """Return an edited file to one file without side files, unless another program has it open."""
    db.execute("PRAGMA busy_timeout = 0")
    # It fails while somebody reads: everything is committed all the same, and the next one to edit the file settles it.
    with suppress(sqlite3.OperationalError):
        db.execute("PRAGMA journal_mode = DELETE")


def writable(path: Path) -> bool:
    """Whether this process may write to a file or into a folder."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def check_folder(path: Path) -> None:
    """Raise GalleryError unless a file can be made at `path`."""
    folder = path.resolve().parent
    if not folder.is_dir():
        raise GalleryError(f"no folder {folder} for the gallery {path.name}", "make the folder first")
    if not writable(folder):
        raise GalleryError(f"folder {folder} cannot be written", "choose a folder of yours for the gallery")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite reports about the file into one line with a remedy; a broken constraint is a bug and passes."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            raise GalleryError(f"gallery {path} is in use by another program", "close it, or try again") from error
        if "full" in text:
            raise GalleryError(f"no room to write gallery {path}", "free some of the disk and do it again") from error
        raise GalleryError(
            f"gallery {path} cannot be used ({text})", "check that it may be read and written"
        ) from error
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        raise GalleryError(f"gallery {path} is damaged ({error})", "restore a copy, or build it again") from error
