"""Throughput, memory and safety of `biovita-edge archive`, beside `identify` on one large file.

    python benchmarks/archive.py                              100,000 recordings of a second, and 200 hours
    python benchmarks/archive.py --files 2000 --hours 2       a small one
    python benchmarks/archive.py --recordings FOLDER          with sound of one's own

The sound is real: the bundled example and, if given, recordings of a folder, cut and repeated. A few hundred seconds
and two hours are written; all other recordings are hard links to these, which `archive` hears as any other. So the disk
is spared, and its speed is not measured. Each command runs as a process of its own, one after the other. What it takes
to start is measured with one recording of a second and taken off. Throughput is windows in a second of the wall, and of
the processor: on a machine that others use, the latter is the figure to compare.

Memory is that of the command and its workers together, in each tenth of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from edgeapp.board.machine import machine  # noqa: E402

RATE_HZ = 48_000
DISTINCT = 200  # recordings of a second that are written; the others are links
MB = 1_000_000
EXAMPLE = PROJECT / "edgeapp" / "examples" / "example.flac"


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


def song(folder: Path | None, seconds: float) -> np.ndarray:
    """Real sound, ``[n]`` float32 at `RATE_HZ`: the example and the recordings of a folder, repeated."""
    from edgeapp.audio.file import load
    from edgeapp.errors import AudioError

    pieces, left = [], round(seconds * RATE_HZ)
    paths = [EXAMPLE, *(sorted(path for path in folder.rglob("*") if path.is_file()) if folder else ())]
    for path in paths:
        try:
            pieces.append(load(path, RATE_HZ, 0.0, 300.0)[:left])
        except AudioError:
            continue
        left -= len(pieces[-1])
        if left <= 0:
            break
    return np.resize(np.concatenate(pieces), round(seconds * RATE_HZ))


def make(folder: Path, sound: np.ndarray, seconds: float, distinct: int, n: int) -> Path:
    """Recordings of so many seconds, a few of which are written and the others linked; at most 1,000 in a folder."""
    import soundfile

    size = round(seconds * RATE_HZ)
    written: list[Path] = []
    for number in range(n):
        path = folder / f"{number // 1000:04}" / f"{number:06}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < distinct:
            first = number * size // 3 % max(1, len(sound) - size)
            soundfile.write(path, np.resize(np.roll(sound, -first), size), RATE_HZ, subtype="PCM_16")
            written.append(path)
        else:
            try:
                os.link(written[number % len(written)], path)
            except OSError:  # a file system without hard links, or too many of them
                shutil.copy(written[number % len(written)], path)
                written[number % len(written)] = path
    return folder


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


def identified(what: str, path: Path, pack: Sequence[str]) -> Measured:
    """`identify` on one large recording, by one thread."""
    from edgeapp.audio.file import FileSource

    output = path.with_suffix(".json")
    wall_s, cpu_s, _ = run(["identify", str(path), "-f", "json", "-o", str(output), "--threads", "1", "-q", *pack])
    windows = len(json.loads(output.read_text(encoding="utf-8"))["windows"])
    return Measured(what, windows, FileSource(path).duration_s or 0.0, wall_s, cpu_s)


def archived(
    what: str,
    folder: Path,
    results: Path,
    words: Sequence[str],
    meanwhile: Callable[[subprocess.Popen[bytes]], None] = lambda process: None,
) -> Measured:
    """`archive` on a folder of recordings."""
    import pyarrow.compute as pc

    from edgeapp.archive.dataset import DataSet

    wall_s, cpu_s, memory = run(["archive", str(folder), "-o", str(results), "-q", *words], meanwhile)
    files = DataSet(results).table("files", ["n_windows", "duration_s"])
    return Measured(
        what, pc.sum(files["n_windows"]).as_py(), pc.sum(files["duration_s"]).as_py(), wall_s, cpu_s, memory
    )


def same(one: Path, other: Path) -> bool:
    """Whether two results hold the same detections of the same recordings."""
    from edgeapp.archive.dataset import DataSet

    columns = ["source_file", "start_s", "end_s", "taxon_scientific_name", "confidence"]
    order = [(column, "ascending") for column in columns]
    return bool(
        DataSet(one).table("detections", columns).sort_by(order)
        == DataSet(other).table("detections", columns).sort_by(order)
    )


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


def table(measured: Sequence[Measured]) -> str:
    """What was measured, as Markdown."""
    lines = [
        "| command | sound | windows | time | processor | windows per processor second | times real time | memory |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in measured:
        memory = f"{one.memory_mb[1]:.0f} to {one.memory_mb[-1]:.0f} MB" if one.memory_mb else ""
        lines.append(
            f"| {one.what} | {one.sound_s / 3600:.2f} h | {one.windows:,} | {one.wall_s:.1f} s | {one.cpu_s:.1f} s "
            f"| {one.windows_per_cpu_s:.1f} | {one.sound_s / one.wall_s:,.0f} | {memory} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Throughput, memory and safety of `biovita-edge archive`.")
    parser.add_argument("--files", type=int, default=100_000, help="recordings of a second")
    parser.add_argument("--hours", type=float, default=200, help="hours of long recordings")
    parser.add_argument("--minutes", type=float, default=60.0, help="of each of these")
    parser.add_argument("--recordings", type=Path, help="folder of recordings whose sound is taken as well")
    parser.add_argument("--pack", help="folder or name of the pack; the best one installed if not given")
    parser.add_argument("--without-ray", action="store_true", help="leave out the runs with Ray")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    chosen = parser.parse_args(arguments)
    if chosen.files < 1 or chosen.hours <= 0 or chosen.minutes <= 0:
        parser.error("--files, --hours and --minutes must be more than 0")
    pack = ["--pack", chosen.pack] if chosen.pack else []
    n_long, each = max(1, round(chosen.hours * 60 / chosen.minutes)), f"{chosen.minutes:g} min"
    one, two = ["--workers", "1", *pack], ["--workers", "2", *pack]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sound = song(chosen.recordings, 600.0)
        seconds = make(folder / "seconds", sound, 1.0, min(DISTINCT, chosen.files), chosen.files)
        hours = make(folder / "hours", sound, 60 * chosen.minutes, min(2, n_long), n_long)
        large = next(hours.rglob("*.wav"))
        short_one = make(folder / "one", sound, 1.0, 1, 1)
        start = identified("", next(short_one.rglob("*.wav")), pack)
        measured = [identified(f"identify, one of {each}", large, pack).less(start)]
        start = archived("", short_one, folder / "s", one)
        measured.append(archived(f"archive, {chosen.files:,} of 1 s", seconds, folder / "a", one).less(start))
        measured.append(archived(f"archive, {n_long:,} of {each}", hours, folder / "b", one).less(start))
        measured.append(archived(f"archive, {n_long:,} of {each}, 2 workers", hours, folder / "c", two).less(start))
        identify, short, long, double = measured
        checks: dict[str, float | bool] = {
            "1 s: windows per processor second, of identify's": (short.windows_per_cpu_s / identify.windows_per_cpu_s),
            "1 s: windows per second, of identify's": short.windows_per_s / identify.windows_per_s,
            "long: windows per processor second, of identify's": (long.windows_per_cpu_s / identify.windows_per_cpu_s),
            "long: windows per second, of identify's": long.windows_per_s / identify.windows_per_s,
            "two workers: times one": long.wall_s / double.wall_s,
            "two workers: same detections": same(folder / "b", folder / "c"),
            "1 s: memory of the last tenth, of the second": short.memory_mb[-1] / short.memory_mb[1],
        }
        if not chosen.without_ray:
            killer = Killer(2)
            words = [*two, "--ray", "local"]
            measured.append(archived("archive, 2 workers of Ray, one killed twice", hours, folder / "d", words, killer))
            checks["Ray: kills"] = 2 - killer.left
            checks["Ray: same detections"] = same(folder / "b", folder / "d")
    on = machine()
    if chosen.json:
        print(json.dumps({"machine": on, "runs": [asdict(run) for run in measured], "checks": checks}, indent=2))
        return
    print(f"{on['cpu']}, {on['cores']} cores, {on['system']}, Python {on['python']}.\n")
    print(table(measured), "\n")
    for name, value in checks.items():
        print(f"- {name}: {value if isinstance(value, bool) else f'{value:.2f}'}")


if __name__ == "__main__":
    main()
