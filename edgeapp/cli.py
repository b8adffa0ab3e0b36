"""``biovita-edge``: the command line.

Commands are imported when they are used, so that `identify` does not wait for a microphone library, nor any command but
`--help` for rich. Only results go to standard output; messages go to standard error, one line each.

Exit codes: 0 done; 1 some inputs failed (each named, the others done); 2 usage or configuration; 3 pack, gallery or
journal unusable; 128 and its number for a signal: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP, 141 a reader of standard output
that left.
"""

from __future__ import annotations

import functools
import gc
import importlib
import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

# Windows are processed in parallel already; OpenBLAS threads would only compete for the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from edgeapp import foreign, interruption
from edgeapp.commands import wrong_call
from edgeapp.errors import BiovitaError, OutputError
from edgeapp.paths import PROGRAM
from edgeapp.terminal import complain, flush_output, leave_output, open_standard_files

LEFT = 141  # as a shell tells of a program that SIGPIPE ended

# Command -> module:name of its function or of its own Typer, imported when the command is used or listed.
COMMANDS = {
    "identify": "edgeapp.commands.identify:identify",
    "archive": "edgeapp.commands.archive.group:app",
    "species": "edgeapp.commands.species:species",
    "gallery": "edgeapp.commands.gallery.gallery:app",
    "pack": "edgeapp.commands.pack:app",
    "collect": "edgeapp.commands.collect:collect",
    "listen": "edgeapp.commands.listen:listen",
    "devices": "edgeapp.commands.devices:devices",
    "journal": "edgeapp.commands.journal.microphones:app",
    "serve": "edgeapp.commands.web:serve",
    "web": "edgeapp.commands.web:app",
    "bench": "edgeapp.commands.bench:bench",
    "config": "edgeapp.commands.config:app",
    "service": "edgeapp.commands.service:app",
    "doctor": "edgeapp.commands.doctor:doctor",
}


@functools.cache
def command_of(name: str) -> Any:
    """A command of `COMMANDS`; typer reads the signature of its function, once where a process runs several."""
    module, member = COMMANDS[name].split(":")
    found = getattr(importlib.import_module(module), member)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        alone.command(name)(found)
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    return command


class Commands(TyperGroup):
    """Import a command when it is used; every error is one line and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or None if it does not exist."""
        if cmd_name not in COMMANDS:
            return None
        command = command_of(cmd_name)
        gc.enable()  # `edgeapp.__main__` loads without
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what typer would end with its own exit codes gets ours."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReaderLeft from None
        except KeyboardInterrupt:
            raise _Interrupted from None
        except Exception:
            if interruption.came():  # ONNX Runtime, interrupted while it is loaded, is said to be missing
                raise _Interrupted from None
            raise

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, report errors, and exit."""
        standalone_mode = extra.pop("standalone_mode", True)
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except BiovitaError as error:
            complain(str(error))
            code = error.exit_code
        except wrong_call.WrongCall as error:
            complain(wrong_call.line_of(error, PROGRAM))
            code = wrong_call.EXIT_CODE
        except (typer.Abort, _Interrupted, KeyboardInterrupt):
            complain("interrupted")
            code = interruption.exit_code()
        except (BrokenPipeError, _ReaderLeft):
            leave_output()
            code = LEFT
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


class _Interrupted(Exception):
    """A signal came while a command ran."""


class _ReaderLeft(Exception):
    """Whoever read standard output, or a pipe that is written to, has closed it."""


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Identify animals by sound, on device.",
)


@app.callback(invoke_without_command=True)
def _start(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show what libraries write on standard error as well.")
    ] = False,
) -> None:
    if verbose:
        foreign.show()
    if version:
        from edgeapp.board.machine import installed

        typer.echo(f"{PROGRAM} {installed() or '(not installed)'}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        ctx.get_help()  # printed by rich, which is imported here and for no command that runs


def main() -> NoReturn:
    """Run ``biovita-edge``."""
    open_standard_files()
    foreign.keep()
    interruption.install()
    try:
        code = _run()
    except KeyboardInterrupt:
        complain("interrupted")
        code = interruption.exit_code()
    finally:
        interruption.uninstall()  # nothing is left to clean up
        foreign.ended()
    sys.exit(code)


def _run() -> int:
    """The exit code of the command line, once its last output has arrived."""
    try:
        app(prog_name=PROGRAM)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    try:
        flush_output()
    except BrokenPipeError:
        code = LEFT
    except OutputError as error:
        if code != error.exit_code:  # else it was told when it happened
            complain(str(error))
        code = code or error.exit_code
    else:
        return code
    leave_output()
    return code
