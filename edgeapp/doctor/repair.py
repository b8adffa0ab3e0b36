"""Repairs of `doctor --fix`. Each is safe, reports what it did, and begins with a verified copy.

A damaged journal is copied to ``NAME.backup-TIME`` first. If only an index is damaged it is rebuilt. Otherwise every
row that can still be read is written into a new file, and the new file takes the place of the old one when SQLite finds
nothing wrong with it. A running station is not disturbed: it has the journal open.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Findings, error, ok
from edgeapp.doctor.records import reading, whole
from edgeapp.journal.schema import APPLICATION_ID
from edgeapp.journal.schema_of_browsing import RECOUNT
from edgeapp.pack.hashes import sha256
from gallery import files, sqlite

SIDE_FILES = ("-wal", "-shm")
ORPHAN_S = 3600.0  # a temporary file of this age has no writer any more


def repair(context: Context) -> Findings:
    """Repair what can be repaired, and tell what was done."""
    if context.hears_now:
        yield error("repair", "a station is running, nothing was done", "stop it, and run this again")
        return
    yield from _journal(context.settings.journal_path, context.clock.now().utc)
    yield from _temporary_files(context)


def _journal(path: Path, now: datetime) -> Findings:
    if not path.exists():
        return
    try:
        with reading(path) as db:
            faults = whole(db)
            if not faults:
                if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                    yield error("repair", f"{path}: is not a journal, nothing was done", "name another with --journal")
                return
    except sqlite3.OperationalError as fault:
        yield error("repair", f"{path}: cannot be examined ({fault}), nothing was done", "end the program that has it")
        return
    except sqlite3.DatabaseError as fault:
        faults = [str(fault)]
    backup = _free(path.with_name(f"{path.name}.backup-{now:%Y%m%dT%H%M%SZ}"))
    if not _copied(path, backup):
        yield error("repair", f"{path}: no verified copy could be made, nothing was done", "make room on the disk")
        return
    # After the copy: whoever closes a database last writes into it.
    if (holder := _held(path)) is not None:
        for suffix in ("", *SIDE_FILES):
            backup.with_name(backup.name + suffix).unlink(missing_ok=True)
        yield error("repair", f"{path}: another program has it ({holder}), nothing was done", "end that program first")
        return
    yield ok("repair", f"{path}: copied to {backup}, and the copy was compared byte by byte")
    try:
        if _reindexed(path):
            yield ok("repair", f"{path}: only an index was damaged ({faults[0]}); it was rebuilt, no row was lost")
            return
        saved = _recovered(path)
    except (sqlite3.Error, OSError) as fault:
        yield error("repair", f"{path}: cannot be repaired ({fault}); the copy is {backup}", _by_hand(path))
        return
    yield ok("repair", f"{path}: rewritten with {', '.join(f'{n} {table}' for table, n in saved.items() if n)}")


def _held(path: Path) -> str | None:
    """Why the file is locked by another program; None when it is free.

    In WAL mode every open connection keeps a lock on the file, which this mode of locking does not bear.
    """
    try:
        with closing(sqlite.connect(path, "rw", busy_s=0.0)) as db:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("BEGIN EXCLUSIVE")
            db.rollback()
    except sqlite3.OperationalError as fault:
        return str(fault)
    except sqlite3.DatabaseError:
        return None  # damaged, and not locked
    return None


def _by_hand(path: Path) -> str:
    return f"move it away and start again; `sqlite3 {path.name} .recover` may still save rows"


def _copied(path: Path, backup: Path) -> bool:
    """Copy a file and what SQLite keeps beside it, flush, and compare."""
    try:
        for suffix in ("", *SIDE_FILES):
            source, target = path.with_name(path.name + suffix), backup.with_name(backup.name + suffix)
            # An empty WAL says nothing, and its index is rebuilt by whoever opens it.
            if suffix == "-shm" or (suffix and not (source.exists() and source.stat().st_size)):
                continue
            shutil.copy2(source, target)
            with target.open("rb") as file:
                os.fsync(file.fileno())
            if sha256(source) != sha256(target):
                return False
    except OSError:
        for suffix in ("", *SIDE_FILES):
            backup.with_name(backup.name + suffix).unlink(missing_ok=True)
        return False
    return True


def _reindexed(path: Path) -> bool:
    """Rebuild all indexes; whether the file is then intact."""
    try:
        with closing(sqlite.connect(path, "rw")) as db:
            db.execute("REINDEX")
            db.commit()
            return not whole(db) and db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    except sqlite3.DatabaseError:
        return False


def _recovered(path: Path) -> dict[str, int]:
    """Write what can still be read into a new file and put it in place; rows saved of each table.

    Raises
    ------
    sqlite3.Error, OSError
        Nothing can be read, or the new file is not whole; the old one is as it was.
    """
    with files.replacing(path) as part:
        with closing(sqlite.connect(path, "rw")) as old, closing(sqlite.connect(part, "rw")) as new:
            saved = _salvaged(old, new)
            if faults := whole(new):
                raise sqlite3.DatabaseError(f"the recovered rows are inconsistent: {faults[0]}")
            new.execute("PRAGMA journal_mode = DELETE")
        # The WAL of the old file must never be played into the new one; the copy has it.
        for suffix in SIDE_FILES:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    return saved


def _salvaged(old: sqlite3.Connection, new: sqlite3.Connection) -> dict[str, int]:
    schema = old.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    tables = [(name, sql) for kind, name, sql in schema if kind == "table" and not name.startswith("sqlite_")]
    if "detections" not in {name for name, _ in tables}:
        raise sqlite3.DatabaseError("its schema cannot be read")
    new.execute("PRAGMA foreign_keys = OFF")
    new.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    saved = {}
    for name, sql in tables:
        new.execute(sql)
        saved[name] = 0
        for row in _rows(old, name):
            places = ", ".join("?" * len(row))
            # OR IGNORE: what was read from both ends may meet in the middle, and a torn row may break a rule.
            saved[name] += new.execute(f'INSERT OR IGNORE INTO "{name}" VALUES ({places})', row).rowcount
    for kind, _, sql in schema:
        if kind != "table":
            new.execute(sql)
    if "heard" in saved:  # counts of rows, some of which may be lost
        for statement in RECOUNT:
            new.execute(statement)
    new.commit()
    return saved


def _rows(old: sqlite3.Connection, table: str) -> Iterator[tuple[object, ...]]:
    """Rows of a table from its start to the damage, then from its end back to the damage."""
    keys = [row[1] for row in sorted(old.execute(f'PRAGMA table_info("{table}")'), key=lambda row: row[5]) if row[5]]
    order = ", ".join(f'"{key}" DESC' for key in keys) or "rowid DESC"
    seen = 0
    try:
        for row in old.execute(f'SELECT * FROM "{table}" NOT INDEXED'):
            seen += 1
            yield row
        return
    except sqlite3.DatabaseError:
        pass  # from the other end
    with suppress(sqlite3.DatabaseError):
        yield from old.execute(f'SELECT * FROM "{table}" NOT INDEXED ORDER BY {order}')


def _temporary_files(context: Context) -> Findings:
    """Remove temporary files of killed writers."""
    journal, clips = context.settings.journal_path, context.settings.clips.folder
    removed = files.remove_abandoned(journal.parent, files.temporary_names(journal), ORPHAN_S)
    if clips is not None:
        removed += files.remove_abandoned(clips, f"**/{files.TEMPORARY}", ORPHAN_S)
    if removed:
        yield ok("repair", f"removed {removed} unfinished temporary files")


def _free(path: Path) -> Path:
    """The path, or one beside it that is not there yet."""
    free, n = path, 1
    while free.exists():
        n += 1
        free = path.with_name(f"{path.name}-{n}")
    return free
