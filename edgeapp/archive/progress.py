"""How far a run over an archive is: on a terminal in one line, elsewhere a line a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from edgeapp.progress_line import ProgressLine
from edgeapp.terminal import duration


class Progress(ProgressLine):
    """Tells how far a run is, on standard error.

    Parameters
    ----------
    n_files, n_bytes : int
        To be heard.
    stream, clock, quiet
        See `edgeapp.progress_line.ProgressLine`.
    """

    def __init__(
        self,
        n_files: int,
        n_bytes: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        quiet: bool = False,
    ) -> None:
        super().__init__(stream, clock, quiet)
        self._n_files, self._n_bytes, self._began = n_files, n_bytes, self._told
        self.files = self.bytes = self.failed = 0
        self.sound_s = 0.0

    def add(self, files: int, n_bytes: int, sound_s: float = 0.0, failed: int = 0) -> None:
        """Count recordings that are done."""
        self.files += files
        self.bytes += n_bytes
        self.sound_s += sound_s
        self.failed += failed

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
