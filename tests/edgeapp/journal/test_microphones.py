"""States of microphones and sound levels in the journal: kept, corrected, read in order, and forgotten."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from sqlite_utils import Database

from edgeapp.audio.spectra.sound_meter import SoundLevels
from edgeapp.clock.system import Moment
from edgeapp.journal import Journal, MicrophoneState, Reader, Stream, migrations
from tests.edgeapp.journal.samples import begin

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=timezone.utc)
LEVELS = SoundLevels(0.0, 60.0, -30.0, -35.0, -20.0, -50.0, (-60.0, -61.5))
TENTH = "m010_microphones"


def at(minutes: float, clock_set: bool = True) -> Moment:
    return Moment(NOON + timedelta(minutes=minutes), 100.0 + 60 * minutes, clock_set)


@pytest.fixture
def journal(path):
    with Journal.open(path) as opened:
        yield opened


@pytest.fixture
def stream(journal) -> int:
    begin(journal)
    return journal.open_stream(1, Stream("camera", "rtsp://camera/1", "network", 16_000, "boot"), at(0))


def test_what_was_written_is_read_in_order_and_by_time(journal, stream):
    for minute in range(3):
        journal.add_levels(stream, at(minute), replace(LEVELS, start_s=60.0 * minute), lost_samples=minute)
    journal.add_state(1, MicrophoneState("camera", "rtsp://camera/1", at(1), "lost", "no answer"))

    with Reader(journal.path) as reader:
        rows = list(reader.sound_levels(since=NOON + timedelta(minutes=1)))
        assert [(row["start_s"], row["lost_samples"]) for row in rows] == [(60.0, 1), (120.0, 2)]
        assert rows[0]["bands_dbfs"] == [-60.0, -61.5] and rows[0]["source"] == "camera"
        assert reader.most_bands() == 2
        [state] = reader.microphone_states(until=NOON + timedelta(minutes=2))
        assert (state["state"], state["why"], state["time_utc"]) == ("lost", "no answer", "2026-06-01T12:01:00.000Z")


def test_times_before_the_clock_was_set_are_corrected_with_the_rest(journal, stream):
    journal.add_levels(stream, at(0, clock_set=False), LEVELS, 0)
    journal.add_state(1, MicrophoneState("camera", "", at(0, clock_set=False), "hearing", ""))
    journal.correct_times("boot", NOON + timedelta(days=1, seconds=-100))

    assert [row["time_utc"] for row in journal.sound_levels()] == ["2026-06-02T12:00:00.000Z"]
    assert [(row["time_utc"], row["clock_set"]) for row in journal.microphone_states()] == [
        ("2026-06-02T12:00:00.000Z", 2)
    ]


def test_old_levels_are_forgotten_and_those_without_a_time_are_not(journal, stream):
    journal.add_levels(stream, at(0), LEVELS, 0)
    journal.add_levels(stream, at(0, clock_set=False), LEVELS, 0)
    journal.add_levels(stream, at(10), LEVELS, 0)

    assert journal.forget_levels(at(5)) == 1
    assert len(list(journal.sound_levels())) == 2


def test_an_older_journal_takes_streams_of_new_backends(path):
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        database = Database(connection, execute_plugins=False)
        migrations.apply(database, stop_before=TENTH)
        connection.execute(
            "INSERT INTO deployments (id, started_utc, clock_set, app_version, pack, pack_version, space, gallery,"
            " gallery_sha256, hop_s, thresholds, station)"
            " VALUES (1, '2026', 1, '', 'p', '1', 's', 'g', 'a', 5, '{}', '')"
        )
        connection.execute(
            "INSERT INTO streams (id, deployment, source, device_id, backend, rate_hz, boot_id, started_utc, clock_set)"
            " VALUES (4, 1, 'usb', '', 'arecord', 48000, 'b', '2026', 1)"
        )
        connection.execute(
            "INSERT INTO detections (stream, time_utc, clock_set, start_s, end_s, taxon_rank, scientific_name,"
            " confidence, level_dbfs, confirmed, windows)"
            " VALUES (4, '2026', 1, 0, 5, 'species', 'Parus major', 0.9, -30, 1, 1)"
        )
        connection.commit()
        before = made(connection)

    with Journal.open(path) as journal:
        journal.open_stream(1, Stream("camera", "", "network", 16_000, "b"), at(0))
        assert [row["scientific_name"] for row in journal.detections()] == ["Parus major"]
    with closing(sqlite3.connect(path)) as connection:
        after = made(connection)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert {one for one in before if "streams" not in one} <= after
    assert {name for _, name, _ in before} <= {name for _, name, _ in after}


def made(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """What the schema has beside its tables."""
    return set(connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type <> 'table' AND sql <> ''"))
