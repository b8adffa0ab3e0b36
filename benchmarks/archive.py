"""Throughput, memory and safety of `biovita-edge archive`, beside `identify` on one large file.

    python benchmarks/archive.py                              100,000 recordings of a second, and 200 hours
    python benchmarks/archive.py --files 2000 --hours 2       a small one
    python benchmarks/archive.py --recordings FOLDER          with sound of one's own
    python benchmarks/archive.py --folder FOLDER --only two   in parts; the next command goes on in the folder

It has four parts: `seconds` (recordings of a second), `one` (long recordings, one worker), `two` (the same with two
workers) and `ray` (the same with two workers of Ray, one killed twice). Each command begins with `identify` on one
large recording and compares its parts with that. How many times as fast two workers are as one is a ratio of windows
per second within one command: without `one`, one worker hears a tenth of the hours right before, for the ratio alone.
With `--folder` recordings, results and figures are kept: a part that was measured there is not measured again, one
that was cut off is started anew.

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
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.archive_commands import Killer, Measured, run  # noqa: E402
from edgeapp.board.machine import machine  # noqa: E402

RATE_HZ = 48_000
PARTS = ("seconds", "one", "two", "ray")
DISTINCT = 200  # recordings of a second that are written; the others are links
EXAMPLE = PROJECT / "edgeapp" / "examples" / "example.flac"


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

    from edgeapp.archive.results.dataset import DataSet

    wall_s, cpu_s, memory = run(["archive", str(folder), "-o", str(results), "-q", *words], meanwhile)
    files = DataSet(results).table("files", ["n_windows", "duration_s"])
    return Measured(
        what, pc.sum(files["n_windows"]).as_py(), pc.sum(files["duration_s"]).as_py(), wall_s, cpu_s, memory
    )


def found(results: Path) -> tuple[dict[str, list], int]:
    """Detections of each recording, by what it holds, and the number of recordings; links must be heard alike."""
    from edgeapp.archive.results.dataset import DataSet

    files = DataSet(results).table("files", ["file", "sha256"]).to_pylist()
    columns = ["source_file", "start_s", "end_s", "taxon_scientific_name", "confidence"]
    heard: dict[str, list] = {row["file"]: [] for row in files}
    for row in DataSet(results).table("detections", columns).to_pylist():
        heard[row["source_file"]].append(tuple(row[column] for column in columns[1:]))
    by_content: dict[str, list] = {}
    for row in files:
        detections = sorted(heard[row["file"]])
        if by_content.setdefault(row["sha256"], detections) != detections:
            raise SystemExit(f"{results}: recordings with the same sound have other detections: {row['file']}")
    return by_content, len(files)


def same(one: Path, other: Path, n: int) -> bool:
    """Whether the other holds all recordings, and the detections that the one has for the same sound."""
    (expected, _), (detections, n_files) = found(one), found(other)
    return detections == expected and n_files == n


@dataclass(frozen=True)
class Part:
    """What was measured of a part, with what it is compared with."""

    runs: tuple[Measured, ...]
    checks: dict[str, float | bool]


class Benchmark:
    """The parts, with the recordings they share."""

    def __init__(self, folder: Path, chosen: argparse.Namespace) -> None:
        self._folder, self._pack = folder, ["--pack", chosen.pack] if chosen.pack else []
        self._n, self._each = chosen.files, f"{chosen.minutes:g} min"
        self._n_long = max(1, round(chosen.hours * 60 / chosen.minutes))
        self._n_ratio = max(min(2, self._n_long), self._n_long // 10)
        self._long_one: Measured | None = None
        sound = song(chosen.recordings, 600.0)
        sizes = {"start": (1.0, 1, 1), "seconds": (1.0, min(DISTINCT, self._n), self._n)}
        sizes["hours"] = (60 * chosen.minutes, min(2, self._n_long), self._n_long)
        sizes["ratio"] = (60 * chosen.minutes, min(2, self._n_long), self._n_ratio)
        for name in ["start", "hours", "ratio", *(["seconds"] if "seconds" in chosen.only else [])]:
            shutil.rmtree(folder / name, ignore_errors=True)
            make(folder / name, sound, *sizes[name])
        start = identified("", next((folder / "start").rglob("*.wav")), self._pack)
        large = next((folder / "hours").rglob("*.wav"))
        self._identify = identified(f"identify, one of {self._each}", large, self._pack).less(start)
        self._start = self._archived("", "start", "start results", 1)

    def part(self, name: str) -> Part:
        """Measure a part."""
        return {"seconds": self._seconds, "one": self._one, "two": self._two, "ray": self._ray}[name]()

    def _archived(
        self, what: str, recordings: str, results: str, workers: int, words: Sequence[str] = (), *killer: Killer
    ) -> Measured:
        shutil.rmtree(self._folder / results, ignore_errors=True)
        words = ["--workers", str(workers), *self._pack, *words]
        return archived(what, self._folder / recordings, self._folder / results, words, *killer)

    def _compared(self, name: str, run: Measured) -> dict[str, float | bool]:
        return {
            f"{name}: windows per processor second, of identify's": (
                run.windows_per_cpu_s / self._identify.windows_per_cpu_s
            ),
            f"{name}: windows per second, of identify's": run.windows_per_s / self._identify.windows_per_s,
        }

    def _seconds(self) -> Part:
        what = f"archive, {self._n:,} of 1 s"
        run = self._archived(what, "seconds", "seconds results", 1).less(self._start)
        checks = self._compared("1 s", run)
        checks["1 s: memory of the last tenth, of the second"] = run.memory_mb[-1] / run.memory_mb[1]
        return Part((self._identify, run), checks)

    def _one(self) -> Part:
        what = f"archive, {self._n_long:,} of {self._each}"
        self._long_one = self._archived(what, "hours", "one results", 1).less(self._start)
        return Part((self._identify, self._long_one), self._compared("long", self._long_one))

    def _beside(self) -> tuple[Measured, Path]:
        """One worker in the same command, on some of the long recordings if need be, and its results."""
        if self._long_one is not None:
            return self._long_one, self._folder / "one results"
        what = f"archive, {self._n_ratio:,} of {self._each}"
        return self._archived(what, "ratio", "ratio results", 1).less(self._start), self._folder / "ratio results"

    def _two(self) -> Part:
        one, results = self._beside()
        what = f"archive, {self._n_long:,} of {self._each}, 2 workers"
        run = self._archived(what, "hours", "two results", 2).less(self._start)
        checks = self._compared("two workers", run)
        checks["two workers: times one"] = run.windows_per_s / one.windows_per_s
        checks["two workers: windows"] = run.windows
        checks["two workers: windows of the one beside it"] = one.windows
        checks["two workers: same detections"] = same(results, self._folder / "two results", self._n_long)
        return Part((self._identify, one, run), checks)

    def _ray(self) -> Part:
        one, results = self._beside()
        killer = Killer(2)
        what = f"archive, {self._n_long:,} of {self._each}, 2 workers of Ray, one killed twice"
        run = self._archived(what, "hours", "ray results", 2, ["--ray", "local"], killer)
        checks: dict[str, float | bool] = {"Ray: kills": 2 - killer.left}
        checks["Ray: same detections"] = same(results, self._folder / "ray results", self._n_long)
        return Part((self._identify, one, run), checks)


class Kept:
    """Parts that were measured in a folder, with what they were measured for."""

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        self._path, self._settings = folder / "measured.json", settings
        self.parts: dict[str, Part] = {}
        if not self._path.exists():
            return
        kept = json.loads(self._path.read_text(encoding="utf-8"))
        if kept["settings"] != settings:
            raise SystemExit(f"{folder}: holds a benchmark of other sizes ({kept['settings']}); choose another folder")
        for name, part in kept["parts"].items():
            runs = tuple(Measured(**{**run, "memory_mb": tuple(run["memory_mb"])}) for run in part["runs"])
            self.parts[name] = Part(runs, part["checks"])

    def add(self, name: str, part: Part) -> None:
        """Keep one more, on disk before anything else is measured."""
        self.parts[name] = part
        parts = {name: asdict(part) for name, part in self.parts.items()}
        unfinished = self._path.with_suffix(".part")
        unfinished.write_text(json.dumps({"settings": self._settings, "parts": parts}, indent=2), encoding="utf-8")
        unfinished.replace(self._path)


def measure(folder: Path, chosen: argparse.Namespace) -> dict[str, Part]:
    """Measure the parts that are asked for and not yet in the folder; all that are in it then."""
    folder.mkdir(parents=True, exist_ok=True)
    recordings = str(chosen.recordings) if chosen.recordings else None
    settings = {"files": chosen.files, "hours": chosen.hours, "minutes": chosen.minutes, "pack": chosen.pack}
    kept = Kept(folder, {**settings, "recordings": recordings})
    if missing := [name for name in chosen.only if name not in kept.parts]:
        benchmark = Benchmark(folder, chosen)
        for name in missing:
            kept.add(name, benchmark.part(name))
    return {name: kept.parts[name] for name in PARTS if name in kept.parts}


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


def parts(words: str) -> list[str]:
    """Names of parts, separated by commas, in the order in which they are measured."""
    names = words.split(",")
    if unknown := sorted(set(names) - set(PARTS)):
        raise argparse.ArgumentTypeError(f"no part {', '.join(unknown)!r}; there are {', '.join(PARTS)}")
    return [name for name in PARTS if name in names]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Throughput, memory and safety of `biovita-edge archive`.")
    parser.add_argument("--files", type=int, default=100_000, help="recordings of a second")
    parser.add_argument("--hours", type=float, default=200, help="hours of long recordings")
    parser.add_argument("--minutes", type=float, default=60.0, help="of each of these")
    parser.add_argument("--recordings", type=Path, help="folder of recordings whose sound is taken as well")
    parser.add_argument("--pack", help="folder or name of the pack; the best one installed if not given")
    parser.add_argument(
        "--only", type=parts, default=list(PARTS), metavar="PARTS", help=f"some of {','.join(PARTS)} (default: all)"
    )
    parser.add_argument("--folder", type=Path, help="keep recordings, results and figures here, and go on with them")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    chosen = parser.parse_args(arguments)
    if chosen.files < 1 or chosen.hours <= 0 or chosen.minutes <= 0:
        parser.error("--files, --hours and --minutes must be more than 0")
    with tempfile.TemporaryDirectory() as temporary:
        measured = measure(chosen.folder or Path(temporary), chosen)
    runs = list(dict.fromkeys(run for part in measured.values() for run in part.runs))
    checks = {name: value for part in measured.values() for name, value in part.checks.items()}
    on = machine()
    if chosen.json:
        print(json.dumps({"machine": on, "runs": [asdict(run) for run in runs], "checks": checks}, indent=2))
        return
    print(f"{on['cpu']}, {on['cores']} cores, {on['system']}, Python {on['python']}.\n")
    print(table(runs), "\n")
    for name, value in checks.items():
        print(f"- {name}: {f'{value:.2f}' if isinstance(value, float) else value}")


if __name__ == "__main__":
    main()
