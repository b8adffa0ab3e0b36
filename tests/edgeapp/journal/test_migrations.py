"""A journal of an older version is brought up to date without losing a row."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlite_utils import Database

from edgeapp.detections.verdict import Verdict
from edgeapp.journal import Journal, JournalError, Reader, migrations
from tests.edgeapp.journal.samples import GREAT_TIT, begin, rows

FIRST = "m001_deployments_detections_scores"
SECOND = "m002_streams_reviews_clips_messages"


@pytest.fixture
def old(path):
    """A journal as m001 left it: a deployment that ended and one that lost its power."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        database = Database(connection, execute_plugins=False)
        migrations.apply(database, stop_before=SECOND)
        deployment = (
            "INSERT INTO deployments (id, started_utc, ended_utc, device, rate_hz, hop_s, pack, pack_version, space,"
            " gallery, gallery_sha256, thresholds, latitude, longitude, n_windows, n_detections, n_nothing, n_silent,"
            " n_below, dropped_samples) VALUES (?, ?, ?, 'usb', 44100, 5.0, 'starter', '1.0', 's', 'g', 'ab',"
            """ '{"floor": 0.6}', 52.5, 13.4, ?, ?, ?, ?, ?, ?)"""
        )
        connection.execute(deployment, (3, "2025-05-01T04:00:00.000Z", "2025-05-01T05:00:00.000Z", 9, 4, 2, 3, 0, 77))
        connection.execute(deployment, (7, "2025-05-02T04:00:00.000Z", None, *[None] * 6))
        for number in range(1, 7):
            connection.execute(
                "INSERT INTO detections VALUES (?, ?, '2025-05-01T04:12:09.250Z', ?, ?, 'genus', 'Parus', 0.75,"
                " 'Parus major', 'Great Tit', 0.375, 0.25, -41.5)",
                (number, 3 if number <= 4 else 7, 5.0 * number, 5.0 * number + 10),
            )
            connection.execute("INSERT INTO scores VALUES (?, 1, 'Parus major', 0.375, 0.25)", (number,))
            connection.execute("INSERT INTO scores VALUES (?, 2, 'Turdus merula', 0.25, NULL)", (number,))
        connection.commit()
    return path


def test_every_row_of_the_first_schema_is_kept(old):
    scores = rows(old, "SELECT * FROM scores")
    detections = (
        "SELECT id, {}, time_utc, start_s, end_s, rank, name, mass, species, common_name, probability, similarity"
    )
    before = rows(old, f"{detections.format('deployment')}, level_dbfs FROM detections")
    assert len(before) == 6 and len(scores) == 12

    with Journal.open(old) as journal:
        in_full = list(journal.detections())

    assert rows(old, f"{detections.format('stream')}, level_dbfs FROM detections") == before
    assert rows(old, "SELECT * FROM scores") == scores
    assert rows(old, "SELECT DISTINCT written_utc, boottime_s, clock_set, speech, confirmed, clip FROM detections") == [
        (None, None, 1, None, 1, None)
    ]
    assert [(row["deployment"], row["source"], row["rate_hz"]) for row in in_full] == (
        [(3, "usb", 44100)] * 4 + [(7, "usb", 44100)] * 2
    )
    assert in_full[0]["thresholds"] == '{"floor": 0.6}' and in_full[0]["latitude"] == 52.5


def test_the_microphone_of_a_deployment_becomes_its_stream(old):
    Journal.open(old).close()

    assert rows(old, "SELECT id, started_utc, ended_utc, hop_s, pack FROM deployments") == [
        (3, "2025-05-01T04:00:00.000Z", "2025-05-01T05:00:00.000Z", 5.0, "starter"),
        (7, "2025-05-02T04:00:00.000Z", None, 5.0, "starter"),
    ]
    assert rows(old, "SELECT id, deployment, source, rate_hz, ended_utc, lost_samples, clock_set FROM streams") == [
        (3, 3, "usb", 44100, "2025-05-01T05:00:00.000Z", 77, 1),
        (7, 7, "usb", 44100, None, 0, 1),
    ]


def test_the_counts_of_a_deployment_become_counts_by_verdict(old):
    with Journal.open(old) as journal:
        assert journal.counts(3) == {Verdict.DETECTION: 4, Verdict.NOTHING: 2, Verdict.SILENT: 3}
        assert journal.counts(7) == {Verdict.DETECTION: 2}  # it lost its power: counted from its rows


def test_what_refers_to_what_still_does(old):
    with Journal.open(old) as journal:
        assert journal._db.execute("PRAGMA foreign_keys").fetchone() == (1,)
        journal.record(begin(journal), GREAT_TIT)
        journal._db.execute("DELETE FROM deployments WHERE id = 3")

    assert rows(old, "PRAGMA foreign_key_check") == []
    assert rows(old, "SELECT DISTINCT detection FROM scores") == [(5,), (6,), (7,)]


def test_a_migration_that_fails_leaves_the_old_journal_whole(old, monkeypatch):
    before = rows(old, "SELECT * FROM detections")
    monkeypatch.setattr("edgeapp.journal.schema.DETECTIONS_IN_FULL", "CREATE VIEW broken AS SELEKT")

    with pytest.raises(JournalError):
        Journal.open(old)

    assert rows(old, "SELECT * FROM detections") == before
    assert rows(old, "SELECT name FROM _sqlite_migrations") == [(FIRST,)]
    monkeypatch.undo()
    with Journal.open(old) as journal:
        assert len(list(journal.detections())) == 6


def test_a_reader_does_not_change_an_old_journal_but_says_what_to_do(old):
    with pytest.raises(JournalError, match="older version; `biovita-edge journal upgrade` keeps all its rows"):
        Reader(old)
    assert rows(old, "SELECT name FROM _sqlite_migrations") == [(FIRST,)]
