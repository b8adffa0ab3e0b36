"""``biovita-edge``: the command line.

Commands are imported when they are used, so that naming a recording does not wait for a microphone library. Results go
to standard output and nothing else does; everything told to a person goes to standard error, one line each.

Exit codes: 0 done; 1 some inputs failed (each named, the others done); 2 usage or configuration; 3 pack, gallery or
journal unusable; 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

# Windows are worked on side by side already. Threads of OpenBLAS, which NumPy starts when it is first imported, would
# only take the cores from one another, for products too small to share.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from edgeapp.errors import BiovitaError, UsageError

PROGRAM = "biovita-edge"
INTERRUPTED = 130
STDIN = "-"

# Command -> module:name of its function or of its own Typer, imported when the command is used or listed.
COMMANDS = {
    "identify": "edgeapp.cli:identify",
    "gallery": "edgeapp.gallery_commands:app",
    "pack": "edgeapp.pack_commands:app",
    "listen": "edgeapp.listen:listen",
    "journal": "edgeapp.journal.export_command:app",
    "bench": "edgeapp.bench_command:bench",
    "config": "edgeapp.config.commands:app",
    "service": "edgeapp.service.commands:app",
    "doctor": "edgeapp.doctor.command:doctor",
}

# Every wrong call by a person: typer keeps the class out of its public names but not out of the parents of this one.
_CallError: Any = typer.BadParameter.__bases__[0].__bases__[0]


class Commands(TyperGroup):
    """Import a command when it is asked for, and end every error as one line and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or None when there is no such."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        found = getattr(importlib.import_module(module), name)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(cmd_name)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, tell errors, and exit."""
        standalone_mode = extra.pop("standalone_mode", True)
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except BiovitaError as error:
            complain(str(error))
            code = error.exit_code
        except _CallError as error:
            where = error.ctx.command_path if getattr(error, "ctx", None) is not None else PROGRAM
            complain(f"{' '.join(error.format_message().split()).rstrip('.')}; see {where} --help")
            code = 2
        except typer.Abort:
            code = INTERRUPTED
        except BrokenPipeError:
            _leave_the_pipe()
            code = 1
        if code == INTERRUPTED:
            complain("interrupted")
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Name the animals in recordings and at the microphone, on this device.",
)


def complain(text: str) -> None:
    """One line for a person."""
    print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)


@app.callback(invoke_without_command=True)
def _start(
    ctx: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False
) -> None:
    if version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            typer.echo(f"{PROGRAM} {installed(PROGRAM)}")
        except PackageNotFoundError:
            typer.echo(f"{PROGRAM} (not installed)")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def identify(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Recordings: WAV, FLAC, OGG, MP3; - is raw sound.")
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="table, json, ndjson, csv, raven, audacity or kaleidoscope.", metavar="FORMAT"
        ),
    ] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here, whole or not at all, instead of on the screen.")
    ] = None,
    top: Annotated[int, typer.Option("--top", "-k", help="Species told per recording and window.", min=1)] = 5,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help='Keep to this taxon, at any rank: "Aves", "Parus". May be given again.'),
    ] = None,
    hop: Annotated[float, typer.Option("--hop", help="Seconds between windows.")] = 5.0,
    pack: Annotated[
        Path | None, typer.Option("--pack", help="Folder of the pack; the starter pack if not given.")
    ] = None,
    gallery: Annotated[
        Path | None, typer.Option("--gallery", help="Gallery file; the pack's own if not given.")
    ] = None,
    kinds: Annotated[
        str | None, typer.Option("--kinds", help="Gallery entries to match: text,image,audio or some of them.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Threads of the encoder.", min=1)] = None,
    provider: Annotated[
        str | None,
        typer.Option("--provider", help="What runs the encoder: auto, cpu, cuda, tensorrt, engine or engine-fp16."),
    ] = None,
    pcm_format: Annotated[
        str, typer.Option("--pcm-format", help="Samples of raw sound: s16le, s24le, s32le or f32le.")
    ] = "s16le",
    pcm_rate: Annotated[int, typer.Option("--pcm-rate", help="Rate of raw sound, in Hz.", min=1)] = 48_000,
    pcm_channels: Annotated[int, typer.Option("--pcm-channels", help="Channels of raw sound.", min=1)] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes on standard error, only errors.")] = False,
) -> None:
    """Name the species in recordings.

    One JSON document per file with --format json; one event per line with ndjson; BirdNET's columns with csv. With
    raven, audacity and kaleidoscope, one table of all files, a row for each window with a decision; the times of raven
    and audacity run on over the files, as if they were one.
    """
    from edgeapp.audio.file import FileSource
    from edgeapp.audio.pcm import PcmSource
    from edgeapp.identify import Sound
    from edgeapp.identify import identify as identify_files
    from edgeapp.outputs.writer import Destination, writer
    from edgeapp.pack import Pack
    from edgeapp.pipeline import Recogniser

    if not 0 < hop < float("inf"):
        raise UsageError(f"a hop of {hop:g} s goes nowhere", "give --hop more than 0 seconds")

    if files.count(STDIN) > 1:
        raise UsageError("standard input can be heard once", "give - once")
    pipe = PcmSource(sys.stdin.buffer, pcm_rate, pcm_channels, pcm_format) if STDIN in files else None

    if output is not None and any(_same_file(output, file) for file in files):
        raise UsageError(f"{output}: is one of the recordings", "name another file with --output")

    with Destination(output) as destination:
        writing = writer(format, destination.out)
        recogniser = Recogniser(
            Pack.load(pack), gallery, only or (), kinds.split(",") if kinds is not None else None, threads, provider
        )

        def open_sound(file: str) -> Sound:
            return pipe if pipe is not None and file == STDIN else FileSource(file)

        note = _silent if quiet else complain
        outcome = identify_files(files, recogniser, writing, hop, top, note, complain, open_sound)
        destination.keep = outcome.done > 0
    if len(files) > 1 and not quiet:
        complain(f"{outcome.done} of {len(files)} files done, {outcome.failed} failed")
    raise typer.Exit(outcome.exit_code)


def _same_file(one: Path, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False  # one of them is not there, which is for others to say


def _silent(text: str) -> None:
    """Tell nobody."""


def _leave_the_pipe() -> None:
    """Whoever read our output has gone; give Python's last flush somewhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> NoReturn:
    """Run ``biovita-edge``; every error ends as one line on standard error and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a species must not be lost to a terminal without its letters
    try:
        app(prog_name=PROGRAM)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(INTERRUPTED)
    sys.exit(0)
