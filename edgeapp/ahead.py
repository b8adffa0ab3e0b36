"""Make the next things in a second thread while this one works on the last."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.1  # how soon an abandoned reader notices


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def read_ahead(items: Iterator[T], depth: int) -> Iterator[Iterator[T]]:
    """Run an iterator in its own thread, at most ``depth`` items ahead.

    Items come out in order. An error in the iterator comes out where the item it spoiled would have come. Leaving the
    context stops the thread and waits for it, so whatever the iterator reads can be closed afterwards.

    Parameters
    ----------
    items : iterator
    depth : int
        Most items held between the two threads.
    """
    between: queue.Queue[T | _End] = queue.Queue(depth)
    abandoned = threading.Event()

    def put(item: T | _End) -> bool:
        while not abandoned.is_set():
            try:
                between.put(item, timeout=POLL_S)
                return True
            except queue.Full:
                continue
        return False

    def run() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as raised:  # carried to the thread that reads
            error = raised
        put(_End(error))

    def taken() -> Iterator[T]:
        while True:
            item = between.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    thread = threading.Thread(target=run, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        abandoned.set()
        thread.join()
