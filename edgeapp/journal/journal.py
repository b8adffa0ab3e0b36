"""What was heard, kept in one SQLite file.

deployments      one run of the listener with one microphone, pack, gallery and set of thresholds
  detections     one decision that passed the thresholds, in one window
    scores       the ranked species of that window, the winner first
detections_in_full   a view: every detection with all that its deployment knows about it

The file outlives power cuts: WAL with full synchronisation, so that a row which was shown is a row on the disk.
Detections are rare (one per hop at most), and the price of a synchronisation is nothing beside the encoder. One
connection writes; any number may read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

import platformdirs
from sqlite_utils import Database, Migrations

from edgeapp.errors import BiovitaError
from gallery.decision import RankedSpecies

APPLICATION_ID = 0x42696F56  # "BioV": the header of the file says whose it is
PRAGMAS = (
    "PRAGMA busy_timeout = 30000",  # ms; another listener may be writing to the same journal
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
)

T = TypeVar("T")

migrations = Migrations("biovita-journal")


class JournalError(BiovitaError):
    """A journal that cannot be opened or written."""


@dataclass(frozen=True)
class Deployment:
    """What stays the same during one run, and must be known to judge any detection of it.

    Attributes
    ----------
    device : str
        Name of the microphone.
    rate_hz : int
        Rate at which it recorded.
    hop_s : float
        Seconds between the starts of windows.
    pack, pack_version, space : str
        The pack, and the embedding space that its encoders share.
    gallery, gallery_sha256 : str
        Path of the gallery, and the hash of what it held.
    thresholds : Mapping[str, Any]
        Everything that decides whether a window becomes a detection.
    latitude, longitude : float | None
        Degrees, WGS 84.
    """

    device: str
    rate_hz: int
    hop_s: float
    pack: str
    pack_version: str
    space: str
    gallery: str
    gallery_sha256: str
    thresholds: Mapping[str, Any]
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True)
class Detection:
    """One decision that passed the thresholds.

    Attributes
    ----------
    time : datetime
        When the window began, aware, written as UTC.
    start_s, end_s : float
        The window on the stream's clock, which counts samples.
    rank, name, mass
        The decision: the deepest rank whose summed probability clears the floor.
    best : RankedSpecies
        The likeliest species inside the decided taxon; its rank counts inside that taxon.
    scores : Sequence[RankedSpecies]
        The first species of the window, inside the decided taxon or not, best first.
    level_dbfs : float
        Level of the window.
    """

    time: datetime
    start_s: float
    end_s: float
    rank: str
    name: str
    mass: float
    best: RankedSpecies
    scores: Sequence[RankedSpecies]
    level_dbfs: float


@dataclass(frozen=True)
class Counts:
    """How the windows of a deployment ended: ``windows == detections + nothing + silent + below``.

    Attributes
    ----------
    below : int
        Decisions whose mass was under the least probability asked for.
    """

    windows: int = 0
    detections: int = 0
    nothing: int = 0
    silent: int = 0
    below: int = 0
    dropped_samples: int = 0


@dataclass
class Journal:
    """The writer's side of a journal; a context manager. Use `Journal.open`."""

    path: Path
    _db: Database = field(repr=False)

    @classmethod
    def open(cls, path: Path | str | None = None) -> Journal:
        """Open a journal, make it where it is missing, and bring its schema up to date.

        Parameters
        ----------
        path : Path | str | None
            None is `default_path()`.

        Raises
        ------
        JournalError
            The file cannot be written, is damaged, is no journal, or was made by a newer version.
        """
        path = default_path() if path is None else Path(path)
        connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path)
            database = Database(connection, execute_plugins=False)
            _check_ours(database, path)
            for pragma in PRAGMAS:
                connection.execute(pragma)
            _check_whole(database, path)
            migrations.apply(database)
        except (OSError, sqlite3.Error) as error:
            if connection is not None:
                connection.close()
            raise _unusable(path, error) from error
        except JournalError:
            if connection is not None:
                connection.close()
            raise
        return cls(path, database)

    def begin(self, deployment: Deployment, started: datetime) -> int:
        """Write a deployment and return its id."""
        row = {
            **deployment.__dict__,
            "thresholds": json.dumps(dict(deployment.thresholds), sort_keys=True),
            "started_utc": utc_text(started),
        }
        return self._write(lambda: self._insert("deployments", row))

    def record(self, deployment_id: int, detection: Detection) -> int:
        """Write one detection with its scores in one transaction; it is on the disk when this returns.

        Raises
        ------
        JournalError
            It could not be written; nothing of it was.
        """
        best = detection.best

        def insert() -> int:
            detection_id = self._insert(
                "detections",
                {
                    "deployment": deployment_id,
                    "time_utc": utc_text(detection.time),
                    "start_s": detection.start_s,
                    "end_s": detection.end_s,
                    "rank": detection.rank,
                    "name": detection.name,
                    "mass": float(detection.mass),  # a NumPy scalar would be stored as bytes
                    "species": best.scientific_name,
                    "common_name": best.common_name,
                    "probability": float(best.probability),
                    "similarity": float(best.similarity),
                    "level_dbfs": float(detection.level_dbfs),
                },
            )
            for score in detection.scores:
                self._insert(
                    "scores",
                    {
                        "detection": detection_id,
                        "rank": score.rank,
                        "species": score.scientific_name,
                        "probability": float(score.probability),
                        "similarity": float(score.similarity),
                    },
                )
            return detection_id

        return self._write(insert)

    def end(self, deployment_id: int, counts: Counts, ended: datetime) -> None:
        """Write how a deployment ended. One without an end is still running, or lost its power."""

        def update() -> None:
            columns = {
                "ended_utc": utc_text(ended),
                "n_windows": counts.windows,
                "n_detections": counts.detections,
                "n_nothing": counts.nothing,
                "n_silent": counts.silent,
                "n_below": counts.below,
                "dropped_samples": counts.dropped_samples,
            }
            assignments = ", ".join(f"{column} = :{column}" for column in columns)
            self._db.execute(f"UPDATE deployments SET {assignments} WHERE id = :id", {**columns, "id": deployment_id})

        self._write(update)

    def detections(self) -> Iterator[dict[str, Any]]:
        """Every detection in full, oldest first: the rows of the view ``detections_in_full``."""
        return self._db.query("SELECT * FROM detections_in_full ORDER BY id")

    def scores(self, detection_id: int) -> Iterator[dict[str, Any]]:
        """The ranked species of one detection, best first."""
        return self._db.query("SELECT * FROM scores WHERE detection = ? ORDER BY rank", [detection_id])

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._db.conn.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _insert(self, table: str, row: Mapping[str, Any]) -> int:
        # Plain SQL: a transaction that begins with a write waits its turn, one that begins by reading the schema, as
        # sqlite-utils' insert does, is turned away when another listener has written meanwhile (SQLITE_BUSY_SNAPSHOT).
        columns = ", ".join(row)
        places = ", ".join(f":{column}" for column in row)
        cursor = self._db.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", dict(row))
        return cast(int, cursor.lastrowid)

    def _write(self, change: Callable[[], T]) -> T:
        try:
            with self._db.atomic():
                return change()
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error


def default_path() -> Path:
    """Where the journal lies when nobody says where: the user's data folder."""
    return Path(platformdirs.user_data_dir("biovita-edge", appauthor=False)) / "journal.sqlite"


def utc_text(time: datetime) -> str:
    """A time as the journal writes it, sortable as text: ``2025-05-01T04:12:09.250Z``."""
    if time.tzinfo is None:
        raise ValueError("a time without its zone cannot be written as UTC")
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _check_ours(database: Database, path: Path) -> None:
    """Refuse somebody else's database before anything is changed in it."""
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


def _check_whole(database: Database, path: Path) -> None:
    """Notice a damaged file at the start, not when the first bird sings."""
    [(verdict,)] = database.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != "ok":
        raise JournalError(f"{path}: is damaged ({verdict})", "move it away; `sqlite3 FILE .recover` saves its rows")


def _unusable(path: Path, error: Exception) -> JournalError:
    reason = str(error)
    if "not a database" in reason:
        return JournalError(f"{path}: is not a journal", "give another --journal")
    if "malformed" in reason:
        return JournalError(f"{path}: is damaged ({reason})", "move it away; `sqlite3 FILE .recover` saves its rows")
    return JournalError(
        f"{path}: the journal cannot be written ({reason})", "check the folder, its permissions and the free space"
    )


@migrations()
def m001_deployments_detections_scores(db: Database) -> None:
    # Written out: checks have no short form in sqlite-utils.
    for statement in (
        f"PRAGMA application_id = {APPLICATION_ID}",
        """
        CREATE TABLE deployments (
            id INTEGER PRIMARY KEY,
            started_utc TEXT NOT NULL,
            ended_utc TEXT,
            device TEXT NOT NULL,
            rate_hz INTEGER NOT NULL,
            hop_s REAL NOT NULL CHECK (hop_s > 0),
            pack TEXT NOT NULL,
            pack_version TEXT NOT NULL,
            space TEXT NOT NULL,
            gallery TEXT NOT NULL,
            gallery_sha256 TEXT NOT NULL,
            thresholds TEXT NOT NULL CHECK (json_valid(thresholds)),
            latitude REAL CHECK (latitude BETWEEN -90 AND 90),
            longitude REAL CHECK (longitude BETWEEN -180 AND 180),
            n_windows INTEGER,
            n_detections INTEGER,
            n_nothing INTEGER,
            n_silent INTEGER,
            n_below INTEGER,
            dropped_samples INTEGER
        )
        """,
        """
        CREATE TABLE detections (
            id INTEGER PRIMARY KEY,
            deployment INTEGER NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
            time_utc TEXT NOT NULL,
            start_s REAL NOT NULL,
            end_s REAL NOT NULL CHECK (end_s > start_s),
            rank TEXT NOT NULL,
            name TEXT NOT NULL,
            mass REAL NOT NULL,
            species TEXT NOT NULL,
            common_name TEXT NOT NULL,
            probability REAL NOT NULL,
            similarity REAL,
            level_dbfs REAL NOT NULL
        )
        """,
        """
        CREATE TABLE scores (
            detection INTEGER NOT NULL REFERENCES detections (id) ON DELETE CASCADE,
            rank INTEGER NOT NULL CHECK (rank > 0),
            species TEXT NOT NULL,
            probability REAL NOT NULL,
            similarity REAL,
            PRIMARY KEY (detection, rank)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX detections_by_deployment ON detections (deployment)",
        "CREATE INDEX detections_by_time ON detections (time_utc)",
        "CREATE INDEX detections_by_species ON detections (species, time_utc)",
        """
        CREATE VIEW detections_in_full AS
        SELECT detections.*, device, rate_hz, hop_s, pack, pack_version, space, gallery, gallery_sha256,
            thresholds, latitude, longitude
        FROM detections JOIN deployments ON deployments.id = detections.deployment
        """,
    ):
        db.execute(statement)
