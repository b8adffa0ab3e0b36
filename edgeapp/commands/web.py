"""``biovita-edge serve`` and ``biovita-edge web``: the page of a journal, and its password."""

from __future__ import annotations

import importlib.util
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
LIBRARIES = ("starlette", "uvicorn", "h11", "anyio", "python_multipart")

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
    from edgeapp.web.access import remove_password, write_password

    path = load(config).web.password_path
    if remove:
        remove_password(path)
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
    check_extra()
    from edgeapp.web.of_journal import page_of

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


def check_extra() -> None:
    """Check that the libraries of the page are there, some of which are only imported when a form is sent.

    Raises
    ------
    UsageError
    """
    for name in LIBRARIES:
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"the live page needs {name}", f"pip install 'biovita-edge[{EXTRA}]'")
