"""Which stations run with a file of settings, and where each writes its status, whatever flags it was started with.

Each has a file in the folder of locks, locked as long as its process lives.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgeapp.station.claim import shared_folder
from gallery import locks

MOST_BYTES = 10_000


@contextmanager
def present(settings: Path, status: Path) -> Iterator[None]:
    """Tell where the status of this process is, for `status_files`; nothing where that cannot be told."""
    path = shared_folder() / f"{_prefix(settings)}{os.getpid()}.lock"
    try:
        path.unlink(missing_ok=True)  # of a process that had this number
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError:
        yield
        return
    try:
        locks.take(handle)
        with suppress(OSError):  # a full disk
            os.write(handle, json.dumps({"status": str(status.absolute())}).encode())
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def status_files(settings: Path) -> list[Path]:
    """Status files of the stations that run with a file of settings; what dead ones left is removed."""
    found = []
    for path in sorted(shared_folder().glob(f"{_prefix(settings)}*.lock")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                if not locks.take_now(handle):
                    found.append(Path(json.loads(os.read(handle, MOST_BYTES))["status"]))
                elif os.fstat(handle).st_size:  # an empty one is just being made
                    path.unlink()
            finally:
                os.close(handle)
    return found


def _prefix(settings: Path) -> str:
    return f"biovita-edge-{hashlib.sha256(os.fsencode(settings.resolve())).hexdigest()[:16]}-"
