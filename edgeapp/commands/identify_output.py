"""The output file of `identify`: what it must not be, adding to it, and how to go on after an interruption."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgeapp import interruption
from edgeapp.archive.files import MOST_COUNTED, Outcome
from edgeapp.archive.inputs import Found, Refused
from edgeapp.archive.lists import LIST
from edgeapp.audio.names import is_recording
from edgeapp.config.panels import OUTPUT
from edgeapp.errors import BiovitaError, OutputError, UsageError
from edgeapp.file_names import printable
from edgeapp.outputs.writer import APPENDED, check_format
from edgeapp.terminal import counted

AppendOption = Annotated[
    bool,
    typer.Option("--append", help="Add to the output file instead of replacing it.", rich_help_panel=OUTPUT),
]
BeginOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Pass over the recordings before this one, to go on after an interruption.",
        rich_help_panel=OUTPUT,
    ),
]


class EndedEarly(BiovitaError):
    """A run that was stopped; what was done until then is kept."""

    def __init__(self, what: str, remedy: str, exit_code: int) -> None:
        super().__init__(what, remedy)
        self.exit_code = exit_code


def check_output(files: Sequence[str], format: str, output: Path | None, report: Path | None, append: bool) -> None:
    """Check where results go.

    Raises
    ------
    UsageError
        There is no such format, an output is a file that was named as an input or the other output, or nothing can be
        added to the output.
    """
    for option, path in (("--output", output), ("--report", report)):
        if path is not None and any(_is_among(path, file) for file in files):
            raise UsageError(f"{path}: is one of the recordings", f"choose another {option}")
    if report is not None and output is not None and os.path.realpath(report) == os.path.realpath(output):
        raise UsageError(f"{report}: is --output as well", "choose another --report")
    check_format(format)
    if append and output is None:
        raise UsageError("--append needs an output file", "give --output")
    if append and format not in APPENDED:
        raise UsageError(
            f"--append: the times of {format} run on over all recordings of one call",
            f"use --format {', '.join(APPENDED)}, or give all recordings at once",
        )


def beginning_with(first: str | None, found: Iterator[Found | Refused]) -> Iterator[Found | Refused]:
    """What was found from a recording on; all of it where none is given.

    Raises
    ------
    UsageError
        It was not found.
    """
    if first is not None:
        for one in found:
            if first in (one.path, printable(one.path)):  # as a message names it
                yield one
                break
        else:
            raise UsageError(f"--from {first}: is not one of the recordings", "give it as it was told")
    yield from found


def ended_early(outcome: Outcome, format: str, output: Path | None) -> BiovitaError:
    """What to tell of a run that was stopped: what was done, where it is, and how to go on."""
    if isinstance(outcome.stopped, OutputError) and not outcome.written:
        return outcome.stopped
    if isinstance(outcome.stopped, OutputError):
        said, exit_code = outcome.stopped.what, outcome.stopped.exit_code
        remedies = [outcome.stopped.remedy]
    else:
        exit_code = interruption.exit_code()
        said = f"interrupted ({signal.Signals(exit_code - interruption.BY_SIGNAL).name})"
        remedies = []
    if outcome.left is None:
        said += f": {counted(outcome.done, 'file')} done, others were still being listed"
    else:
        more = "more than " if outcome.left > MOST_COUNTED else ""
        said += f": {outcome.done} of {more}{outcome.given + outcome.left} files done"
    if outcome.failed:
        said += f", {outcome.failed} failed"
    if outcome.last is not None:
        said += f", the last {outcome.last}"
    options = []
    if outcome.last is not None:
        options.append(f"--from {shlex.quote(outcome.next)}" if outcome.next is not None else "the files after it")
    if outcome.written and output is not None:
        said += f"; their results are in {output}"
        options.append("--append" if format in APPENDED else "another --output")
    if options:
        remedies.append(f"to go on, give the same call with {' and '.join(options)}")
    return EndedEarly(printable(said), printable("; ".join(remedies) or "run it again"), exit_code)


def _is_among(path: Path, given: str) -> bool:
    """Whether a file is a recording or list that was given, or a recording in a folder that was."""
    if not os.path.isdir(given):
        return _same_file(path, given) or _same_file(path, given.removeprefix(LIST))
    real = Path(os.path.realpath(path))
    return real.is_file() and is_recording(real.name) and real.is_relative_to(os.path.realpath(given))


def _same_file(one: Path, other: str | Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False  # a missing file is reported when it is opened
