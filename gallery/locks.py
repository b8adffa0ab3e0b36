"""Locks of open files, which end with the process that has them. A file system without locks is taken at its word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(handle: int) -> Iterator[None]:
    """Hold the lock of an open file; waits while another process has it. Windows is not asked."""
    take(handle)
    try:
        yield
    finally:
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)


def take(handle: int) -> None:
    """Lock an open file until it is closed; waits while another process has it. Windows is not asked."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)


def take_now(handle: int) -> bool:
    """Lock an open file until it is closed, without waiting; False where another process has it."""
    if fcntl is None:
        return _take_on_windows(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _take_on_windows(handle: int) -> bool:
    try:
        import msvcrt
    except ImportError:
        return True
    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    return True
