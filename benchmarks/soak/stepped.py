"""`biovita-edge` with a wall clock that another process sets, and sources in the network that may be ahead of it.

    python -m benchmarks.soak.stepped FILE listen - ...

Only root may set the clock of a machine, and a test should not change it. This process therefore adds to the machine's
wall clock the offset in FILE, which also says whether a time service has set the clock. Everything else is unchanged.
"""

from __future__ import annotations

import mmap
import struct
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import edgeapp.audio.microphones.network
import edgeapp.clock.system
from edgeapp.cli import main
from edgeapp.clock.sources import KERNEL, NONE, Judgement, Sources
from edgeapp.clock.system import Moment, SystemClock, boottime_s

FORMAT = struct.Struct("<d?")  # seconds that the wall clock is ahead, and whether it was set


def write(path: Path, ahead_s: float, clock_set: bool) -> None:
    """Set the clock of the processes that read this file."""
    with open(path, "r+b" if path.exists() else "wb") as file:
        file.write(FORMAT.pack(ahead_s, clock_set))


class SteppedClock(SystemClock):
    """The machine's clocks, with an offset wall clock."""

    path = Path()

    def __init__(self, sources: Sources = Sources()) -> None:
        super().__init__(sources)
        with open(self.path, "rb") as file:
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @property
    def judged(self) -> Judgement:
        """As the file says."""
        return Judgement(KERNEL if FORMAT.unpack_from(self._file)[1] else NONE, "by a file")

    def now(self) -> Moment:
        """The present moment, with the offset applied."""
        ahead_s, clock_set = FORMAT.unpack_from(self._file)
        utc = datetime.now(timezone.utc) + timedelta(seconds=ahead_s)
        return Moment(utc, boottime_s(), clock_set)


if __name__ == "__main__":
    SteppedClock.path = Path(sys.argv.pop(1))
    edgeapp.clock.system.SystemClock = SteppedClock  # type: ignore[misc]
    edgeapp.audio.microphones.network.RECEIVER = "benchmarks.soak.unpaced"
    main()
