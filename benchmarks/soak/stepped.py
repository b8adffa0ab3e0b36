"""`biovita-edge` with a wall clock that another process sets; everything else is unchanged.

    python -m benchmarks.soak.stepped FILE listen - ...

Only root may set the clock of a machine, and a test should not change it. This process therefore adds to the machine's
wall clock the offset in FILE, which also says whether a time service has set the clock.
"""

from __future__ import annotations

import mmap
import struct
import sys
from datetime import timedelta
from pathlib import Path

import edgeapp.commands.listen
from edgeapp.cli import main
from edgeapp.clock.system import Moment, SystemClock

FORMAT = struct.Struct("<d?")  # seconds that the wall clock is ahead, and whether it was set


def write(path: Path, ahead_s: float, clock_set: bool) -> None:
    """Set the clock of the processes that read this file."""
    with open(path, "r+b" if path.exists() else "wb") as file:
        file.write(FORMAT.pack(ahead_s, clock_set))


class SteppedClock(SystemClock):
    """The machine's clocks, with an offset wall clock."""

    path = Path()

    def __init__(self) -> None:
        with open(self.path, "rb") as file:
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def now(self) -> Moment:
        """The present moment, with the offset applied."""
        now = super().now()
        ahead_s, clock_set = FORMAT.unpack_from(self._file)
        return Moment(now.utc + timedelta(seconds=ahead_s), now.boottime_s, clock_set)


if __name__ == "__main__":
    SteppedClock.path = Path(sys.argv.pop(1))
    edgeapp.commands.listen.SystemClock = SteppedClock  # type: ignore[misc]
    main()
