"""Writes wait for the disk in their order, none is lost, none is done twice."""

from __future__ import annotations

import pytest

from edgeapp.journal import JournalError
from edgeapp.station.write_queue import RETRY_S, WriteQueue


class Disk:
    """Takes writes unless it is full."""

    def __init__(self) -> None:
        self.full = False
        self.tries = 0
        self.written: list[int] = []

    def write(self, number: int):
        def step() -> None:
            self.tries += 1
            if self.full:
                raise JournalError("journal.sqlite: database or disk is full", "make room")
            self.written.append(number)

        return step


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def time():
    return [0.0]


@pytest.fixture
def write_queue(time):
    return WriteQueue(lambda: time[0], JournalError, most=5)


def test_what_can_be_written_is_written_at_once(write_queue, disk):
    write_queue.write(disk.write(1), disk.write(2))
    assert (disk.written, len(write_queue), write_queue.trouble) == ([1, 2], 0, None)


def test_a_full_disk_delays_writes_and_keeps_their_order(write_queue, disk, time):
    write_queue.write(disk.write(1))
    disk.full = True
    write_queue.write(disk.write(2), disk.write(3))
    time[0] += RETRY_S
    write_queue.write(disk.write(4))
    assert (disk.written, len(write_queue)) == ([1], 3)
    assert "disk is full" in str(write_queue.trouble)
    disk.full = False
    time[0] += RETRY_S
    write_queue.flush()
    assert (disk.written, len(write_queue), write_queue.trouble) == ([1, 2, 3, 4], 0, None)


def test_while_there_is_trouble_it_is_tried_once_a_second(write_queue, disk, time):
    disk.full = True
    write_queue.write(disk.write(1))
    for _ in range(9):
        time[0] += RETRY_S / 10
        write_queue.flush()
    assert disk.tries == 1
    time[0] += RETRY_S
    write_queue.flush()
    assert disk.tries == 2


def test_a_step_that_fails_is_tried_again_alone(write_queue, disk, time):
    failing = disk.write(2)

    def once_full():
        disk.full = disk.tries < 2
        failing()

    write_queue.write(disk.write(1), once_full)
    assert disk.written == [1]
    time[0] += RETRY_S
    write_queue.flush()
    assert disk.written == [1, 2]


def test_the_end_tells_how_many_writes_are_lost(write_queue, disk):
    disk.full = True
    write_queue.write(disk.write(1), disk.write(2))
    with pytest.raises(JournalError, match=r"disk is full: 2 records lost; make room"):
        write_queue.finish()
    disk.full = False
    write_queue.finish()
    assert disk.written == [1, 2]


def test_more_than_can_be_remembered_is_an_error(write_queue, disk):
    disk.full = True
    write_queue.write(*[disk.write(n) for n in range(5)])
    with pytest.raises(JournalError, match="disk is full"):
        write_queue.write(disk.write(5))


def test_an_error_of_another_kind_is_no_reason_to_wait(write_queue):
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_queue.write(broken)
