"""The journal is only read, and what is told of it is true; the station is judged by what it tells."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from edgeapp.config.load import Loaded
from edgeapp.config.sections import Clips, Station
from edgeapp.config.settings import Settings
from edgeapp.config.target_sections import Webhook
from edgeapp.config.values import Fault
from edgeapp.doctor import records, service
from edgeapp.doctor.context import Context, is_station
from edgeapp.doctor.finding import State
from edgeapp.journal import Journal
from tests.edgeapp.doctor.conftest import NOON


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def named(findings) -> dict[str, tuple[State, str]]:
    return {finding.name: (finding.state, finding.what) for finding in findings}


def test_a_journal_that_is_not_there_yet_is_no_fault_and_is_not_made(context):
    one = context()
    told = named(records.journal(one))
    assert told["journal"][0] is State.OK
    assert not one.settings.journal_path.exists()


def test_a_real_journal_is_healthy(context, tmp_path):
    path = tmp_path / "real.sqlite"
    Journal.open(path).close()
    told = named(records.journal(context(station=Station(journal=path))))
    assert told["journal"][0] is State.OK
    assert "intact, 0 detections" in told["journal"][1]


def test_a_whole_journal_is_told_with_its_rows_and_left_as_it_was(context, journal):
    before = journal.read_bytes()
    told = named(records.journal(context()))
    assert told["journal"] == (State.OK, f"{journal}: intact, 2000 detections, {len(before) / 1e6:.1f} MB")
    assert told["messages"] == (State.OK, "no message is pending")
    assert journal.read_bytes() == before


def test_what_a_killed_station_left_is_not_tidied_up_behind_its_back(context, journal):
    with closing(sqlite3.connect(journal)) as station:
        station.execute("INSERT INTO detections VALUES (NULL, 1, 'Parus major')")
        station.commit()
        left = {suffix: Path(f"{journal}{suffix}").read_bytes() for suffix in ("", "-wal")}
    for suffix, content in left.items():
        Path(f"{journal}{suffix}").write_bytes(content)
    assert "2001 detections" in named(records.journal(context()))["journal"][1]
    assert {suffix: Path(f"{journal}{suffix}").read_bytes() for suffix in ("", "-wal")} == left


def test_a_journal_that_is_being_written_is_healthy(context, journal):
    with closing(sqlite3.connect(journal)) as station:
        station.execute("BEGIN IMMEDIATE")
        station.execute("INSERT INTO detections VALUES (NULL, 1, 'Parus major')")
        assert named(records.journal(context()))["journal"][0] is State.OK
        station.rollback()


def test_a_damaged_page_is_an_error_with_a_way_out(context, journal):
    damage(journal)
    told = list(records.journal(context()))
    assert [one.state for one in told] == [State.ERROR]
    assert "is damaged" in told[0].what and "doctor --fix" in told[0].remedy


def test_a_file_that_is_no_database_and_one_that_is_no_journal_are_errors(context, journal):
    change(journal, "PRAGMA application_id = 5")
    assert "not a journal" in named(records.journal(context()))["journal"][1]
    journal.write_bytes(b"no database at all" * 1000)
    assert named(records.journal(context()))["journal"][0] is State.ERROR


def test_a_row_without_its_parent_is_a_warning(context, journal):
    change(journal, "DELETE FROM deployments")
    state, what = named(records.journal(context()))["journal"]
    assert state is State.WARNING and "2000 rows belong to rows that are gone" in what


@pytest.mark.parametrize(("hours", "state"), [(0.5, State.OK), (5, State.WARNING)])
def test_messages_that_wait_long_are_told_with_the_last_fault(context, journal, hours, state):
    then = (NOON - timedelta(hours=hours)).isoformat().replace("+00:00", "Z")
    change(
        journal,
        f"INSERT INTO messages VALUES (NULL, '{then}', 'connection refused', NULL, NULL)",
        f"INSERT INTO messages VALUES (NULL, '{then}', NULL, NULL, NULL)",
        "INSERT INTO messages VALUES (NULL, '2020-01-01T00:00:00Z', NULL, '2020-01-01T00:00:01Z', NULL)",
        "INSERT INTO messages VALUES (NULL, '2020-01-01T00:00:00Z', NULL, NULL, '2020-01-01T00:00:01Z')",
    )
    found = named(records.journal(context(webhook=Webhook(url="http://a"))))["messages"]
    assert found[0] is state
    assert found[1].startswith("2 pending") and "connection refused" in found[1]


def test_clips_that_are_gone_are_told(context, journal, tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "there.flac").write_text("")
    change(
        journal,
        "INSERT INTO clips VALUES (1, 'there.flac', NULL)",
        f"INSERT INTO clips VALUES (2, '{clips / 'there.flac'}', NULL)",
        "INSERT INTO clips VALUES (3, 'deleted.flac', '2026-01-01')",
    )
    assert named(records.journal(context(clips=Clips(folder=clips))))["clips"][0] is State.OK
    change(journal, "INSERT INTO clips VALUES (4, 'lost.flac', NULL)")
    state, what = named(records.journal(context(clips=Clips(folder=clips))))["clips"]
    assert (state, what) == (State.WARNING, "1 of 3 clips are missing, the first is lost.flac")


def test_a_clip_is_looked_for_in_the_folder_that_it_was_written_to(context, tmp_path):
    path, old, new = tmp_path / "own.sqlite", tmp_path / "old", tmp_path / "new"
    Journal.open(path).close()
    for folder in (old, new):
        folder.mkdir()
    (old / "there.flac").write_text("")
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO clip_folders VALUES (1, ?)", [str(old)])
        clip = {"path": "there.flac", "format": "flac", "start_s": 0, "end_s": 3, "stream": 1, "bytes": 0, "folder": 1}
        clip |= {"created_utc": "2026-05-01T00:00:00.000Z", "clock_set": 1}
        db.execute(f"INSERT INTO clips ({', '.join(clip)}) VALUES ({', '.join('?' * len(clip))})", [*clip.values()])
        db.commit()
    asked = context(station=Station(journal=path), clips=Clips(folder=new))
    with records.reading(path) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        assert named(records._clips(db, tables, asked))["clips"][0] is State.OK
        (old / "there.flac").unlink()
        state, what = named(records._clips(db, tables, asked))["clips"]
    assert (state, what) == (State.WARNING, f"1 of 1 clips are missing, the first is {old / 'there.flac'}")


def damage(journal: Path) -> None:
    """Overwrite a page in the middle of the detections."""
    with closing(sqlite3.connect(journal)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page,)] = db.execute("PRAGMA page_size")
        rows = db.execute("SELECT pageno FROM dbstat WHERE name = 'detections' AND pagetype = 'leaf' ORDER BY path")
        leaves = [number for (number,) in rows]
    with journal.open("r+b") as file:
        file.seek((leaves[len(leaves) // 2] - 1) * page)
        file.write(b"\xff" * page)


# the station


def status(journal: Path, age_s: float, *microphones: dict, pid: int = 4711, **more: object) -> None:
    time_utc = (NOON - timedelta(seconds=age_s)).isoformat().replace("+00:00", "Z")
    text = json.dumps({"pid": pid, "time_utc": time_utc, "microphones": list(microphones), **more})
    (journal.parent / "journal.status.json").write_text(text)


HEARING = {"name": "USB", "state": "hearing", "since_utc": "2026-06-01T11:00:00Z", "why": ""}
IMPAIRED = {"name": "USB", "state": "dead channel", "why": "channel 2 has no sound"}
SILENT = {"name": "USB", "state": "silent", "since_utc": "2026-06-01T11:00:00Z", "why": "flat zeros"}


@pytest.mark.parametrize(
    ("age_s", "alive", "microphones", "state", "words"),
    [
        (5, True, [HEARING], State.OK, "process 4711 runs; USB hearing"),
        (5, True, [IMPAIRED], State.WARNING, "USB: channel 2 has no sound"),
        (5, True, [HEARING, SILENT], State.ERROR, "USB is silent since 2026-06-01T11:00:00Z (flat zeros)"),
        (5, True, [{**SILENT, "state": "stalled"}], State.ERROR, "USB is stalled"),
        (5, True, [{**SILENT, "state": "lost"}], State.ERROR, "USB is lost"),
        (5, True, [{**SILENT, "state": "back"}], State.OK, "USB back"),
        (5, True, [{**SILENT, "state": "dead channel", "why": "channel 1 has no sound"}], State.WARNING, "channel 1"),
        (5, True, [], State.OK, "without a microphone"),
        (900, True, [HEARING], State.WARNING, "runs, but last reported 15 minutes ago"),
        (5, False, [HEARING], State.WARNING, "and vanished without ending"),
        (90_000, False, [SILENT], State.WARNING, "last reported 25 hours ago, and vanished without ending"),
    ],
)
def test_a_station_is_judged_by_what_it_tells(context, journal, age_s, alive, microphones, state, words):
    status(journal, age_s, *microphones)
    [told] = service.station(context(alive=alive))
    assert told.state is state
    assert words in told.what


def test_the_station_of_these_settings_is_told_before_others_that_run(context, journal, tmp_path, monkeypatch):
    status(journal, 900, HEARING)
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"pid": 1, "time_utc": NOON.isoformat(), "microphones": [HEARING]}))
    monkeypatch.setattr("edgeapp.doctor.context.status_files", lambda settings: [other])
    [told] = service.station(context(alive=True))
    assert told.what == "process 4711 runs, but last reported 15 minutes ago"


@pytest.mark.parametrize(("name", "remedy"), [("USB", "alsamixer"), ("rtsp://camera/1", "look at the camera")])
def test_a_card_and_a_camera_are_cured_differently(context, journal, name, remedy):
    status(journal, 5, {**SILENT, "name": name})
    [told] = service.station(context(alive=True))
    assert remedy in told.remedy


@pytest.mark.parametrize("age_s", [5, 90_000])
def test_a_station_that_ended_in_good_order_is_no_fault(context, journal, age_s):
    status(journal, age_s, HEARING, state="ended", error=None)
    [told] = service.station(context(alive=False))
    assert told.state is State.SKIPPED and "ended in good order" in told.what


def test_a_station_that_an_error_ended_says_which(context, journal):
    status(journal, 600, SILENT, state="ended", error="microphone USB does not open")
    [told] = service.station(context(alive=False))
    assert (told.state, told.what) == (State.WARNING, "ended by an error 10 minutes ago: microphone USB does not open")


def test_settings_that_wait_and_those_that_were_not_taken_are_told(context, journal):
    status(journal, 5, HEARING, settings={"waiting": ["station.hop"], "error": "clips.folders: unknown setting"})
    running, faulty, waiting = service.station(context(alive=True))
    assert running.state is State.OK
    assert faulty.state is State.WARNING and "clips.folders: unknown setting" in faulty.what
    assert waiting.what == "station.hop changed, and waits for the next start"


def test_a_station_that_cannot_write_its_journal_is_an_error(context, journal):
    status(journal, 5, HEARING)
    path = journal.parent / "journal.status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "journal": {"trouble": "disk is full"}}))
    [told] = service.station(context(alive=True))
    assert (told.state, told.what) == (State.ERROR, "process 4711 cannot write: disk is full")
    assert "make room" in told.remedy


def test_a_remedy_that_the_station_told_is_the_one(context, journal):
    status(journal, 5, {**SILENT, "why": "source does not open (401); check user and password"})
    [told] = service.station(context(alive=True))
    assert told.what.endswith("(source does not open (401))") and told.remedy == "check user and password"


def test_no_status_file_is_no_fault_and_a_broken_one_a_warning(context, journal):
    assert [one.state for one in service.station(context())] == [State.SKIPPED]
    for text in ("{", "[]", '"a"'):
        (journal.parent / "journal.status.json").write_text(text)
        one = context(alive=True)
        assert [finding.state for finding in service.station(one)] == [State.WARNING]
        assert not one.hears_now


def test_a_number_that_another_program_has_now_is_no_station():
    # A line is read first: a process that is just being made has no command yet.
    code, pipe = "print(flush=True); import time; time.sleep(60)", subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdout=pipe) as other:
        other.stdout.readline()
        assert not is_station(other.pid)
        other.kill()
    with subprocess.Popen([sys.executable, "-c", code, "edgeapp"], stdout=pipe) as ours:
        ours.stdout.readline()
        assert is_station(ours.pid)
        ours.kill()
    assert not is_station(ours.pid)
    assert not is_station(2**40)


# the settings


def test_faults_of_the_settings_and_missing_files_are_told(tmp_path):
    assert [one.state for one in service.config(Context(Loaded(Settings())))] == [State.OK]
    settings = Settings(station=Station(pack=tmp_path / "nowhere"))
    told = list(service.config(Context(Loaded(settings, (Fault("a.toml: hop", "is wrong", "repair it"),)))))
    assert [(one.state, one.what) for one in told] == [
        (State.ERROR, "a.toml: hop: is wrong"),
        (State.ERROR, f"default: station.pack: {tmp_path / 'nowhere'} is not there"),
    ]
