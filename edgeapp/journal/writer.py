"""How every part of the journal writes: one connection, one lock, one transaction a change."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from edgeapp.journal.database import JournalError, NoSuchRowError, explained
from gallery import sqlite
from gallery.migrating import Database

PAUSE_S = 0.05  # between two attempts, where SQLite gives up without waiting

T = TypeVar("T")


class Writer:
    """The connection that writes, safe to use from several threads.

    Parameters
    ----------
    path : Path
    db : Database
        Open, its transactions begun by hand.
    busy_s : float
        How long another program may hold the journal before that is an error.

    Attributes
    ----------
    on_queued : callable
        Called after messages were committed, by the thread that wrote them; it must neither wait nor raise.
    """

    def __init__(self, path: Path, db: Database, busy_s: float) -> None:
        self.path = path
        self._db = db
        self._connection = cast(sqlite3.Connection, db.conn)
        self._busy_s = busy_s
        self._lock = threading.RLock()
        self._file = _identity(path)
        self.on_queued: Callable[[], None] = lambda: None
        self._after_commit: list[Callable[[], None]] = []

    def _write(self, change: Callable[[], T], durable: bool = True) -> T:
        """Make a change in one transaction: all of it is in the journal, or an error is raised and nothing is.

              `durable` False saves waiting for the disk: such a change survives a crash of this program, but not
        always a power failure.
        """
        with self._lock, explained(self.path):
            if self._connection.in_transaction:
                return change()  # part of the change that is being made
            self._check_still_there()
            if not durable:
                self._connection.execute("PRAGMA synchronous = NORMAL")
            try:
                self._begin()
                try:
                    result = change()
                    self._connection.execute("COMMIT")
                    for call in self._after_commit:
                        call()
                except BaseException:
                    self._connection.rollback()
                    raise
                finally:
                    self._after_commit.clear()
                return result
            finally:
                if not durable:
                    self._connection.execute("PRAGMA synchronous = FULL")

    def _fetch(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        # All rows at once: an open cursor would hold back the checkpoints, and other threads write in between.
        with self._lock, explained(self.path, "read"):
            cursor = self._connection.execute(sql, dict(values or {}))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _call_after(self, call: Callable[[], None]) -> None:
        """Call something once what is being changed is committed."""
        if call not in self._after_commit:
            self._after_commit.append(call)

    def _insert(self, table: str, row: Mapping[str, Any]) -> int:
        columns = ", ".join(row)
        places = ", ".join(f":{column}" for column in row)
        cursor = self._connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", dict(row))
        return cast(int, cursor.lastrowid)

    def _update(self, table: str, row_id: int, row: Mapping[str, Any], only_where: str = "1") -> bool:
        """Change one row; False when there is none."""
        assignments = ", ".join(f"{column} = :{column}" for column in row)
        sql = f"UPDATE {table} SET {assignments} WHERE id = :id AND {only_where}"
        return self._connection.execute(sql, {**row, "id": row_id}).rowcount > 0

    def _missing(self, what: str, row_id: int) -> JournalError:
        return NoSuchRowError(f"{self.path}: has no {what} {row_id}", f"check the number of the {what}")

    def _begin(self) -> None:
        # IMMEDIATE waits its turn; a transaction that begins by reading is turned away when somebody writes meanwhile.
        # SQLite gives up at once in some cases, such as another program that repairs the WAL after a crash.
        until = time.monotonic() + self._busy_s
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not sqlite.is_busy(error) or time.monotonic() >= until:
                    raise
            time.sleep(PAUSE_S)

    def _check_still_there(self) -> None:
        # SQLite would go on writing into a file that was removed, and every row would be gone at the end.
        if _identity(self.path) != self._file:
            raise JournalError(
                f"{self.path}: the journal was moved, removed or replaced while it was open",
                "put it back, or start again",
            )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
