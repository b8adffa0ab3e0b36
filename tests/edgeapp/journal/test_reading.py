"""What is asked of a journal, while it is written and after."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import pytest

from edgeapp.journal import Clip, Journal, JournalError, Message, Reader, Review
from edgeapp.journal.reading import PAGE
from gallery.candidates import Candidate
from tests.edgeapp.journal.samples import A_PARUS, DAWN, GREAT_TIT, begin, rows

CUCKOO = replace(
    GREAT_TIT,
    time=DAWN.earlier(-600),
    scientific_name="Cuculus canorus",
    common_name="Common Cuckoo",
    candidates=(Candidate("Cuculus canorus", "Common Cuckoo", 0.75, 0.5),),
)


@pytest.fixture
def heard(journal) -> Journal:
    stream = begin(journal)
    journal.record(stream, GREAT_TIT)
    journal.record(stream, CUCKOO)
    journal.record(begin(journal), A_PARUS)
    return journal


@pytest.mark.parametrize("side", ["writer", "reader"])
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [1, 2, 3]),
        ({"since": DAWN.utc + timedelta(seconds=1)}, [2]),
        ({"since": DAWN.utc, "until": DAWN.utc + timedelta(seconds=600)}, [1, 3]),
        ({"species": "parus MAJOR"}, [1]),
        ({"species": "common cuckoo"}, [2]),
        ({"species": "Parus"}, [3]),
        ({"species": "Par"}, []),
        ({"newest": 2}, [2, 3]),
        ({"newest": 1, "species": "Common Cuckoo"}, [2]),
        ({"newest": 5, "species": "nobody"}, []),
    ],
)
def test_detections_are_found(heard, side, asked, found):
    with Reader(heard.path) as reader:
        assert [row["id"] for row in (heard if side == "writer" else reader).detections(**asked)] == found


def test_more_than_a_page_is_read_and_a_row_written_meanwhile_too(journal):
    stream = begin(journal)
    journal._db.execute("BEGIN")
    for _ in range(2 * PAGE):
        journal.record(stream, GREAT_TIT)
    journal._db.execute("COMMIT")
    with Reader(journal.path) as reader:
        reading = reader.detections()
        next(reading)
        journal.record(stream, GREAT_TIT)

        assert [row["id"] for row in reading] == list(range(2, 2 * PAGE + 2))


def test_a_reader_writes_nothing_and_holds_up_no_writer(heard):
    with Reader(heard.path) as reader, Journal.open(heard.path, busy_s=0.1) as writer:
        reading = reader.detections()
        next(reading)
        begin(writer)
        with pytest.raises(JournalError, match="readonly"):
            reader._fetch("DELETE FROM detections RETURNING id")
    assert rows(heard.path, "SELECT count(*) FROM detections") == [(3,)]


def test_a_reader_makes_no_journal(tmp_path):
    with pytest.raises(JournalError, match=r"none.sqlite: no journal found; give another --journal"):
        Reader(tmp_path / "none.sqlite")
    assert os.listdir(tmp_path) == []


def test_a_reader_refuses_what_is_no_journal(tmp_path):
    (tmp_path / "notes.txt").write_text("Great tit at the feeder.\n" * 100)
    (tmp_path / "empty").touch()
    rows(tmp_path / "birds.db", "CREATE TABLE detections (Date, Sci_Name)")

    for name, told in (("notes.txt", "is not a journal"), ("empty", "is empty"), ("birds.db", "but not a journal")):
        with pytest.raises(JournalError, match=f"{name}: .*{told}"):
            Reader(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write everywhere")
def test_a_journal_on_a_disk_that_cannot_be_written_is_read(heard):
    heard.close()
    heard.path.parent.chmod(0o555)
    try:
        with Reader(heard.path) as reader:
            assert len(list(reader.detections())) == 3
    finally:
        heard.path.parent.chmod(0o755)


def test_the_sizes_tell_what_there_is(heard):
    heard.record(1, replace(GREAT_TIT, confirmed=False))
    heard.record(1, replace(GREAT_TIT, time=replace(DAWN, clock_set=False)))
    heard.add_review(Review(1, "confirmed", "ana"))
    kept, gone = (heard.add_clip(Clip(f"{it}.flac", "flac", 0.0, 1.0, 1, 1, DAWN), [1]) for it in "ab")
    heard.delete_clip(gone, "old", DAWN)
    sent, _ = heard.queue([Message("mqtt", {})] * 2)
    heard.sent(sent, DAWN)

    with Reader(heard.path) as reader:
        assert reader.sizes() == {
            "deployments": 2,
            "streams": 2,
            "detections": 4,
            "unconfirmed": 1,
            "uncertain_times": 1,
            "reviews": 1,
            "clips": 1,
            "messages_waiting": 1,
        }
        assert [clip["id"] for clip in reader.missing_clips()] == [kept]


def test_deployments_are_read_with_their_streams(heard):
    first, second = heard.deployments()

    assert first["pack"] == "starter" and [stream["id"] for stream in first["streams"]] == [1]
    assert [stream["source"] for stream in second["streams"]] == ["USB PnP Sound Device: Audio (hw:2,0)"]


def test_rows_that_refer_to_nothing_are_found(heard):
    with Reader(heard.path) as reader:
        assert reader.strays() == []
        rows_before = reader.sizes()["detections"]
        heard._db.execute("PRAGMA foreign_keys = OFF")
        heard._db.execute("DELETE FROM streams WHERE id = 2")

        assert reader.strays() == ["detections 3 refers to streams that do not exist"]
        assert rows_before == 3
