"""How far a run over an archive is: on a terminal in one line, elsewhere a line a minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from edgeapp.terminal import complain, duration

ON_TERMINAL_S, ELSEWHERE_S = 0.5, 60.0  # between two lines
CLEAR = "\r\x1b[K"


class Progress:
    """Tells how far a run is, on standard error.

    Parameters
    ----------
    n_files, n_bytes : int
        To be heard.
    stream : text file, optional
        Standard error if not given.
    clock : callable
        Seconds.
    quiet : bool
        Tell nothing.
    """

    def __init__(
        self,
        n_files: int,
        n_bytes: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        quiet: bool = False,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._n_files, self._n_bytes, self._clock, self._quiet = n_files, n_bytes, clock, quiet
        self._began = self._told = clock()
        self._every_s = ON_TERMINAL_S if self._terminal else ELSEWHERE_S
        self.files = self.bytes = self.failed = 0
        self.sound_s = 0.0

    def add(self, files: int, n_bytes: int, sound_s: float = 0.0, failed: int = 0) -> None:
        """Count recordings that are done."""
        self.files += files
        self.bytes += n_bytes
        self.sound_s += sound_s
        self.failed += failed

    def tell(self) -> None:
        """Tell how far it is, if it is time to."""
        now = self._clock()
        if self._quiet or now - self._told < self._every_s:
            return
        self._told = now
        if self._terminal:
            self._stream.write(CLEAR + self.line())
            self._stream.flush()
        else:
            complain(self.line())

    def line(self) -> str:
        """How far it is, in words."""
        spent = max(self._clock() - self._began, 1e-9)
        words = [f"{self.files:,} of {self._n_files:,} files", f"{self.sound_s / 3600:,.1f} h of sound"]
        if self.sound_s:
            words.append(f"{self.sound_s / spent:,.0f} times real time")
        if self.failed:
            words.append(f"{self.failed:,} failed")
        if self.bytes:
            words.append(f"{duration(spent / self.bytes * max(self._n_bytes - self.bytes, 0))} left")
        return ", ".join(words)

    def clear(self) -> None:
        """Take the line off the terminal, so that another can be written."""
        if self._terminal and not self._quiet:
            self._stream.write(CLEAR)
            self._stream.flush()
