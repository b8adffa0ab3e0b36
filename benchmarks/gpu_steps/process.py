"""Run a step in a separate process, so that a crash, hang or kill does not affect the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from benchmarks.gpu_steps.plan import Settings
from benchmarks.gpu_steps.result import StepResult, read_rows

PROJECT = Path(__file__).resolve().parents[2]
POLL_S = 0.2
TOLD = 300  # maximum length of the last line


def environment(settings: Settings, packages: Path) -> dict[str, str]:
    """Environment of a step: imports the project and the unpacked packages, caches engines in the work folder.

    Parameters
    ----------
    packages : folder that `wheels.unpack` filled
    """
    paths = [str(packages), str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "XDG_CACHE_HOME": str(settings.work / "cache"),
        "HF_HUB_OFFLINE": "1",  # weights are random: nothing is downloaded
    }


def run_step(
    result: StepResult, settings: Settings, given: dict[str, str], log: Path, seen: Callable[[], None]
) -> None:
    """Run a step within its time limit; `result` is updated while it runs, and its status is set at the end.

    Parameters
    ----------
    given : environment
    log : output of the step is appended to it
    seen : called whenever a row has changed
    """
    path = settings.work / f"{result.name}.json"
    path.unlink(missing_ok=True)
    words = [sys.executable, "-m", "benchmarks.gpu_steps", result.name, settings.to_json(), str(path), str(os.getpid())]
    began, reason = time.monotonic(), ""
    with log.open("ab") as said:
        at = said.tell()
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=given, start_new_session=True
        )
        try:
            while process.poll() is None:
                result.seconds = time.monotonic() - began
                if result.seconds > result.limit_s:
                    reason = f"stopped after {result.limit_s:.0f} s, the time limit of the step"
                    break
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_S)
                if (rows := read_rows(path)) != result.rows:
                    result.rows = rows
                    seen()
        except BaseException:
            reason = "interrupted"
            raise
        finally:
            end(process)
            result.seconds, result.rows = time.monotonic() - began, read_rows(path)
            result.settle(reason or ended(process.returncode, log, at))
            seen()


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, such as decoding workers."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ended(code: int, log: Path, at: int) -> str:
    """Why a process failed, with the last line of its output; empty if it did not."""
    if code == 0:
        return ""
    with log.open("rb") as file:
        file.seek(at)
        last = last_line(file)
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"{how} ({last})" if last else how


def last_line(file: IO[bytes]) -> str:
    """The last line with text in it."""
    lines: Iterable[str] = file.read().decode(errors="replace").splitlines()
    return next((line.strip()[:TOLD] for line in reversed(list(lines)) if line.strip()), "")
