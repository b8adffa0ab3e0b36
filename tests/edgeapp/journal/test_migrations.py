"""A journal of an older version is brought up to date without losing a row."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from edgeapp.detections.verdict import Verdict
from edgeapp.journal import Journal, JournalError, Message, Reader, Review, migrations
from edgeapp.journal.documents import id_of
from tests.edgeapp.journal.samples import GREAT_TIT, begin, rows

FIRST = "m001_deployments_detections_scores"
SECOND = "m002_streams_reviews_clips_messages"
THIRD = "m003_taxa_and_stretches"
NINTH = "m009_messages_clips_and_files"


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


@pytest.fixture
def second(path) -> Path:
    """A journal as m002 left it: a species, a genus and an order, with a clip, a review, a message and a file."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        migrations.apply(Database(connection, execute_plugins=False), stop_before=THIRD)
        connection.executescript(
            """
            INSERT INTO deployments VALUES (1, '2026-05-01T04:00:00.000Z', 10.0, 1, NULL, NULL, '1.2', 'starter', '1.0',
                's', '/g.sqlite', 'ab', 5.0, '{"min_probability": 0.5}', 52.5, 13.4);
            INSERT INTO streams VALUES (4, 1, 'usb', 'usb-1', 'portaudio', 48000, 'boot', '2026-05-01T04:00:00.000Z',
                10.0, 1, NULL, NULL, NULL, 7);
            INSERT INTO window_counts VALUES (4, 'detection', 2), (4, 'unconfirmed', 1), (4, 'nothing', 9);
            INSERT INTO clips VALUES (2, '/clips/2026/05/a.flac', 'flac', 3.0, 19.0, 4, 99,
                '2026-05-01T04:00:20.000Z', 30.0, 1, 1, NULL, NULL);
            INSERT INTO detections VALUES
                (1, 4, '2026-05-01T04:00:05.000Z', NULL, 15.0, 1, 5.0, 15.0, 'species', 'Parus major', 0.9,
                    'Parus major', 'Great Tit', 0.9, 0.7, -30.0, 0.1, 1, 2),
                (2, 4, '2026-05-01T04:00:10.000Z', '2020-01-01T00:00:00.000Z', 20.0, 2, 10.0, 20.0, 'genus', 'Parus',
                    0.75, 'Parus minor', 'Japanese Tit', 0.3, 0.4, -31.0, NULL, 1, NULL),
                (3, 4, '2026-05-01T04:00:15.000Z', NULL, 25.0, 0, 15.0, 25.0, 'order', 'Passeriformes', 0.8,
                    'Setophaga graciae', '', 0.2, NULL, -32.0, NULL, 0, NULL);
            INSERT INTO scores VALUES (1, 1, 'Parus major', 0.9, 0.7), (1, 2, 'Turdus merula', 0.05, NULL),
                (2, 1, 'Turdus merula', 0.4, 0.5), (2, 2, 'Parus minor', 0.3, 0.4);
            INSERT INTO reviews VALUES (5, 1, '2026-05-02T00:00:00.000Z', 'confirmed', NULL, 'ana', '');
            INSERT INTO messages (target, payload, created_utc) VALUES ('mqtt', '{"schema": 1}', '2026-05-01');
            INSERT INTO files VALUES ('/card/a.wav', 10, 20, 4, '2026-05-01T05:00:00.000Z');
            """
        )
        connection.commit()
    return path


def test_every_row_of_the_first_schema_is_kept(old):
    before = rows(old, "SELECT id, deployment, time_utc, start_s, end_s, rank, name, mass, level_dbfs FROM detections")
    species = rows(old, "SELECT detection, rank, species, probability, similarity FROM scores")
    assert len(before) == 6 and len(species) == 12

    with Journal.open(old) as journal:
        in_full = list(journal.detections())

    kept = "id, stream, time_utc, start_s, end_s, taxon_rank, scientific_name, confidence, level_dbfs"
    assert rows(old, f"SELECT {kept} FROM detections") == before
    assert rows(old, "SELECT detection, place, scientific_name, confidence, similarity FROM candidates") == species
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
    assert rows(old, "SELECT DISTINCT detection FROM candidates") == [(5,), (6,), (7,)]


def test_the_backend_of_a_stream_keeps_its_value(second):
    Journal.open(second).close()

    assert rows(second, "SELECT id, backend FROM streams") == [(4, "portaudio")]
    with Reader(second) as reader:
        assert {row["backend"] for row in reader.detections()} == {"portaudio"}


def test_a_species_keeps_its_names_and_numbers(second):
    Journal.open(second).close()

    columns = "taxon_rank, scientific_name, common_name, confidence, similarity, windows, speech, clip"
    assert rows(second, f"SELECT {columns} FROM detections WHERE id = 1") == [
        ("species", "Parus major", "Great Tit", 0.9, 0.7, 1, 0.1, 2)
    ]


def test_above_the_species_no_species_is_left_but_the_candidates(second):
    Journal.open(second).close()

    columns = "taxon_rank, scientific_name, common_name, confidence, similarity"
    assert rows(second, f"SELECT {columns} FROM detections WHERE id > 1") == [
        ("genus", "Parus", None, 0.75, None),
        ("order", "Passeriformes", None, 0.8, None),
    ]


def test_the_species_named_inside_the_taxon_is_the_first_candidate(second):
    Journal.open(second).close()

    assert rows(second, "SELECT * FROM candidates") == [
        (1, 1, "Parus major", "Great Tit", 0.9, 0.7),
        (1, 2, "Turdus merula", None, 0.05, None),
        (2, 1, "Parus minor", "Japanese Tit", 0.3, 0.4),
        (2, 2, "Turdus merula", None, 0.4, 0.5),
        (3, 1, "Setophaga graciae", None, 0.2, None),
    ]


def test_what_lies_around_the_detections_of_the_second_schema_stays(second):
    others = ("streams", "window_counts", "clips", "reviews", "files")
    before = {table: rows(second, f"SELECT * FROM {table}") for table in others}
    when = rows(second, "SELECT id, time_utc, written_utc, boottime_s, clock_set, confirmed FROM detections")

    with Journal.open(second) as journal:
        documents = {row["id"]: journal.document(row) for row in journal.detections()}

    before["streams"] = [(*row, None, None, None) for row in before["streams"]]  # where its start was read is not known
    before["files"] = [(*row, None) for row in before["files"]]
    before["reviews"] = [(*row, 0) for row in before["reviews"]]
    before["clips"] = [
        (number, "2026/05/a.flac", *rest, 1, None, None, None, None, None) for number, _, *rest in before["clips"]
    ]
    assert {table: rows(second, f"SELECT * FROM {table}") for table in others} == before
    assert rows(second, "SELECT id, time_utc, written_utc, boottime_s, clock_set, confirmed FROM detections") == when
    assert rows(second, "PRAGMA foreign_key_check") == []
    assert rows(second, "SELECT * FROM clip_folders") == [(1, "/clips")]
    assert documents.keys() == {1, 2}  # the third waits for its confirmation
    assert documents[1]["clip"] == "2026/05/a.flac" and documents[1]["review"]["verdict"] == "confirmed"
    assert documents[2]["clock"] == "corrected" and documents[2]["source"]["station"] is None
    json.dumps(documents, allow_nan=False)


@pytest.mark.parametrize(
    ("schema", "at"), [("old", "DETECTIONS_IN_FULL"), ("old", "TAXA_IN_FULL"), ("second", "TAXA_IN_FULL")]
)
def test_a_migration_that_fails_leaves_the_old_journal_whole(request, schema, at, monkeypatch):
    path = request.getfixturevalue(schema)
    before = rows(path, "SELECT * FROM detections")
    applied = rows(path, "SELECT name FROM _sqlite_migrations")
    monkeypatch.setattr(f"edgeapp.journal.schema.{at}", "CREATE VIEW broken AS SELEKT")

    with pytest.raises(JournalError):
        Journal.open(path)

    assert rows(path, "SELECT * FROM detections") == before
    assert rows(path, "SELECT name FROM _sqlite_migrations") == applied
    monkeypatch.undo()
    with Journal.open(path) as journal:
        assert len(list(journal.detections())) == len(before) - (schema == "second")


def test_clips_with_the_date_of_a_clock_that_was_set_later_are_renamed(second):
    with closing(sqlite3.connect(second)) as connection:
        migrations.apply(Database(connection, execute_plugins=False), stop_before=NINTH)
        for number, (detection, stamp, clock_set) in enumerate(
            [(1, "20260501T040005Z", 1), (2, "20200101T000010Z", 2), (2, "20260501T040010Z", 2)], 10
        ):
            connection.execute(
                "INSERT INTO clips VALUES (?, ?, 'flac', 5.0, 9.0, 4, 9, '2026-05-01T04:00:30.000Z', 30.0, ?, 0, NULL,"
                " NULL)",
                (number, f"/clips/2026/05/parus_major_90p_{stamp}.flac", clock_set),
            )
            connection.execute("UPDATE detections SET clip = ? WHERE id = ?", (number, detection))
        connection.execute("UPDATE detections SET clip = 11 WHERE id = 3")
        connection.commit()
    with Journal.open(second) as journal:
        wrong = [(clip.id, clip.started_utc) for clip in journal.clips_to_rename(9)]
    assert wrong == [(11, "2026-05-01T04:00:05.000Z"), (12, "2026-05-01T04:00:05.000Z")], "its metadata say: not set"


@pytest.fixture
def eighth(second) -> Path:
    """A journal as m008 left it, with the texts of messages, of which only the last number was ever forgotten."""
    with closing(sqlite3.connect(second)) as connection:
        migrations.apply(Database(connection, execute_plugins=False), stop_before=NINTH)
        [first, corrected] = connection.execute("SELECT * FROM detections_in_full ORDER BY id").fetchall()
        names = [column[0] for column in connection.execute("SELECT * FROM detections_in_full").description]
        known = [id_of(dict(zip(names, row, strict=True))) for row in (first, corrected)]
        for target, told, clock, sent in (
            ("mqtt", known[0], "set", "2026-05-01T05:00:00.000Z"),
            ("mqtt", known[1], "unset", None),
            ("hook", known[1], "unset", None),
            ("mqtt", "not one of ours", "set", None),
            ("mqtt", "forgotten", "set", None),
        ):
            connection.execute(
                "INSERT INTO messages (target, payload, created_utc, attempts, sent_utc) VALUES (?, ?, '2026', 2, ?)",
                (target, json.dumps({"id": told, "clock": clock, "time": "wrong"}), sent),
            )
        connection.execute("DELETE FROM messages WHERE id = 6")
        connection.commit()
    return second


def test_a_message_that_waited_as_text_is_written_anew(eighth):
    with Journal.open(eighth) as journal:
        waiting = {message.id: message for message in journal.due(0.0)}
        texts = {number: journal.composed(number).payload for number in waiting}
        assert texts[1] == {"schema": 1} and texts[5]["id"] == "not one of ours", "all that there is of them"
        assert texts[3] == texts[4] == {**journal.document(journal.in_full(2)), "updated": False}
        assert [waiting[number].clock_set for number in (3, 5)] == [False, True] and waiting[3].attempts == 2
        assert journal.changed() == []
        journal.add_review(Review(1, "rejected", "ana"))
        assert [message.id for message in journal.changed()] == [2], "one that was sent follows its detection"
        assert journal.queue([Message("mqtt", {})]) == [7], "a number never comes again"
    assert rows(eighth, "PRAGMA foreign_key_check") == []


def test_a_reader_does_not_change_an_old_journal_but_says_what_to_do(old):
    with pytest.raises(JournalError, match="older version; `biovita-edge journal upgrade` keeps all its rows"):
        Reader(old)
    assert rows(old, "SELECT name FROM _sqlite_migrations") == [(FIRST,)]
