"""One run at a time writes the results of an archive: a lock that ends with the process that holds it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeapp.errors import OutputError
from gallery import locks

NAME = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder of results.

    Raises
    ------
    OutputError
        Another process holds it.
    """
    handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not locks.take_now(handle):
            raise OutputError(f"{folder}: another run is writing there", "wait for its end, or name another --output")
        yield
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Whether a run is writing to a folder of results; not where nobody can tell."""
    try:
        handle = os.open(folder / NAME, os.O_RDWR)
    except OSError:
        return False  # no run ever was there, or it is not ours to write
    try:
        return not locks.take_now(handle)
    finally:
        os.close(handle)
