"""Benchmark of everything that runs on a GPU: training, encoders and engines, on one card in a few minutes.

    python benchmarks/gpu.py --out runs/gpu                    # needs a CUDA device
    python benchmarks/gpu.py --out runs/gpu --wheels wheels    # a machine without a network
    python benchmarks/gpu.py --out runs/gpu --device cpu --tiny

Each step runs in a separate process with a share of the time; a step that fails, hangs or crashes is reported, and the
others still run. `gpu.json`, `gpu.md` and `gpu.log` in the folder `--out` are updated after every row, so that an
interrupted run keeps its results. The project need not be installed.

Exit status: 0 if all steps succeeded; 1 if one failed, if nothing was measured, or, on a GPU, if a step was skipped
because a package is missing (select the others with `--steps` if that is intended); 2 usage error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from benchmarks.gpu_steps.plan import NAMES, Settings, Step, chosen, limit_s, missing, sounds_in  # noqa: E402
from benchmarks.gpu_steps.process import environment, run_step  # noqa: E402
from benchmarks.gpu_steps.result import DONE, FAILED, SKIPPED, StepResult, markdown  # noqa: E402
from benchmarks.gpu_steps.wheels import unpack  # noqa: E402


class Run:
    """All steps of one run, and the result files."""

    def __init__(self, steps: Sequence[Step], settings: Settings, out: Path, notes: Sequence[str]) -> None:
        self.steps, self.settings, self.out = steps, settings, out
        self.results = [StepResult(step.name, step.title, "waiting") for step in steps]
        self.about: dict[str, Any] = {
            "device": settings.device,
            "size": "tiny" if settings.tiny else "full",
            "begun": datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        }
        self.notes = list(notes)

    def go(self, seconds: float, packages: Path) -> None:
        """Run the steps one after the other."""
        log, given = self.out / "gpu.log", environment(self.settings, packages)
        log.write_bytes(b"")
        ends = time.monotonic() + seconds
        for row, (step, result) in enumerate(zip(self.steps, self.results, strict=True)):
            if lacks := missing(step):
                result.status, result.reason = SKIPPED, f"{', '.join(lacks)} missing"
            else:
                result.status = "running"
                result.limit_s = limit_s(step, self.steps[row:], max(0.0, ends - time.monotonic()))
                say(f"{step.name}: {step.title}, {result.limit_s:.0f} s at most")
                run_step(result, self.settings, given, log, self.write)
            told = f": {result.reason}" if result.reason else ""
            say(f"{step.name}: {result.status} in {result.seconds:.0f} s{told}")
            self.write()

    def write(self) -> None:
        """Update both result files."""
        for row in self.results[0].rows[:1] if self.results[0].name == "card" else ():
            if row.status == DONE:
                self.about["card"] = row.figures["seen"]
        steps = [asdict(result) for result in self.results]
        document = {**self.about, "notes": self.notes, "exit_status": self.status(), "steps": steps}
        replace_text(self.out / "gpu.json", json.dumps(document, indent=2) + "\n")
        replace_text(self.out / "gpu.md", self.table())

    def table(self) -> str:
        """The Markdown table."""
        return markdown(self.results, self.about)

    def status(self) -> int:
        """The exit status."""
        states = [result.status for result in self.results]
        wrong = {FAILED, SKIPPED} if self.settings.device == "cuda" else {FAILED}
        return int(bool(wrong & set(states)) or DONE not in states or not set(states) <= {DONE, SKIPPED})


def replace_text(path: Path, text: str) -> None:
    """Write a file atomically."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def say(line: str) -> None:
    """Print a line on standard error."""
    print(line, file=sys.stderr, flush=True)


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Parse and check the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of gpu.json, gpu.md and gpu.log")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="smallest sizes: a functional test, not a measurement")
    parser.add_argument("--steps", default=",".join(NAMES), help=f"of {', '.join(NAMES)}; all if not given")
    parser.add_argument("--minutes", type=float, default=8.0, help="time for all steps together (default: %(default)g)")
    parser.add_argument(
        "--wheels", type=Path, action="append", default=[], help="folder of wheels to take packages from; repeatable"
    )
    parser.add_argument(
        "--recordings",
        type=Path,
        help="folder of sound files, and of photos; if not given, the starter data beside the project, "
        "else synthetic sounds",
    )
    parser.add_argument("--work", type=Path, help="cache folder of packs and engines; a temporary one if not given")
    asked = parser.parse_args(words)
    if not asked.minutes > 0:
        parser.error("--minutes must be greater than 0")
    for folder in (*asked.wheels, *filter(None, [asked.recordings])):
        if not folder.is_dir():
            parser.error(f"{folder}: not a folder")
    if asked.recordings and not sounds_in(asked.recordings):
        parser.error(f"{asked.recordings}: contains no sound files")
    try:
        asked.steps = chosen(asked.steps.split(","))
    except ValueError as error:
        parser.error(str(error))
    return asked


def interrupted(number: int, frame: object) -> None:
    """Signal handler for both signals."""
    raise KeyboardInterrupt


def main(words: Sequence[str] | None = None) -> int:
    """Run the steps, and return the exit status."""
    asked = arguments(words)
    for number in (signal.SIGINT, signal.SIGTERM):  # shells start background jobs with SIGINT ignored
        signal.signal(number, interrupted)
    began = time.monotonic()
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpu-")))
        packages = temporary / "packages"
        work = (asked.work or temporary / "work").resolve()
        recordings = asked.recordings.resolve() if asked.recordings else None
        for folder in (asked.out, work, packages):
            folder.mkdir(parents=True, exist_ok=True)
        notes = unpack(asked.wheels, packages) if asked.wheels else []
        sys.path.insert(0, str(packages))
        for step in asked.steps:
            if lacks := missing(step):
                notes.append(f"{', '.join(lacks)} missing: the step {step.name} ({step.title}) is skipped")
        for note in notes:
            say(note)
        run = Run(asked.steps, Settings(asked.device, asked.tiny, recordings, work), asked.out, notes)
        try:
            run.go(60.0 * asked.minutes - (time.monotonic() - began), packages)
        except KeyboardInterrupt:
            say(f"interrupted; the results so far are in {asked.out}")
            return 130
        finally:
            run.write()
            print(run.table())
    return run.status()


if __name__ == "__main__":
    sys.exit(main())
