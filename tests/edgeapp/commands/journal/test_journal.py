"""`biovita-edge journal`: people look at what was heard and say what is right, while a listener goes on writing."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlite_utils import Database

from edgeapp.detections.verdict import Verdict
from edgeapp.journal import Clip, Journal, Review, migrations
from gallery.candidates import Candidate
from tests.edgeapp.journal.samples import A_PARUS, DAWN, GREAT_TIT, begin, rows

CUCKOO = replace(
    GREAT_TIT,
    time=replace(DAWN.earlier(-86400), clock_set=False),
    scientific_name="Cuculus canorus",
    common_name="Common Cuckoo",
    candidates=(Candidate("Cuculus canorus", "Common Cuckoo", 0.75, 0.5),),
)


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setenv("COLUMNS", "160")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "heard.sqlite"


@pytest.fixture
def listener(path, tmp_path):
    """A journal that stays open to write, with a genus and a cuckoo whose clips are there."""
    with Journal.open(path) as journal:
        stream = begin(journal)
        for detection in (A_PARUS, CUCKOO):
            number = journal.record(stream, detection)
            clip = tmp_path / "2025" / "05" / f"{number}.flac"
            clip.parent.mkdir(parents=True, exist_ok=True)
            clip.write_bytes(b"fLaC")
            journal.add_clip(Clip(str(clip), "flac", 0.0, 10.0, stream, 4, DAWN), [number])
        journal.count(stream, Verdict.DETECTION, 2)
        journal.count(stream, Verdict.OUT_OF_RANGE, 5)
        yield journal


@pytest.fixture
def command(run, path):
    return lambda *words: run("journal", *words, "--journal", path)


def test_detections_are_listed_in_local_time_with_doubtful_clocks_marked(listener, command):
    done = command("list")

    assert done.exit_code == 0
    tit, cuckoo = (line for line in done.stdout.splitlines() if "+02:00" in line)
    assert "2025-05-01 06:12:09+02:00" in tit and "a Parus, probably P. major" in tit and "0.75" in tit
    assert "2025-05-02 06:12:09+02:00 ?" in cuckoo and "Common Cuckoo (Cuculus canorus)" in cuckoo
    assert "USB PnP Sound Device: Audio (hw:2,0)" in tit


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], [1, 2]),
        (["--limit", 1], [2]),
        (["--limit", 0], [1, 2]),
        (["--species", "common cuckoo"], [2]),
        (["--species", "PARUS"], [1]),
        (["--since", "2025-05-01T06:12:10"], [2]),
        (["--until", "2025-05-01T06:12:10"], [1]),
        (["--until", "2025-05-01T04:12:09Z"], []),
        (["--since", "2025-05-02"], [2]),
    ],
)
def test_what_is_asked_for_is_listed(listener, command, words, found):
    done = command("list", "--format", "ndjson", *words)

    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        listener.document(listener.in_full(number)) for number in found
    ]


def test_programs_get_all_that_is_known(listener, command):
    listener.add_review(Review(1, "confirmed", "ana"), DAWN)
    (parus, _) = json.loads(command("list", "--format", "json").stdout)
    first = next(csv.DictReader(io.StringIO(command("list", "--format", "csv").stdout)))

    assert parus["time"] == first["time_utc"] == "2025-05-01T04:12:09.250Z"
    assert (parus["clip"], parus["review"]["verdict"]) == ("2025/05/1.flac", "confirmed")
    assert (first["taxon_rank"], first["scientific_name"], first["common_name"]) == ("genus", "Parus", "")
    assert json.loads(first["thresholds"]) == {"min_confidence": 0.5, "floor": 0.6}
    assert set(first) == set(next(listener.detections()))


def test_a_journal_without_detections_gives_empty_documents(command, path):
    Journal.open(path).close()

    assert (command("list").stdout, command("list").stderr) == ("", "no detections\n")
    assert command("list", "--format", "csv").stdout.startswith("id,deployment,stream,time_utc")
    assert json.loads(command("list", "--format", "json").stdout) == []


def test_the_newest_are_listed_without_being_asked(listener, command):
    for _ in range(25):
        listener.record(1, GREAT_TIT)

    listed = [json.loads(line)["id"] for line in command("list", "--format", "ndjson").stdout.splitlines()]
    assert listed == [listener.document(listener.in_full(number))["id"] for number in range(8, 28)]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("Kohlmeise", "Parus major"), ("great tit", "Parus major"), ("PARUS", "Parus"), ("parus  MAJOR", "Parus major")],
)
def test_a_correction_is_looked_up_in_any_language(listener, command, given, kept):
    done = command("review", 1, "corrected", "--name", given)
    assert (done.exit_code, done.stderr) == (0, f"detection 1: corrected, {kept}\n")
    assert listener.reviews(1)[-1]["name"] == kept


def test_a_name_with_a_typing_error_is_taken_only_when_it_is_meant(listener, command):
    done = command("review", 1, "corrected", "--name", "Parus majro")
    assert done.exit_code == 2 and listener.reviews(1) == []
    assert "no taxon is called 'Parus majro'; did you mean Parus major" in done.stderr
    assert "or give --new as well" in done.stderr
    assert command("review", 1, "corrected", "--name", "Homo novus", "--new").exit_code == 0
    assert [(one["name"], one["unlisted"]) for one in listener.reviews(1)] == [("Homo novus", 1)]
    assert "omit it, or give --name" in command("review", 1, "rejected", "--new").stderr


def test_reviews_are_kept_apart_and_listed(listener, command):
    assert command("review", 1, "rejected", "--reviewer", "ana").exit_code == 0
    done = command("review", 1, "corrected", "--name", " Parus minor ", "--note", "wing bar")

    assert (done.exit_code, done.stderr) == (0, "detection 1: corrected, Parus minor\n")
    assert "corrected Parus minor" in command("list").stdout
    reviews = listener.reviews(1)
    assert [(review["verdict"], review["name"], review["note"]) for review in reviews] == [
        ("rejected", None, ""),
        ("corrected", "Parus minor", "wing bar"),
    ]
    assert reviews[0]["reviewer"] == "ana" and reviews[1]["reviewer"]


def test_a_detection_is_reviewed_by_the_id_of_its_document_too(listener, command):
    [_, cuckoo] = json.loads(command("list", "--format", "json").stdout)

    assert command("review", cuckoo["id"], "confirmed").stderr == "detection 2: confirmed\n"
    assert [row["review"] for row in listener.detections()] == [None, "confirmed"]


def test_clips_are_locked_and_unlocked_all_or_none(listener, command):
    assert command("lock", 1, 2).exit_code == 0
    assert [clip.locked for clip in listener.clips()] == [True, True]
    assert command("lock", 2, "--unlock").exit_code == 0
    assert [clip.locked for clip in listener.clips()] == [True, False]

    refused = command("lock", 2, 8, 9)
    assert refused.exit_code == 2 and "has no clip 8, 9" in refused.stderr
    assert [clip.locked for clip in listener.clips()] == [True, False]


def test_the_times_of_a_deployment_are_moved(listener, command):
    done = command("correct-times", "--deployment", 1, "--by", -3600)

    assert (done.exit_code, done.stderr) == (0, "deployment 1: 2 detections moved by -3600 s\n")
    assert [(row["time_utc"], row["clock_set"]) for row in listener.detections()] == [
        ("2025-05-01T03:12:09.250Z", 2),
        ("2025-05-02T03:12:09.250Z", 2),
    ]


def test_info_tells_what_there_is_and_how_windows_ended(listener, command):
    listener.close_stream(1, DAWN.earlier(-60), "unplugged", 4800)
    told = command("info")

    assert told.exit_code == 0
    assert "detections        2\n" in told.stdout and "uncertain times   1\n" in told.stdout
    assert "pack starter 1.0, 7 windows: 2 with detections, 5 out of range; 2 detections\n" in told.stdout
    assert "at 48000 Hz, 4800 samples lost, unplugged\n" in told.stdout and "no end" in told.stdout

    document = json.loads(command("info", "--json").stdout)
    assert document["runs"][0]["windows"] == {"detection": 2, "out_of_range": 5}
    assert document["runs"][0]["detections"] == 2
    assert document["runs"][0]["thresholds"]["floor"] == 0.6


def test_a_whole_journal_passes_the_check(listener, command):
    done = command("check")

    assert done.exit_code == 0 and done.stderr.endswith("heard.sqlite: intact, 2 detections, 2 clips\n")


def test_a_clip_that_is_gone_is_named_unless_it_was_deleted(listener, command, tmp_path):
    listener.delete_clip(1, "old", DAWN)
    for name in ("1.flac", "2.flac"):
        (tmp_path / "2025" / "05" / name).unlink()

    done = command("check")

    assert done.exit_code == 1
    assert done.stderr.splitlines() == [f"{listener.path}: clip 2 is missing: {tmp_path / '2025' / '05' / '2.flac'}"]


def test_rows_that_refer_to_nothing_are_exit_3(listener, command):
    with closing(sqlite3.connect(listener.path)) as vandal:
        vandal.execute("DELETE FROM streams")
        vandal.commit()

    done = command("check")

    assert done.exit_code == 3 and "detections 1 refers to streams that do not exist" in done.stderr


def test_a_damaged_file_is_exit_3_in_one_line(command, path):
    with Journal.open(path) as journal:
        stream = begin(journal)
        for _ in range(200):
            journal.record(stream, GREAT_TIT)
    with path.open("r+b") as file:
        file.seek(-3 * 4096, os.SEEK_END)
        file.write(bytes(3 * 4096))

    done = command("check")

    assert done.exit_code == 3
    assert "is damaged" in done.stderr and len(done.stderr.splitlines()) == 1


def test_an_old_journal_is_upgraded_when_asked_and_only_then(command, path):
    with closing(sqlite3.connect(path)) as connection:
        migrations.apply(Database(connection, execute_plugins=False), stop_before="m002_streams_reviews_clips_messages")

    for words in (["list"], ["review", 1, "confirmed"]):
        refused = command(*words)
        assert refused.exit_code == 2 and "`biovita-edge journal upgrade` keeps all its rows" in refused.stderr
    assert command("upgrade").exit_code == 0
    assert command("list").exit_code == 0


READING = [["info"], ["list"], ["check"]]
WRITING = [["review", 1, "confirmed"], ["lock", 1], ["correct-times", "--deployment", 1, "--by", 1], ["upgrade"]]


@pytest.mark.parametrize("words", READING + WRITING, ids=lambda words: words[0])
def test_no_command_makes_a_journal_that_is_not_there(command, path, words):
    done = command(*words)

    assert done.exit_code == 2
    assert f"{path}: no journal found" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not path.exists()


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_reading_commands_work_during_a_write_and_change_nothing(listener, command, words):
    before = rows(listener.path, "SELECT * FROM detections"), listener.path.stat().st_mtime_ns
    with closing(sqlite3.connect(listener.path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        assert command(*words).exit_code == 0

    assert (rows(listener.path, "SELECT * FROM detections"), listener.path.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["review", 99, "confirmed"], "has no detection 99; check the number of the detection"),
        (["review", "5b0c8b1e", "confirmed"], "has no detection 5b0c8b1e; check the number or id of the detection"),
        (["review", 1, "perhaps"], "perhaps"),
        (["review", 1, "corrected"], "a correction needs the correct name; give --name"),
        (["review", 1, "corrected", "--name", "  "], "a correction needs the correct name"),
        (["review", 1, "corrected", "--name", "a\nb"], "is not the name of a taxon"),
        (["review", 1, "confirmed", "--name", "Parus minor"], "does not apply to"),
        (["lock", 7], "has no clip 7"),
        (["correct-times", "--deployment", 9, "--by", 1], "has no deployment 9"),
        (["correct-times", "--deployment", 1, "--by", "nan"], "must be at most 100 years"),
        (["correct-times", "--deployment", 1, "--by", "1e30"], "must be at most 100 years"),
        (["list", "--since", "yesterday"], "--since 'yesterday' is not a time; write it as 2025-05-01"),
        (["list", "--format", "xml"], "xml"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2_and_changes_nothing(listener, command, words, told):
    done = command(*words)

    assert done.exit_code == 2
    assert told in done.stderr and len(done.stderr.splitlines()) == 1
    assert rows(listener.path, "SELECT count(*) FROM reviews") == [(0,)]


def test_a_time_that_was_typed_without_a_zone_is_local(listener, command):
    exactly = (DAWN.utc + timedelta(hours=2)).strftime("%Y-%m-%dT")

    assert len(command("list", "-f", "ndjson", "--since", f"{exactly}06:12", "--until", f"{exactly}06:13").stdout) > 0


def test_the_journal_in_the_users_data_folder_is_the_default(run, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    Journal.open().close()

    assert str(tmp_path / "biovita-edge" / "journal.sqlite") in run("journal", "info").stdout
