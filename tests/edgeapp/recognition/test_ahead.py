"""Work on several items at once: in order, bounded, no error lost, no thread left behind."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from edgeapp.recognition.ahead import THREADS, in_order


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == THREADS]


def doubled(items, workers=3, ahead=4):
    with in_order(iter(items), lambda item: 2 * item, workers, ahead) as results:
        return list(results)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(workers):
    def slower_at_first(item):
        time.sleep(0.002 * (20 - item))
        return item

    with in_order(iter(range(20)), slower_at_first, workers, 2 * workers) as results:
        assert list(results) == list(range(20))


def test_nothing_in_is_nothing_out():
    assert doubled([]) == []


def test_work_is_done_side_by_side():
    together = threading.Barrier(3, timeout=60)
    with in_order(iter(range(3)), lambda item: together.wait(), 3, 3) as results:
        assert sorted(results) == [0, 1, 2]


def test_items_are_taken_by_one_worker_at_a_time():
    taking = threading.Lock()

    def items():
        for item in range(50):
            assert taking.acquire(blocking=False)
            time.sleep(0.0005)
            taking.release()
            yield item

    assert doubled(items()) == list(range(0, 100, 2))


def test_no_more_is_taken_than_was_asked_for():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    with in_order(items(), lambda item: item, 2, 3) as results:
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        time.sleep(0.05)
        assert len(taken) <= 5 + 3


def test_an_error_of_the_iterator_comes_where_its_item_would_have():
    def items():
        yield from (1, 2, 3)
        raise ValueError("the end")

    with in_order(items(), lambda item: item, 2, 4) as results:
        assert [next(results) for _ in range(3)] == [1, 2, 3]
        with pytest.raises(ValueError, match="the end"):
            next(results)


def test_an_error_of_the_work_ends_it_there():
    done = []

    def work(item):
        if item == 3:
            raise ValueError("three")
        return item

    with (
        pytest.raises(ValueError, match="three"),
        in_order(iter(range(1000)), work, 2, 4) as results,
    ):
        for result in results:
            done.append(result)
    assert done == [0, 1, 2]


def test_leaving_early_stops_an_endless_iterator():
    def endless():
        while True:
            yield 1

    with in_order(endless(), lambda item: item, 2, 4) as results:
        assert next(results) == 1


def test_a_worker_at_least():
    with pytest.raises(ValueError, match="0 workers"):
        doubled([1], workers=0)


def test_what_failed_work_had_in_its_hands_is_given_back_at_once():
    held = []

    def fails(item):
        sound = np.zeros(10)
        held.append(weakref.ref(sound))
        raise ValueError("broken")

    gc.disable()  # it counts objects, and not the memory in them
    try:
        with pytest.raises(ValueError) as raised, in_order(iter([1]), fails, 1, 1) as results:
            next(results)
        del raised, results
        assert held[0]() is None
    finally:
        gc.enable()
