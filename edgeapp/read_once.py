"""Files of a person's own words and secrets, which may be such that they can be read only once: pipes and the like.

A password often comes by ``<(pass show broker)``, as ``/dev/fd/63``, or through a named pipe. A station reads its
settings several times; whatever is no regular file is read the first time and kept in memory from then on.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNWRITTEN_S = 5.0  # until a named pipe that nobody writes to is given up
SLOW_S = 60.0  # until somebody who has it open to write has written: a person may be asked for a passphrase
MOST_BYTES = 1 << 20

_kept: dict[Path, bytes] = {}
_untold: list[Path] = []
_lock = threading.Lock()


def content(path: Path) -> bytes:
    """What a file holds; what it held the first time, where it can be read only once.

    Raises
    ------
    OSError
        It cannot be read; nobody writes to it, or more than `MOST_BYTES`.
    """
    if not _is_once(path):
        return path.read_bytes()
    with _lock:
        if (known := _kept.get(path.absolute())) is None:
            known = _kept[path.absolute()] = _read(path)
            _untold.append(path)
        return known


def text(path: Path) -> str:
    """The text of a file, without the mark that some editors put before it; see `content`.

    Raises
    ------
    OSError, UnicodeDecodeError
    """
    return content(path).decode("utf-8-sig")


def is_there(path: Path) -> bool:
    """Whether a file is there, or was and is kept."""
    return path.exists() or path.absolute() in _kept


@contextmanager
def opened_by_others(path: Path) -> Iterator[str]:
    """A path under which a library can open a file, one time, however often it was read before.

    Raises
    ------
    OSError
    """
    if not _is_once(path):
        yield str(path)
        return
    found, (reading, writing) = content(path), os.pipe()

    def feed() -> None:
        with suppress(BrokenPipeError), open(writing, "wb") as pipe:
            pipe.write(found)

    feeding = threading.Thread(target=feed, daemon=True)
    feeding.start()
    try:
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)
        feeding.join()


def newly_kept() -> list[Path]:
    """Files whose content is kept since this was asked last."""
    with _lock:
        found, _untold[:] = list(_untold), []
        return found


def _is_once(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return path.absolute() in _kept  # a pipe that was removed
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _read(path: Path) -> bytes:
    named = Path(os.path.realpath(path)).exists()  # a pipe of a shell has no name, and is written to already
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    parts: list[bytes] = []
    begun, written = time.monotonic(), not named
    try:
        while sum(map(len, parts)) <= MOST_BYTES:
            try:
                part = os.read(handle, 65_536)
            except BlockingIOError:
                written = True
                select.select([handle], [], [], 1.0)
            else:
                if part:
                    parts.append(part)
                    continue
                if parts or written or not stat.S_ISFIFO(os.fstat(handle).st_mode):
                    return b"".join(parts)
                time.sleep(0.05)
            if time.monotonic() - begun > (SLOW_S if written else UNWRITTEN_S):
                raise OSError(errno.ETIMEDOUT, "nothing was written to it", str(path))
    finally:
        os.close(handle)
    raise OSError(errno.EFBIG, "more than 1 MB", str(path))
