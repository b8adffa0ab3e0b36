"""Messages of C libraries on the process's standard error.

libmpg123 speaks of every damaged frame of an MP3 there, in dozens of lines without the file's name. A person gets one
line, so what it says is counted, and what anybody else says meanwhile is passed on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_MPG123 = ("[src/libmpg123/", "Note: ", "Warning: ")
_DAMAGE = "error:"


class Complaints:
    """Messages captured by `overheard`, once it has ended.

    Attributes
    ----------
    damaged : int
        Damaged places an MP3 decoder met and skipped.
    """

    def __init__(self) -> None:
        self.damaged = 0


@contextmanager
def overheard() -> Iterator[Complaints]:
    """Capture the process's standard error. For the main thread only: file descriptor 2 is shared by all threads."""
    heard = Complaints()
    try:
        kept = os.dup(_STDERR)
    except OSError:  # a process without standard error has nothing to capture
        yield heard
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), _STDERR)
        try:
            yield heard
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            said.seek(0)
            for raw in said:
                line = raw.decode("utf-8", "replace")
                if not line.startswith(_MPG123):
                    if line.strip():
                        os.write(_STDERR, raw)
                elif _DAMAGE in line:
                    heard.damaged += 1
