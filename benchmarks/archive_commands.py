"""Commands of `biovita-edge` as processes, with their time and memory; workers of Ray that are killed meanwhile."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MB = 1_000_000


@dataclass(frozen=True)
class Measured:
    """A command, from start to end."""

    what: str
    windows: int
    sound_s: float
    wall_s: float
    cpu_s: float
    memory_mb: tuple[float, ...] = field(default=())

    def less(self, start: Measured) -> Measured:
        """Without what the command takes to start."""
        wall_s, cpu_s = self.wall_s - start.wall_s, self.cpu_s - start.cpu_s
        return replace(self, wall_s=max(wall_s, 1e-3), cpu_s=max(cpu_s, 1e-3))

    @property
    def windows_per_cpu_s(self) -> float:
        """Windows in a second of the processor."""
        return self.windows / self.cpu_s

    @property
    def windows_per_s(self) -> float:
        """Windows in a second of the wall."""
        return self.windows / self.wall_s


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}


def processes(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in below:
        yield from processes(int(child))


def memory_mb(pid: int) -> float:
    """Resident memory of a command and its workers."""
    total = 0
    for one in processes(pid):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * resource.getpagesize()
        except (OSError, IndexError):
            continue
    return total / MB


def run(words: Sequence[str], meanwhile: Callable[[subprocess.Popen[bytes]], None] = lambda process: None) -> tuple:
    """Run `biovita-edge` once: seconds of the wall and of the processor, and memory every half second."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeapp", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment()
    )
    memory = []
    while process.poll() is None:
        memory.append(memory_mb(process.pid))
        meanwhile(process)
        time.sleep(0.5)
    wall_s = time.perf_counter() - began
    assert process.stderr is not None
    told = process.stderr.read().decode(errors="replace")
    if process.returncode:
        raise SystemExit(f"biovita-edge {' '.join(words)} failed:\n{told}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    tenths = [max(memory[len(memory) * n // 10 : max(len(memory) * (n + 1) // 10, 1)] or [0.0]) for n in range(10)]
    return wall_s, cpu_s, tuple(tenths)


class Killer:
    """Kills a busy worker of Ray, so many times, each time after a while."""

    def __init__(self, times: int, every_s: float = 5.0) -> None:
        self.left, self._every_s, self._next = times, every_s, time.monotonic() + every_s
        self._killed: set[int] = set()

    def __call__(self, process: subprocess.Popen[bytes]) -> None:
        """Kill one, if it is time to."""
        if self.left and time.monotonic() >= self._next and (busy := self._busy(process.pid)):
            os.kill(busy[0], signal.SIGKILL)
            self._killed.add(busy[0])
            self.left -= 1
            self._next = time.monotonic() + self._every_s

    def _busy(self, pid: int) -> list[int]:
        found = []
        for one in processes(pid):
            try:
                words = Path(f"/proc/{one}/cmdline").read_bytes()
            except OSError:
                continue
            if b"ray::_Actor.hear" in words and one not in self._killed:
                found.append(one)
        return found
