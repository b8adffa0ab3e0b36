"""What a person reads on standard error, one line at a time; standard output belongs to results."""

from __future__ import annotations

import sys

from edgeapp.file_names import printable

PROGRAM = "biovita-edge"


def tell(line: str) -> None:
    """Print a line; letters that would steer a terminal or end it are replaced."""
    print(printable(line), file=sys.stderr, flush=True)


def complain(line: str) -> None:
    """Print a line that begins with the name of the program, as errors and notes do."""
    tell(f"{PROGRAM}: {line}")
