"""What goes wrong in a forest: killed programs, full disks, locked files, many threads, long runs."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from edgeapp.detections.verdict import Verdict
from edgeapp.journal import Journal, JournalError, Message, Reader, database
from tests.edgeapp.journal.samples import A_PARUS, DEPLOYMENT, begin, rows

KILLS = 20


def test_what_record_returned_survives_a_kill_at_any_moment(path, forks):
    program = textwrap.dedent(
        f"""
        from edgeapp.journal import Journal, Message
        from edgeapp.detections.verdict import Verdict
        from tests.edgeapp.journal.samples import A_PARUS, begin
        journal = Journal.open({str(path)!r})
        stream = begin(journal)
        while True:
            journal.count(stream, Verdict.DETECTION)
            print(journal.record(stream, A_PARUS, lambda: [Message("mqtt"), Message("webhook")]), flush=True)
        """
    )
    dice, returned = random.Random(5), []
    for _ in range(KILLS):
        with subprocess.Popen([*forks.python(), "-c", program], stdout=subprocess.PIPE, text=True) as writer:
            begun = [writer.stdout.readline()]
            time.sleep(dice.uniform(0, 0.03))
            writer.send_signal(signal.SIGKILL)
            lines = [*begun, *writer.stdout]
        returned += [int(line) for line in lines if line.endswith("\n")]
        assert writer.returncode == -signal.SIGKILL

    with Journal.open(path) as journal:
        journal.quick_check()
        written = [row["id"] for row in journal.detections()]
        documents = [journal.document(row)["id"] for row in journal.detections()]
        sent_of = [journal.composed(one.id).payload["id"] for one in journal.due(0.0, limit=10**6)]
        counted = sum(journal.counts(row["id"]).get(Verdict.DETECTION, 0) for row in journal.deployments())
    assert len(returned) >= KILLS
    assert set(returned) <= set(written) and len(written) - len(returned) <= KILLS
    assert sent_of == [it for it in documents for _ in range(2)]
    assert rows(path, "SELECT detection, count(*) FROM candidates GROUP BY detection") == [(it, 2) for it in written]
    assert 0 <= counted - len(written) <= KILLS


def test_a_deployment_that_was_killed_has_no_end_and_the_next_one_begins(path):
    first = Journal.open(path)
    begin(first)

    with Journal.open(path) as second:
        begin(second)
        assert [row["ended_utc"] for row in second.deployments()] == [None, None]
    first.close()


def test_a_locked_journal_is_an_error_in_bounded_time_and_nothing_is_half(path):
    with Journal.open(path, busy_s=0.3) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:
        stream = begin(journal)
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(
            JournalError, match=r"the journal is locked by another program .*locked.*; stop that program"
        ):
            journal.record(stream, A_PARUS, lambda: [Message("mqtt")])
        waited = time.monotonic() - begun
        assert list(journal.detections()) == [] and journal.queue_length() == 0

        other.execute("ROLLBACK")
        journal.record(stream, A_PARUS)
        assert len(list(journal.detections())) == 1
    assert 0.3 <= waited < 3.0


def test_a_lock_that_ends_in_time_is_waited_for(path):
    with Journal.open(path, busy_s=20.0) as journal:
        stream = begin(journal)
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.2, lambda: other.execute("ROLLBACK"))
        release.start()
        journal.record(stream, A_PARUS)
        release.join()
        other.close()

        assert len(list(journal.detections())) == 1


def test_a_lock_that_sqlite_does_not_wait_for_is_tried_again(journal):
    class Refusing:
        """Gives up at once, twice, as SQLite does while another program repairs the WAL."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self.connection, self.refusals = connection, 2

        def __getattr__(self, name: str):
            return getattr(self.connection, name)

        def execute(self, sql: str, *values):
            if sql == "BEGIN IMMEDIATE" and self.refusals:
                self.refusals -= 1
                raise sqlite3.OperationalError("database is locked")
            return self.connection.execute(sql, *values)

    journal._connection = refusing = Refusing(journal._connection)

    journal.record(begin(journal), A_PARUS)

    assert refusing.refusals == 0 and len(list(journal.detections())) == 1


def fill(journal: Journal, stream: int) -> list[int]:
    """Record until the journal refuses."""
    kept = []
    with pytest.raises(JournalError, match=r"cannot be written \(.*(full|I/O error)"):
        while len(kept) < 20_000:
            kept.append(journal.record(stream, A_PARUS))
    return kept


def test_a_full_disk_is_an_error_until_there_is_room_again(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    with Journal.open(small_disk / "journal.sqlite") as journal:
        stream = begin(journal)
        kept = fill(journal, stream)
        with pytest.raises(JournalError):
            journal.record(stream, A_PARUS)  # still full
        assert [row["id"] for row in journal.detections()] == kept

        ballast.unlink()
        again = journal.record(stream, A_PARUS)

        assert [row["id"] for row in journal.detections()] == [*kept, again]
        journal.quick_check()
    assert rows(journal.path, "SELECT DISTINCT count(*) FROM candidates GROUP BY detection") == [(2,)]


def test_a_file_that_may_not_grow_is_an_error_until_it_may(journal):
    """The same where nothing can be mounted."""
    stream = begin(journal)
    [(pages,)] = journal._db.execute("PRAGMA page_count").fetchall()
    journal._db.execute(f"PRAGMA max_page_count = {pages + 4}")
    kept = fill(journal, stream)
    assert [row["id"] for row in journal.detections()] == kept

    journal._db.execute("PRAGMA max_page_count = 1000000")
    again = journal.record(stream, A_PARUS)

    assert [row["id"] for row in journal.detections()] == [*kept, again]
    journal.quick_check()


def test_several_threads_write_and_read_at_once(journal):
    streams = [begin(journal) for _ in range(4)]
    faults: list[BaseException] = []

    def work(stream: int) -> None:
        try:
            for _ in range(50):
                detection = journal.record(stream, A_PARUS, lambda: [Message("mqtt")])
                journal.count(stream, Verdict.DETECTION)
                assert len(journal.candidates(detection)) == 2
                for message in journal.due(0.0, limit=1):
                    journal.sent(message.id, A_PARUS.time)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert len(list(journal.detections())) == 200
    assert [journal.counts(deployment)[Verdict.DETECTION] for deployment in (1, 2, 3, 4)] == [50] * 4


def wal_bytes(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


def test_the_wal_stays_small_while_a_reader_has_the_journal_open(journal):
    stream = begin(journal)
    with Reader(journal.path) as reader:
        reading = reader.detections()
        for number in range(1000):
            journal.record(stream, A_PARUS)
            if number % 50 == 0:
                next(reading)  # a pager that is scrolled now and then

        assert wal_bytes(journal.path) < 8 * 2**20
        journal.daily_check()
        assert wal_bytes(journal.path) == 0
        assert len(list(reading)) == 1000 - 20


def test_a_reader_that_stays_delays_the_daily_check_not_the_station(journal):
    stream = begin(journal)
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM detections").fetchall()
        journal.record(stream, A_PARUS)
        journal.daily_check()
        journal.record(stream, A_PARUS)
        assert wal_bytes(journal.path) > 0

    journal.daily_check()
    assert wal_bytes(journal.path) == 0
    assert journal._db.execute("PRAGMA busy_timeout").fetchone() == (30000,)


def test_damage_is_found_by_the_daily_check(path):
    with Journal.open(path) as journal:
        stream = begin(journal)
        for _ in range(200):
            journal.record(stream, A_PARUS)
        journal.daily_check()
        with path.open("r+b") as file:
            file.seek(-3 * 4096, os.SEEK_END)
            file.write(bytes(3 * 4096))

        with pytest.raises(JournalError, match="is damaged") as damaged:
            journal.daily_check()
    assert damaged.value.exit_code == 3


@pytest.mark.parametrize("accident", ["removed", "replaced"])
def test_a_journal_that_is_taken_away_is_noticed_at_the_next_row(path, accident):
    with Journal.open(path) as journal:
        stream = begin(journal)
        path.rename(path.with_name("elsewhere.sqlite"))
        if accident == "replaced":
            path.touch()

        with pytest.raises(JournalError, match="was moved, removed or replaced while it was open"):
            journal.record(stream, A_PARUS)


def test_two_programs_may_bring_the_same_journal_up_to_date_at_once(path, monkeypatch, first_journal):
    monkeypatch.setattr(database, "_migrate", first_journal)
    faults: list[BaseException] = []

    def open_it() -> None:
        try:
            with Journal.open(path) as journal:
                journal.begin(DEPLOYMENT, A_PARUS.time)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert rows(path, "SELECT count(*) FROM deployments") == [(4,)]
