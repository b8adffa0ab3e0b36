"""The journal, its pending messages and the clips. Only read, never written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Findings, error, ok, skipped, warning
from edgeapp.journal.records import CLIP_PATH, CLIPS
from edgeapp.journal.schema import APPLICATION_ID
from edgeapp.journal.schema_of_messages import UNSENT
from edgeapp.station.targets import configured
from gallery import sqlite
from gallery.utc import utc_of

BUSY_S = 5.0
WAITING_LONG_S = 3600.0
FAULTS_TOLD = 3
MEND = "stop the station and run `biovita-edge doctor --fix`, which makes a copy first"


def journal(context: Context) -> Findings:
    """Whether the journal is whole, and what waits in it."""
    path = context.settings.journal_path
    if not path.exists():
        yield ok("journal", f"{path}: not there yet, made at the first start")
        return
    try:
        with reading(path) as db:
            [(owner,)] = db.execute("PRAGMA application_id")
            faults = whole(db)
            if faults:
                told = "; ".join(faults[:FAULTS_TOLD])
                more = f" and {len(faults) - FAULTS_TOLD} more" if len(faults) > FAULTS_TOLD else ""
                yield error("journal", f"{path}: is damaged ({told}{more})", MEND)
                return
            if owner != APPLICATION_ID:
                yield error("journal", f"{path}: is a database, but not a journal", "name another with --journal")
                return
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            [(n,)] = db.execute("SELECT count(*) FROM detections") if "detections" in tables else [(0,)]
            astray = len(db.execute("PRAGMA foreign_key_check").fetchall())
            what = f"{path}: intact, {n} detections, {path.stat().st_size / 1e6:.1f} MB"
            if astray:
                remedy = "they stay, and are left out of `detections_in_full`; `PRAGMA foreign_key_check` names them"
                yield warning("journal", f"{what}, {astray} rows belong to rows that are gone", remedy)
            else:
                yield ok("journal", what)
            yield from _messages(db, tables, context)
            yield from _clips(db, tables, context)
    except sqlite3.OperationalError as fault:
        if "locked" not in str(fault) and "busy" not in str(fault):
            yield error(
                "journal", f"{path}: cannot be read ({fault})", "give the user of the station the right to read it"
            )
        else:
            yield warning("journal", f"{path}: another program has it ({fault})", "try again when that has ended")
    except sqlite3.DatabaseError as fault:
        yield error("journal", f"{path}: is damaged ({fault})", MEND)


def _messages(db: sqlite3.Connection, tables: set[str], context: Context) -> Findings:
    if "messages" not in tables:
        yield skipped("messages", "the journal has none yet")
        return
    waiting = f"FROM messages WHERE {UNSENT}"
    [(n, oldest)] = db.execute(f"SELECT count(*), min(created_utc) {waiting}")
    if not n:
        yield ok("messages", "no message is pending")
        return
    last = db.execute(f"SELECT last_error {waiting} AND last_error IS NOT NULL ORDER BY id DESC LIMIT 1").fetchone()
    age_s = _age_s(oldest, context)
    reason = f"; last fault: {last[0]}" if last else ""
    what = f"{n} pending, the oldest for {span(age_s)}{reason}"
    settings = context.settings
    if age_s is None or age_s < WAITING_LONG_S:
        yield ok("messages", what)
    elif not configured(settings):
        yield warning("messages", what, "no target is configured: set [mqtt] host or [webhook] url")
    else:
        yield warning("messages", what, "check the network, and the address and password in the settings")


def _clips(db: sqlite3.Connection, tables: set[str], context: Context) -> Findings:
    folder = context.settings.clips.folder
    if "clips" not in tables or folder is None:
        return
    # Earlier journals have whole paths; then each row has the folder that it lies in, which need not be that of today.
    stored = f"{CLIP_PATH} FROM {CLIPS}" if "clip_folders" in tables else "path FROM clips"
    paths = [Path(path) for (path,) in db.execute(f"SELECT {stored} WHERE deleted_utc IS NULL")]
    gone = [path for path in paths if not (folder / path).exists()]
    if gone:
        what = f"{len(gone)} of {len(paths)} clips are missing, the first is {gone[0]}"
        remedy = "if they were moved: `biovita-edge journal relocate FOLDER`; else restore them, their rows are kept"
        yield warning("clips", what, remedy)
    else:
        yield ok("clips", f"{len(paths)} clips are present")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing in the file."""
    with closing(sqlite.connect(path, "ro", BUSY_S)) as db:
        yield db


def whole(db: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with a file; nothing when it is whole."""
    return sqlite.faults(db, most=100)


def span(seconds: float | None) -> str:
    """A duration in words."""
    if seconds is None:
        return "an unknown time"
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def _age_s(utc: str | None, context: Context) -> float | None:
    try:
        then = utc_of(str(utc))
    except ValueError:
        return None
    return (context.clock.now().utc - then).total_seconds()
