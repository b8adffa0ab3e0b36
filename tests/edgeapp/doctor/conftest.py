"""A context of the test's own: settings in a temporary folder, a machine made of files, a clock turned by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edgeapp.clock.system import Moment
from edgeapp.config.load import Loaded
from edgeapp.config.sections import Station
from edgeapp.config.settings import Settings
from edgeapp.doctor.context import Context
from edgeapp.doctor.records import APPLICATION_ID

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=timezone.utc)


class Hands:
    """A clock turned by hand."""

    boot_id = "boot"

    def __init__(self, utc: datetime = NOON, clock_set: bool = True) -> None:
        self.moment = Moment(utc, 100.0, clock_set)

    def now(self) -> Moment:
        return self.moment


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context]:
    """A healthy context; sections of the settings and attributes of the context can be given."""

    def make(alive: bool = False, clock: Hands | None = None, may_record: bool = True, **sections: object) -> Context:
        station = sections.pop("station", Station())
        if station.journal is None:
            station = replace(station, journal=tmp_path / "data" / "journal.sqlite")
        settings = Settings(station=station, **sections)
        root = tmp_path / "root"
        return Context(Loaded(settings), root, clock or Hands(), lambda pid: alive, may_record)

    return make


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., None]:
    """Write files of a machine: path below the root -> text."""

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with 2000 detections."""
    return write_journal(tmp_path / "data" / "journal.sqlite")


def write_journal(path: Path) -> Path:
    """A journal with 2000 detections in WAL mode, its tables like those of the real one."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            f"""
            PRAGMA application_id = {APPLICATION_ID};
            PRAGMA journal_mode = WAL;
            CREATE TABLE deployments (id INTEGER PRIMARY KEY, pack TEXT NOT NULL);
            CREATE TABLE detections (
                id INTEGER PRIMARY KEY, deployment INTEGER NOT NULL REFERENCES deployments (id), name TEXT NOT NULL
            );
            CREATE TABLE scores (
                detection INTEGER NOT NULL REFERENCES detections (id), rank INTEGER NOT NULL, species TEXT NOT NULL,
                PRIMARY KEY (detection, rank)
            ) WITHOUT ROWID;
            CREATE TABLE messages (
                id INTEGER PRIMARY KEY AUTOINCREMENT, created_utc TEXT, last_error TEXT, sent_utc TEXT, dropped_utc TEXT
            );
            CREATE TABLE clips (id INTEGER PRIMARY KEY, path TEXT, deleted_utc TEXT);
            CREATE INDEX detections_by_name ON detections (name);
            CREATE VIEW in_full AS SELECT * FROM detections JOIN deployments ON deployments.id = deployment;
            INSERT INTO deployments VALUES (1, 'toy 1.0');
            """
        )
        db.executemany(
            "INSERT INTO detections VALUES (?, 1, ?)", [(n, f"species {n % 7} " + "x" * 50) for n in range(1, 2001)]
        )
        db.executemany("INSERT INTO scores VALUES (?, ?, 'Parus')", [(n, k) for n in range(1, 2001) for k in (1, 2)])
        db.commit()
    return path
