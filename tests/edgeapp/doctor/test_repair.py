"""A repair begins with a true copy, loses no row that can be read, and never touches what is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edgeapp.config.sections import Clips
from edgeapp.doctor import repair as mending
from edgeapp.doctor.finding import State
from edgeapp.doctor.records import APPLICATION_ID
from edgeapp.doctor.records import journal as check
from edgeapp.doctor.repair import repair
from tests.edgeapp.doctor.test_records import damage


def query(path: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def backups(journal: Path) -> list[Path]:
    return sorted(journal.parent.glob("journal.sqlite.backup-*"))


def test_a_whole_journal_is_left_alone(context, journal):
    before = journal.read_bytes()
    assert list(repair(context())) == []
    assert (journal.read_bytes(), backups(journal)) == (before, [])


def test_a_damaged_page_costs_the_rows_on_it_and_no_other(context, journal):
    intact = set(query(journal, "SELECT * FROM detections"))
    damage(journal)
    damaged = journal.read_bytes()
    told = list(repair(context()))
    assert [one.state for one in told] == [State.OK, State.OK], told
    [backup] = backups(journal)
    assert backup.read_bytes() == damaged
    kept = set(query(journal, "SELECT * FROM detections"))
    assert kept < intact
    assert len(intact) - len(kept) < 80  # what stood on one page
    assert {1, 2000} <= {row[0] for row in kept}  # from both ends
    assert query(journal, "SELECT count(*) FROM scores") == [(4000,)]
    assert query(journal, "PRAGMA quick_check") == [("ok",)]
    assert query(journal, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert query(journal, "SELECT count(*) FROM in_full") == [(len(kept),)]  # views and indexes are there again
    assert f"{len(kept)} detections" in told[1].what
    assert [one.state for one in check(context())][0] is not State.ERROR
    assert list(repair(context())) == []  # a second time there is nothing to do
    assert sorted(path.name for path in journal.parent.iterdir() if ".part" in path.name) == []


def test_a_damaged_index_is_made_anew_and_no_row_is_lost(context, journal):
    with closing(sqlite3.connect(journal)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page,)] = db.execute("PRAGMA page_size")
        rows = db.execute("SELECT pageno FROM dbstat WHERE name = 'detections_by_name' AND pagetype = 'leaf'")
        leaf = rows.fetchall()[1][0]
    with journal.open("r+b") as file:  # the count of cells: rows are missing from the index
        file.seek((leaf - 1) * page + 3)
        cells = int.from_bytes(file.read(2), "big")
        file.seek((leaf - 1) * page + 3)
        file.write((cells - 2).to_bytes(2, "big"))
    told = list(repair(context()))
    assert [one.state for one in told] == [State.OK, State.OK]
    assert "only an index was damaged" in told[1].what
    assert len(backups(journal)) == 1
    assert query(journal, "SELECT count(*) FROM detections") == [(2000,)]
    assert query(journal, "PRAGMA integrity_check") == [("ok",)]


def test_rows_that_are_still_in_the_wal_are_saved_and_copied_too(context, journal, tmp_path):
    damage(journal)
    # A station that was killed: its WAL lies there, with rows that the file does not have.
    with closing(sqlite3.connect(journal)) as station:
        station.execute("INSERT INTO deployments VALUES (2, 'late')")
        station.commit()
        kept = {suffix: Path(f"{journal}{suffix}").read_bytes() for suffix in ("", "-wal")}
    for suffix, content in kept.items():
        Path(f"{journal}{suffix}").write_bytes(content)
    assert mend_states(context()) == [State.OK, State.OK]
    assert query(journal, "SELECT pack FROM deployments") == [("toy 1.0",), ("late",)]
    backup = next(path for path in backups(journal) if not path.name.endswith("-wal"))
    assert Path(f"{backup}-wal").read_bytes() == kept["-wal"]


def mend_states(one) -> list[State]:
    return [finding.state for finding in repair(one)]


def test_a_file_whose_tables_cannot_be_read_stays_beside_its_copy(context, journal):
    content = b"\0" * 100_000
    journal.write_bytes(content)
    told = list(repair(context()))
    assert [one.state for one in told] == [State.OK, State.ERROR]
    assert journal.read_bytes() == content
    assert backups(journal)[0].read_bytes() == content


def test_a_copy_that_is_not_true_ends_the_mend_before_it_begins(context, journal, monkeypatch):
    damage(journal)
    before = journal.read_bytes()

    def half(source, target):
        Path(target).write_bytes(Path(source).read_bytes()[:-1])

    monkeypatch.setattr(mending.shutil, "copy2", half)
    [told] = repair(context())
    assert told.state is State.ERROR and "nothing was done" in told.what
    assert journal.read_bytes() == before


def test_a_journal_in_use_is_left_alone(context, journal):
    damage(journal)
    with closing(sqlite3.connect(journal)) as station:
        station.execute("SELECT * FROM deployments").fetchall()  # open, and doing nothing
        [told] = repair(context())
        assert told.state is State.ERROR and "another program has it" in told.what
        assert backups(journal) == []
    (journal.parent / "journal.status.json").write_text('{"pid": 5}')
    [told] = repair(context(alive=True))
    assert told.what == "a station is running, nothing was done"


def test_somebody_elses_database_is_left_alone(context, journal):
    with closing(sqlite3.connect(journal)) as db:
        db.execute("PRAGMA application_id = 7")
    before = journal.read_bytes()
    assert mend_states(context()) == [State.ERROR]
    assert (journal.read_bytes(), backups(journal)) == (before, [])


def test_an_earlier_copy_is_never_overwritten(context, journal):
    damage(journal)
    name = "journal.sqlite.backup-20260601T120000Z"
    (journal.parent / name).write_text("an earlier one")
    assert mend_states(context()) == [State.OK, State.OK]
    assert (journal.parent / name).read_text() == "an earlier one"
    assert (journal.parent / f"{name}-2").stat().st_size > 1000


def test_orphan_temporary_files_go_and_young_ones_and_clips_stay(context, tmp_path):
    clips = tmp_path / "clips" / "2026"
    clips.mkdir(parents=True)
    for name in (".clip-0000.part", ".clip-1111.part", "parus_major.flac"):
        (clips / name).write_text("")
    for name in (".clip-0000.part", "parus_major.flac"):
        os.utime(clips / name, (0, 0))
    [told] = repair(context(clips=Clips(folder=tmp_path / "clips")))
    assert (told.state, told.what) == (State.OK, "removed 1 unfinished temporary files")
    assert sorted(path.name for path in clips.iterdir()) == [".clip-1111.part", "parus_major.flac"]


@pytest.mark.parametrize("step", ["edgeapp.doctor.repair._salvaged", "os.replace"])
def test_a_mend_that_fails_half_way_leaves_the_journal_as_it_was(context, journal, monkeypatch, step):
    damage(journal)
    before = journal.read_bytes()

    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, refuse)
    told = list(repair(context()))
    assert told[-1].state is State.ERROR and "No space left" in told[-1].what
    assert journal.read_bytes() == before
    assert not list(journal.parent.glob(".journal.sqlite.*.part"))
