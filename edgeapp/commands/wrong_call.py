"""A wrong call of a command, as one line; every program of the project ends with it and exit code 2."""

from __future__ import annotations

import functools
from typing import Any

import typer

from edgeapp.terminal import tell
from gallery.errors import BiovitaError

# Every wrong call by a person: typer keeps the class out of its public names but not out of the parents of this one.
WrongCall: Any = typer.BadParameter.__bases__[0].__bases__[0]
EXIT_CODE = 2
INTERRUPTED = 130  # what typer makes of Ctrl-C


def line_of(error: Any, program: str) -> str:
    """What was wrong, and where the help is.

    Parameters
    ----------
    error : WrongCall
    program : str
        Names the help where the error does not say which command it is about.

    Returns
    -------
    str
        Empty where the help itself was the answer.
    """
    message = " ".join(error.format_message().split()).rstrip(".")
    where = error.ctx.command_path if getattr(error, "ctx", None) is not None else program
    return f"{message}; see {where} --help" if message else ""


@functools.cache
def commands_of(app: typer.Typer) -> Any:
    """The commands of a program; typer reads the signatures of its functions, once where a process runs several."""
    return typer.main.get_command(app)


def run(app: typer.Typer, program: str) -> int:
    """Run the commands of a program; every error of a user is one line on standard error. The exit code."""
    try:
        return commands_of(app)(prog_name=program, standalone_mode=False) or 0
    except BiovitaError as error:
        tell(f"error: {error}")
        return error.exit_code
    except WrongCall as error:
        if line := line_of(error, program):
            tell(f"error: {line}")
        return EXIT_CODE
