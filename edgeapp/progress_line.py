"""One line on standard error that says how far something is: in place on a terminal, elsewhere now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from edgeapp.terminal import complain

ON_TERMINAL_S, ELSEWHERE_S = 0.5, 60.0  # between two lines
CLEAR = "\r\x1b[K"


class ProgressLine:
    """Tells how far something is; a subclass counts, and gives `line`.

    Parameters
    ----------
    stream : text file, optional
        Standard error if not given.
    clock : callable
        Seconds.
    quiet : bool
        Tell nothing.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic, quiet: bool = False
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal, self._clock, self._quiet = self._stream.isatty(), clock, quiet
        self._every_s = ON_TERMINAL_S if self._terminal else ELSEWHERE_S
        self._told = clock()

    def line(self) -> str:
        """How far it is, in words."""
        raise NotImplementedError

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

    def clear(self) -> None:
        """Take the line off the terminal, so that another can be written."""
        if self._terminal and not self._quiet:
            self._stream.write(CLEAR)
            self._stream.flush()


class Counting(ProgressLine):
    """Counts what is read or written; a context manager, which takes its line off the terminal.

    Parameters
    ----------
    what : str
        Is counted.
    of : int
        How many there are; 0 where that is not known.
    stream, clock, quiet
        See `ProgressLine`.
    """

    def __init__(
        self,
        what: str,
        of: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        quiet: bool = False,
    ) -> None:
        super().__init__(stream, clock, quiet)
        self._what, self._of, self._done = what, of, 0

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def at(self, done: int) -> None:
        """So many are done."""
        self._done = done
        self.tell()

    def more(self, done: int) -> None:
        """So many more are done."""
        self.at(self._done + done)

    def line(self) -> str:
        """How many, in words."""
        return f"{self._done:,}{f' of {self._of:,}' if self._of else ''} {self._what}"
