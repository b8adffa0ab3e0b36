"""``biovita-edge serve`` and ``biovita-edge web``: the page of a journal, and its password."""

from __future__ import annotations

import signal
import sys
from typing import Annotated, Any

import typer

from edgeapp.commands.options import ConfigOption
from edgeapp.config.flags import with_settings
from edgeapp.config.load import load
from edgeapp.config.settings import Settings
from edgeapp.errors import UsageError
from edgeapp.terminal import tell

EXTRA = "web"
LIBRARIES = ("starlette", "uvicorn", "jinja2", "multipart", "python_multipart", "tomlkit", "anyio")

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", help="Set the password of the live page.")


@app.callback()
def _group() -> None:
    """Keep `password` a command of a group."""


@app.command()
def password(
    config: ConfigOption = None,
    from_stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the password from standard input, for scripts.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the password.")] = False,
) -> None:
    """Set the password of the live page. Only its scrypt hash is kept, in a file that its owner alone may read."""
    from edgeapp.web.access import write_password

    path = load(config).web.password_path
    if remove:
        path.unlink(missing_ok=True)
        tell(f"{path}: removed; the page is for this machine alone")
        return
    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
    else:
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    write_password(path, given)
    tell(f"{path}: written; it counts from the next start of the page")


@with_settings
def serve(settings: Settings) -> None:
    """Serve the page of a journal, while its station runs elsewhere or not at all. Ctrl-C stops.

    `biovita-edge listen --web` serves it with live sound.
    """
    try:
        from edgeapp.web.of_journal import page_of
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    with page_of(settings) as server:
        handlers: dict[int, Any] = {}

        def stop(number: int, frame: Any) -> None:
            for one, before in handlers.items():
                signal.signal(one, before)
            server.close()

        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, stop)
            handlers[number] = before if callable(before) else signal.SIG_DFL
        tell(f"page at {server.url}; Ctrl-C stops")
        server.run()


def missing_extra(error: ModuleNotFoundError) -> Exception:
    """What a missing library of the page means; the error itself for any other library."""
    if (error.name or "").partition(".")[0] not in LIBRARIES:
        return error
    return UsageError(f"the live page needs {error.name}", f"pip install 'biovita-edge[{EXTRA}]'")
