"""Messages of C libraries on the process's standard error.

libmpg123 speaks of every damaged frame of an MP3 there, in dozens of lines without the file's name. A person gets one
line, so what it says is counted, and what anybody else says meanwhile is passed on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from edgeapp import foreign

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
    others = []
    try:
        with foreign.apart() as said:
            try:
                yield heard
            finally:
                said.seek(0)
                for raw in said:
                    line = raw.decode("utf-8", "replace")
                    if not line.startswith(_MPG123):
                        others.append(raw)
                    elif _DAMAGE in line:
                        heard.damaged += 1
    finally:
        if others:
            os.write(_STDERR, b"".join(others))
