"""Gallery files: opening them without changing them, and what SQLite's errors mean.

Reading takes SQLite alone: sqlite-utils, which makes and changes galleries, is loaded by those that write.
"""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gallery import sqlite
from gallery.entry import MOST_DIM, EncoderIdentity
from gallery.errors import GalleryError
from gallery.rows import DamagedRowError
from gallery.schema import MIGRATION_SET

if TYPE_CHECKING:
    from gallery.migrating import Database

BUSY_S = 30.0  # long enough for another program to add a folder of photos

DAMAGED = "restore a copy, or build it again"  # what to do about such a file

_SIDE_FILES = ("-wal", "-shm", "-journal")


def drop_journals(old: Path) -> None:
    """Remove the WAL of a gallery about to be replaced: SQLite would play it into the new file."""
    if not old.exists() or not any(_beside(old, suffix).exists() for suffix in _SIDE_FILES):
        return
    try:
        db = sqlite.connect(old, "rw", busy_s=0.0)
        try:
            db.execute("PRAGMA journal_mode = DELETE")
        finally:
            db.close()
    except sqlite3.OperationalError as error:
        raise GalleryError(f"gallery {old} is open in another program ({error})", "close it and build again") from error
    except sqlite3.DatabaseError:
        pass  # damaged: its WAL is useless
    remove_side_files(old)


def remove_side_files(path: Path) -> None:
    """Remove what SQLite keeps beside a database; nothing happens where there is none."""
    for suffix in _SIDE_FILES:
        _beside(path, suffix).unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def check_file(path: Path) -> None:
    """Raise GalleryError unless there is a database at `path` that can be read."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe would be waited for
            raise GalleryError(f"{path} is not a gallery (a pipe or device)", "name a gallery file, or build one")
        with path.open("rb") as file:
            header = file.read(sqlite.HEADER_BYTES)
    except FileNotFoundError as error:
        raise GalleryError(f"no gallery at {path}", "check the path, or build one") from error
    except OSError as error:
        raise GalleryError(
            f"gallery {path} cannot be read ({error.strerror})", "check the file's permissions"
        ) from error
    if len(header) < sqlite.HEADER_BYTES or not header.startswith(sqlite.MAGIC):
        raise GalleryError(f"{path} is not a gallery (not an SQLite file)", "name a gallery file, or build one")


def changing(connection: sqlite3.Connection) -> Database:
    """The same connection for writing: what is not inside a transaction is committed at once."""
    from gallery.migrating import Database

    return Database(connection, execute_plugins=False)


def bring_up_to_date(db: sqlite3.Connection) -> None:
    """Apply the changes that the file has not seen, all of them to an empty one."""
    from gallery.migrations import migrations

    before = applied(db)
    migrations.apply(changing(db))
    if before and applied(db) != before:
        with suppress(sqlite3.OperationalError):  # while somebody reads, or without room: what it frees is used later
            db.execute("VACUUM")


def read_as_newest(db: sqlite3.Connection, views: Sequence[str]) -> None:
    """Let this connection read an older file as one of the newest schema, through views that are in memory alone."""
    if views:
        db.execute("PRAGMA query_only = OFF")
        for view in views:
            db.execute(view)
        db.execute("PRAGMA query_only = ON")


def applied(db: sqlite3.Connection) -> list[str]:
    """Names of the changes this file has seen, oldest first; empty when it is not a gallery."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone():
        return []
    names = db.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY rowid", (MIGRATION_SET,))
    return [name for (name,) in names]


def check_identity(path: Path, made_by: EncoderIdentity, wanted: EncoderIdentity) -> None:
    """Raise GalleryError unless vectors of these encoders can be compared with those of the gallery."""
    if (made_by.space, made_by.dim) != (wanted.space, wanted.dim):
        raise GalleryError(
            f"gallery {path} was made by other encoders: '{made_by.space}' with {made_by.dim} numbers a vector (pack "
            f"{made_by.pack}), not '{wanted.space}' with {wanted.dim} (pack {wanted.pack})",
            "build it again with this pack, or name the pack that made it with --pack",
        )


def settings(db: sqlite3.Connection) -> dict[str, str]:
    """What the gallery says of itself."""
    return dict(db.execute("SELECT key, value FROM gallery"))


def identity_of(db: sqlite3.Connection, path: Path) -> EncoderIdentity:
    """The encoders that made its vectors; GalleryError where it does not say."""
    said = settings(db)
    try:
        dim = int(said["dim"])
        if not 1 <= dim <= MOST_DIM:
            raise ValueError(f"a vector of {dim} numbers")
        return EncoderIdentity(said["space"], dim, said["pack"])
    except (KeyError, TypeError, ValueError) as error:
        raise GalleryError(f"gallery {path} does not say which encoders made it", "build it again") from error


def settle(db: sqlite3.Connection) -> None:
    """Return an edited file to one file without side files, unless another program has it open."""
    db.execute("PRAGMA busy_timeout = 0")
    # It fails while somebody reads: everything is committed all the same, and the next one to edit the file settles it.
    with suppress(sqlite3.OperationalError):
        db.execute("PRAGMA journal_mode = DELETE")


def check_folder(path: Path) -> None:
    """Raise GalleryError unless a file can be made at `path`."""
    folder = path.resolve().parent
    if not folder.is_dir():
        raise GalleryError(f"no folder {folder} for the gallery {path.name}", "make the folder first")
    if not sqlite.writable(folder):
        raise GalleryError(f"folder {folder} cannot be written", "choose a folder of yours for the gallery")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Convert errors of SQLite to `GalleryError` with a remedy; a violated constraint is a bug and is raised as is."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.OperationalError as error:
        text = str(error)
        if sqlite.is_busy(error):
            raise GalleryError(f"gallery {path} is in use by another program", "close it, or try again") from error
        if "full" in text:
            raise GalleryError(f"no room to write gallery {path}", "free some of the disk and do it again") from error
        if "decode" in text:  # a column of text that is none
            raise GalleryError(f"gallery {path} is damaged ({text})", DAMAGED) from error
        raise GalleryError(f"gallery {path} cannot be used ({text})", "check the file's permissions") from error
    except sqlite3.ProgrammingError:
        raise
    except (sqlite3.DatabaseError, DamagedRowError) as error:
        raise GalleryError(f"gallery {path} is damaged ({error})", DAMAGED) from error
