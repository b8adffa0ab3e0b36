"""What a person reads, one line at a time: results on standard output, all else on standard error.

Names come from galleries, journals, file systems and devices, and may hold what steers a terminal. So lines for people
go through `say` and `tell`; JSON and CSV, which are for programs, do not.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress

from edgeapp.errors import OutputError
from edgeapp.file_names import printable
from edgeapp.paths import PROGRAM

STDIN, STDOUT, STDERR = 0, 1, 2


def say(line: object) -> None:
    """Print a line of a result; letters that would steer a terminal or end the line are replaced."""
    print(printable(str(line)))


def tell(line: str) -> None:
    """Print a line; letters that would steer a terminal or end it are replaced."""
    with suppress(OSError):  # nobody is left to tell
        print(printable(line), file=sys.stderr, flush=True)


def complain(line: str) -> None:
    """Print a line that begins with the name of the program, as errors and notes do."""
    tell(f"{PROGRAM}: {line}")


def silent(line: str) -> None:
    """Tell nothing: what `tell` and `complain` are with ``--quiet``."""


def open_standard_files() -> None:
    """See to it that the numbers of standard input, output and error are theirs, and that a lost result is an error.

    A program may be started with one of them closed. The next file that it opens would get the number, and whatever is
    printed would go into that file.
    """
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            # Standard output is for reading alone: what is written to it fails.
            os.open(os.devnull, os.O_WRONLY if number == STDERR else os.O_RDONLY)
    if sys.stderr is None:
        sys.stderr = open(STDERR, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    # Files and pipes hold UTF-8 in every locale, a terminal shows the letters that it has.
    encoding = sys.stdout.encoding if os.isatty(STDOUT) and sys.stdout is not None else "utf-8"
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_StandardOutput(STDOUT, "w", closefd=False)),
        encoding=encoding,
        errors="replace",
        line_buffering=os.isatty(STDOUT),
        write_through=getattr(sys.stdout, "write_through", False),
    )
    if hasattr(sys.stderr, "reconfigure"):
        sys.stderr.reconfigure(errors="replace", encoding=None if os.isatty(STDERR) else "utf-8")


def flush_output() -> None:
    """Write what standard output still has.

    Raises
    ------
    OutputError
        It cannot be written.
    BrokenPipeError
        Its reader has left.
    """
    sys.stdout.flush()


def leave_output() -> None:
    """Nobody takes what standard output still has: Python's own last flush goes nowhere."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, STDOUT)
        os.close(null)


def counted(n: int, one: str, many: str = "") -> str:
    """A number and what it counts: "1 detection", "12,345 detections", "2 taxa"."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def duration(seconds: float) -> str:
    """A time in words that a person takes in: "45 s", "12 min", "7 h 40 min", "12 days"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{seconds / 86400:,.0f} days"


def size(n_bytes: float) -> str:
    """A number of bytes in words: "512 kB", "1.2 TB"."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if n_bytes < 999.5:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} PB"


class _StandardOutput(io.FileIO):
    """Standard output whose failures are errors with a remedy, whoever prints."""

    def write(self, data: object) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = "it is closed" if error.errno == errno.EBADF else error.strerror or error
            raise OutputError(f"standard output: cannot be written ({reason})", "check where it goes") from None
