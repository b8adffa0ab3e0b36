"""Process items in parallel and return the results in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = "ahead"  # what the threads are called


class _End:
    """Stands where no item came: the iterator ended, or it or the work on an item failed."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@contextmanager
def in_order(items: Iterator[T], work: Callable[[T], R], workers: int, ahead: int) -> Iterator[Iterator[R]]:
    """Work on an iterator's items in threads of their own, at most ``ahead`` items further than was asked for.

    A worker takes the next item itself, one worker at a time, and works on it beside the others. So whatever making an
    item costs is shared out too, and no more than ``workers`` threads are ever busy. Results come in the order of the
    items. An error comes where the result that it spoiled would have come, and nothing comes after it. Leaving the
    context stops the threads and waits for them, so whatever the iterator reads can be closed afterwards.

    Parameters
    ----------
    items : iterator
        Used by one thread at a time, not always the same.
    work : callable
        Item to result; called by several threads at once where ``workers`` is above 1.
    workers : int
    ahead : int
        Most items taken whose results were not.
    """
    if workers < 1 or ahead < 1:
        raise ValueError(f"{workers} workers, {ahead} items ahead: want 1 or more of each")
    turn = threading.Lock()  # held by the worker that takes an item
    changed = threading.Condition()  # guards what follows
    results: dict[int, R | _End] = {}
    taken = given = 0
    ended = False

    def take() -> tuple[int, T] | None:
        nonlocal taken, ended
        with turn:
            with changed:
                changed.wait_for(lambda: ended or taken - given < ahead)
                if ended:
                    return None
                number = taken
                taken += 1
            try:
                return number, next(items)
            except StopIteration:
                put(number, _End())
            except BaseException as error:  # carried to the thread that reads
                put(number, _End(error))
            return None

    def put(number: int, result: R | _End) -> None:
        nonlocal ended
        with changed:
            results[number] = result
            ended = ended or isinstance(result, _End)
            changed.notify_all()

    def run() -> None:
        while (item := take()) is not None:
            try:
                put(item[0], work(item[1]))
            except BaseException as error:
                put(item[0], _End(error))

    def read() -> Iterator[R]:
        nonlocal given
        while True:
            with changed:
                while given not in results:
                    changed.wait()
                result = results.pop(given)
                given += 1
                changed.notify_all()
            if isinstance(result, _End):
                if result.error is None:
                    return
                try:
                    raise result.error
                finally:
                    del result  # which refers to this frame by its error, and to all that the work had in its hands
            yield result

    threads = [threading.Thread(target=run, name=THREADS, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield read()
    finally:
        with changed:
            ended = True
            changed.notify_all()
        for thread in threads:
            thread.join()
