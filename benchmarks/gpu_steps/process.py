"""A step in a process of its own, which may crash, hang or be killed without harm to the others."""

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
TOLD = 300  # characters of a last line


def environment(settings: Settings, packages: Path) -> dict[str, str]:
    """The environment of a step: the project and the unpacked packages are found, engines are kept in the work folder.

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
        "HF_HUB_OFFLINE": "1",  # random weights: nothing is fetched
    }


def run_step(
    result: StepResult, settings: Settings, given: dict[str, str], log: Path, seen: Callable[[], None]
) -> None:
    """Run a step, for at most its time; `result` is filled as it goes on, and settled.

    Parameters
    ----------
    given : environment
    log : what the step says is added to it
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
                    reason = f"stopped after {result.limit_s:.0f} s, its share of the time"
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
    """End a process and those that it started, such as those that decode."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ended(code: int, log: Path, at: int) -> str:
    """Why a process did not come to its end, with the last line that it said; nothing when it did."""
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
