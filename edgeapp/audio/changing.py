"""Files that are written to, or cut, while they are read."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO


class Unchanged:
    """How a file was when it was opened.

    Parameters
    ----------
    file : BinaryIO
        What is no regular file never changes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._before = self._look()

    def lost(self) -> bool:
        """Whether it is shorter now."""
        now = self._look()
        return self._before is not None and now is not None and now[0] < self._before[0]

    def note(self) -> str:
        """That it was written to since, in words; empty where it was not."""
        now = self._look()
        if self._before is None or now is None or now == self._before:
            return ""
        if now[0] > self._before[0]:
            return (
                f"was still being written: {now[0] - self._before[0]:,} bytes came while it was read and were not heard"
            )
        return "was written to while it was read"

    def _look(self) -> tuple[int, int] | None:
        """Size and time of change."""
        try:
            found = os.fstat(self._file.fileno())
        except (OSError, ValueError, AttributeError):  # a file in memory, or one that was closed
            return None
        return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
