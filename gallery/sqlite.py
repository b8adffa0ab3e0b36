"""Opening SQLite files: settings that SQLite does not keep in the file, and reading where nothing may be written."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

BUSY_S = 30.0  # how long another connection may be in the way before that is an error
BUSY_STEP_S = 0.02

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 20
_WAL_VERSION = 2  # bytes 18 and 19 of the file, https://www.sqlite.org/fileformat2.html#the_database_header


def connect(
    path: Path, mode: str, busy_s: float = BUSY_S, *, autocommit: bool = False, any_thread: bool = False
) -> sqlite3.Connection:
    """Open a database.

    Parameters
    ----------
    path : Path
    mode : str
        ``"ro"`` changes nothing, ``"rw"`` wants an existing file, ``"rwc"`` makes a missing one.
    busy_s : float
        Seconds to wait for other connections.
    autocommit : bool
        Nothing begins a transaction but `BEGIN`.
    any_thread : bool
        Several threads may use the connection, one at a time.

    Raises
    ------
    OSError, sqlite3.Error
        The file cannot be opened.
    """
    connection = sqlite3.connect(
        _uri(path, mode),
        uri=True,
        timeout=busy_s,
        isolation_level=None if autocommit else "DEFERRED",
        check_same_thread=not any_thread,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    if mode == "ro":
        connection.execute("PRAGMA query_only = ON")
    return connection


def write_ahead(connection: sqlite3.Connection, synchronous: str, busy_s: float = 0.0) -> None:
    """Let others read while this connection writes.

    Parameters
    ----------
    connection : sqlite3.Connection
    synchronous : str
        ``"FULL"`` flushes every transaction; with ``"NORMAL"`` the newest may be lost with the power, but no more.
    busy_s : float
        Seconds to wait for others: SQLite itself does not, where a file becomes a WAL database.
    """
    end_s = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= end_s:
                raise
            time.sleep(BUSY_STEP_S)
    connection.execute(f"PRAGMA synchronous = {synchronous}")


def faults(connection: sqlite3.Connection, most: int) -> list[str]:
    """What SQLite finds wrong with a file, at most so many lines; nothing when it is whole."""
    return [line for (line,) in connection.execute(f"PRAGMA quick_check({most})").fetchall() if line != "ok"]


def is_busy(error: Exception) -> bool:
    """Whether another connection was in the way."""
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))


def writable(path: Path) -> bool:
    """Whether this process may write to a file or into a folder."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _uri(path: Path, mode: str) -> str:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    return f"{uri}&immutable=1" if mode == "ro" and _stranded(path) else uri


def _stranded(path: Path) -> bool:
    """Whether a file is in WAL mode, without a WAL, in a folder where SQLite cannot make one.

    A database that was copied while it was edited is. SQLite refuses to read it, though nothing is missing.
    """
    if path.with_name(f"{path.name}-wal").exists() or writable(path.resolve().parent):
        return False
    with path.open("rb") as file:
        return _WAL_VERSION in file.read(HEADER_BYTES)[18:]
