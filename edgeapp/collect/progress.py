"""How far a download is: on a terminal in one line that changes, elsewhere a line a minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from edgeapp.progress_line import ProgressLine
from edgeapp.terminal import duration, size

RATE_OVER_S = 60.0  # what the rate and the time left are taken over


class Progress(ProgressLine):
    """Counts files and bytes, and tells rate and time left on standard error; for several threads.

    Parameters
    ----------
    files : int
        To be fetched.
    n_bytes : float
        Of all of them, about; 0 where that is not known.
    stream, clock
        See `edgeapp.progress_line.ProgressLine`.
    """

    def __init__(
        self,
        files: int,
        n_bytes: float = 0.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream, clock)
        self._files, self._n_bytes = files, n_bytes
        self._lock = threading.Lock()
        self._marks: deque[tuple[float, int, int]] = deque([(self._told, 0, 0)])  # time, files, bytes
        self.done = self.failed = self.bytes = 0

    def came(self, n_bytes: int) -> None:
        """Bytes that came."""
        with self._lock:
            self.bytes += n_bytes

    def finished(self, failed: bool = False) -> None:
        """One file is here, or will not be."""
        self.done += 1
        self.failed += failed

    def line(self) -> str:
        """How far it is, in words."""
        now = self._clock()
        while len(self._marks) > 1 and now - self._marks[1][0] >= RATE_OVER_S:
            self._marks.popleft()
        then, done, n_bytes = self._marks[0]
        self._marks.append((now, self.done, self.bytes))
        spent_s = max(now - then, 1e-9)
        of = f" of about {size(max(self._n_bytes, self.bytes))}" if self._n_bytes else ""
        words = [
            f"{self.done:,} of {self._files:,} files",
            f"{size(self.bytes)}{of}",
            f"{size((self.bytes - n_bytes) / spent_s)}/s",
        ]
        if self.failed:
            words.append(f"{self.failed:,} failed")
        if self.done > done:
            words.append(f"{duration((self._files - self.done) * spent_s / (self.done - done))} left")
        return ", ".join(words)
