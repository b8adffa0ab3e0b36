"""The journal keeps every detection with all that is needed to judge it, and loses none."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from edgeapp.journal import Counts, Deployment, Detection, Journal, JournalError, default_path, migrations, utc_text
from gallery.decision import RankedSpecies

DAWN = datetime(2025, 5, 1, 6, 12, 9, 250_000, timezone(timedelta(hours=2)))

DEPLOYMENT = Deployment(
    device="USB PnP Sound Device: Audio (hw:2,0)",
    rate_hz=48000,
    hop_s=5.0,
    pack="starter",
    pack_version="1.0",
    space="toy-space",
    gallery="/packs/starter/gallery.sqlite",
    gallery_sha256="ab" * 32,
    thresholds={"min_probability": 0.5, "floor": 0.6},
    latitude=52.5,
    longitude=13.4,
)

GREAT_TIT = Detection(
    time=DAWN,
    start_s=15.0,
    end_s=25.0,
    rank="genus",
    name="Parus",
    mass=np.float32(0.75),
    best=RankedSpecies(1, "Parus major", "Great Tit", np.float32(0.375), np.float32(0.25)),
    scores=(
        RankedSpecies(1, "Turdus merula", "Common Blackbird", np.float32(0.5), np.float32(0.5)),
        RankedSpecies(2, "Parus major", "Great Tit", np.float32(0.375), np.float32(0.25)),
    ),
    level_dbfs=-41.5,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "station" / "journal.sqlite"


def rows(path, sql: str) -> list[tuple]:
    """What a connection of somebody else sees."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_a_detection_is_kept_with_all_that_is_needed_to_judge_it(path):
    with Journal.open(path) as journal:
        deployment = journal.begin(DEPLOYMENT, DAWN)
        journal.record(deployment, GREAT_TIT)

    with Journal.open(path) as journal:
        (row,) = journal.detections()
        scores = list(journal.scores(row["id"]))

    thresholds = json.loads(row.pop("thresholds"))
    assert row == {
        "id": 1,
        "deployment": deployment,
        "time_utc": "2025-05-01T04:12:09.250Z",
        "start_s": 15.0,
        "end_s": 25.0,
        "rank": "genus",
        "name": "Parus",
        "mass": 0.75,
        "species": "Parus major",
        "common_name": "Great Tit",
        "probability": 0.375,
        "similarity": 0.25,
        "level_dbfs": -41.5,
        "device": "USB PnP Sound Device: Audio (hw:2,0)",
        "rate_hz": 48000,
        "hop_s": 5.0,
        "pack": "starter",
        "pack_version": "1.0",
        "space": "toy-space",
        "gallery": "/packs/starter/gallery.sqlite",
        "gallery_sha256": "ab" * 32,
        "latitude": 52.5,
        "longitude": 13.4,
    }
    assert thresholds == {"min_probability": 0.5, "floor": 0.6}
    assert [(score["rank"], score["species"], score["probability"]) for score in scores] == [
        (1, "Turdus merula", 0.5),
        (2, "Parus major", 0.375),
    ]


def test_the_place_may_be_unknown(path):
    with Journal.open(path) as journal:
        journal.record(journal.begin(replace(DEPLOYMENT, latitude=None, longitude=None), DAWN), GREAT_TIT)
        (row,) = journal.detections()

    assert row["latitude"] is None and row["longitude"] is None


def test_a_detection_is_on_the_disk_when_record_returns(path):
    with Journal.open(path) as journal:
        journal.record(journal.begin(DEPLOYMENT, DAWN), GREAT_TIT)

        assert rows(path, "SELECT species FROM detections") == [("Parus major",)]


def test_a_recorded_detection_survives_the_kill_of_its_program(path):
    program = textwrap.dedent(
        f"""
        import os, signal
        from tests.edgeapp.test_journal import DAWN, DEPLOYMENT, GREAT_TIT, Journal
        journal = Journal.open({str(path)!r})
        journal.record(journal.begin(DEPLOYMENT, DAWN), GREAT_TIT)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    killed = subprocess.run([sys.executable, "-c", program], env=environment)

    assert killed.returncode == -signal.SIGKILL
    with Journal.open(path) as journal:
        assert [row["species"] for row in journal.detections()] == ["Parus major"]


def test_a_detection_is_written_whole_or_not_at_all(path):
    twice_first = replace(GREAT_TIT, scores=(GREAT_TIT.scores[0], GREAT_TIT.scores[0]))

    with Journal.open(path) as journal:
        deployment = journal.begin(DEPLOYMENT, DAWN)
        with pytest.raises(JournalError):
            journal.record(deployment, twice_first)
        assert list(journal.detections()) == []
        journal.record(deployment, GREAT_TIT)
        assert len(list(journal.detections())) == 1


def test_a_detection_needs_its_deployment(path):
    with Journal.open(path) as journal, pytest.raises(JournalError, match="FOREIGN KEY"):
        journal.record(7, GREAT_TIT)


def test_the_end_of_a_deployment_and_what_it_counted_are_kept(path):
    with Journal.open(path) as journal:
        first = journal.begin(DEPLOYMENT, DAWN)
        journal.begin(DEPLOYMENT, DAWN)  # this one loses its power
        counts = Counts(windows=9, detections=4, nothing=2, silent=2, below=1, dropped_samples=77)
        journal.end(first, counts, DAWN + timedelta(hours=1))

    assert rows(
        path,
        "SELECT started_utc, ended_utc, n_windows, n_detections, n_nothing, n_silent, n_below, dropped_samples"
        " FROM deployments",
    ) == [
        ("2025-05-01T04:12:09.250Z", "2025-05-01T05:12:09.250Z", 9, 4, 2, 2, 1, 77),
        ("2025-05-01T04:12:09.250Z", None, None, None, None, None, None, None),
    ]


def test_every_connection_has_the_pragmas_that_protect_the_rows(path):
    for _ in ("new", "opened again"):
        with Journal.open(path) as journal:
            pragmas = {
                name: journal._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30000}


def test_two_listeners_may_share_a_journal(path):
    with Journal.open(path) as north, Journal.open(path) as south:
        for journal in (north, south, north):
            journal.record(journal.begin(DEPLOYMENT, DAWN), GREAT_TIT)

        assert len(list(south.detections())) == 3


def test_opening_again_changes_nothing_and_applies_no_migration_twice(path):
    Journal.open(path).close()
    Journal.open(path).close()

    assert rows(path, "SELECT name FROM _sqlite_migrations") == [("m001_deployments_detections_scores",)]


def test_a_journal_of_a_newer_version_is_refused_and_left_alone(path):
    with Journal.open(path) as journal:
        migrations._record_applied(journal._db, "m999_from_the_future")
    before = path.read_bytes()

    with pytest.raises(JournalError, match=r"newer version \(m999_from_the_future\); update biovita-edge"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_another_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "birds.db"
    rows(path, "CREATE TABLE detections (Date, Sci_Name)")
    before = path.read_bytes()

    with pytest.raises(JournalError, match="is a database, but not a journal; give another --journal"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Great tit at the feeder.\n" * 100)

    with pytest.raises(JournalError, match=r"notes.txt: is not a journal; give another --journal"):
        Journal.open(path)
    assert path.read_text().startswith("Great tit")


def test_a_damaged_journal_is_noticed_when_it_is_opened(path):
    with Journal.open(path) as journal:
        deployment = journal.begin(DEPLOYMENT, DAWN)
        for _ in range(200):
            journal.record(deployment, GREAT_TIT)
    damaged = bytearray(path.read_bytes())
    damaged[-3 * 4096 :] = bytes(3 * 4096)
    path.write_bytes(damaged)

    with pytest.raises(JournalError, match=r"journal.sqlite: is damaged .*; move it away"):
        Journal.open(path)


def test_a_folder_instead_of_a_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(JournalError) as refused:
        Journal.open(tmp_path)

    assert str(tmp_path) in str(refused.value) and "check the folder" in str(refused.value)
    assert refused.value.exit_code == 2


def test_the_default_journal_lies_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    with Journal.open() as journal:
        assert journal.path == default_path() == tmp_path / "biovita-edge" / "journal.sqlite"
        assert journal.path.is_file()


def test_a_time_without_zone_is_not_taken_for_utc():
    with pytest.raises(ValueError, match="without its zone"):
        utc_text(datetime(2025, 5, 1, 6, 0))
