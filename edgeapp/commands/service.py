"""``biovita-edge service``: run the station as a systemd service."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import edgeapp
from edgeapp.board.machine import installed
from edgeapp.commands.options import ConfigOption
from edgeapp.commands.validation import check
from edgeapp.config.file import NAME as CONFIG_NAME
from edgeapp.config.load import config_path, load
from edgeapp.errors import OutputError, UsageError
from edgeapp.pack.installed import VARIABLE, pack_folders
from edgeapp.paths import PROGRAM
from edgeapp.service.unit import MARK, NAME, Unit
from edgeapp.terminal import say, tell
from gallery import files

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", help="Run the station as a systemd service.")

SYSTEM_FOLDER = Path("/etc/systemd/system")

System = Annotated[
    bool, typer.Option("--system/--user", help="System service, started at boot; or a service of the current user.")
]
RunAs = Annotated[
    str | None,
    typer.Option("--run-as", metavar="USER", help="User of a --system service; the current user if not given."),
]
Now = Annotated[bool, typer.Option("--now", help="Run the systemctl commands instead of printing them.")]


@app.command()
def install(system: System = False, config: ConfigOption = None, run_as: RunAs = None, now: Now = False) -> None:
    """Write the unit file and print how to start the service; with --now, start it."""
    unit = _unit(system, config, run_as)
    check(load(config))  # a service that could only fail is not written
    target = _folder(system) / NAME
    _refuse_foreign(target)
    try:
        files.write_text(target, unit.text(), parents=True)
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}", _remedy(system)) from None
    say(f"{target}: written")
    commands = [_systemctl(system, "daemon-reload"), _systemctl(system, "enable", "--now", NAME)]
    if not system:  # or it ends when the user logs out
        commands.append(["loginctl", "enable-linger"])
    _run_or_print(commands, now)


@app.command()
def uninstall(system: System = False, now: Now = False) -> None:
    """Remove the unit file and print how to stop the service; with --now, stop it."""
    target = _folder(system) / NAME
    if not target.exists():
        raise UsageError(f"{target}: does not exist", "give --system or --user, as when it was installed")
    _refuse_foreign(target)
    _run_or_print([_systemctl(system, "disable", "--now", NAME)], now)
    if now:
        _remove(target, system)
        _run_or_print([_systemctl(system, "daemon-reload")], now)
    else:
        # systemctl disable needs the file, so it goes last.
        _run_or_print([["rm", str(target)], _systemctl(system, "daemon-reload")], now)


@app.command()
def show(system: System = False, config: ConfigOption = None, run_as: RunAs = None) -> None:
    """Print the installed unit file, or the one that would be installed."""
    target = _folder(system) / NAME
    if target.is_file():
        tell(f"{target}:")
        typer.echo(target.read_text(encoding="utf-8"), nl=False)
        return
    tell(f"{target}: not installed; it would be:")
    typer.echo(_unit(system, config, run_as).text(), nl=False)


def _unit(system: bool, config: Path | None, run_as: str | None) -> Unit:
    user = (run_as or os.environ.get("SUDO_USER") or _own_name()) if system else None
    if run_as is not None and not system:
        raise UsageError("--run-as needs --system", "omit it; a user service runs as the current user")
    path, named = config_path(config, os.environ)
    if not named and user is not None and user != _own_name():
        path = _home(user) / ".config" / PROGRAM / CONFIG_NAME
    return Unit(
        interpreter=Path(os.path.abspath(sys.executable)),  # not resolved: a link of a virtual environment is meant
        config=path.absolute() if named or path.is_file() else None,
        user=user,
        path=None if installed() else Path(edgeapp.__file__).parent.parent,
        packs=pack_folders()[0] if os.environ.get(VARIABLE, "").strip() else None,
    )


def _folder(system: bool) -> Path:
    if system:
        return SYSTEM_FOLDER
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def _own_name() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _home(user: str) -> Path:
    import pwd

    try:
        return Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        raise UsageError(f"user {user!r} does not exist", "give another --run-as") from None


def _refuse_foreign(target: Path) -> None:
    if target.is_file() and not target.read_text(encoding="utf-8", errors="replace").startswith(MARK):
        raise UsageError(f"{target}: not written by biovita-edge", "move it away first")


def _remove(target: Path, system: bool) -> None:
    try:
        target.unlink()
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}", _remedy(system)) from None
    say(f"{target}: removed")


def _remedy(system: bool) -> str:
    return "run it with sudo" if system else "check the folder and its permissions"


def _systemctl(system: bool, *words: str) -> list[str]:
    return ["systemctl", *([] if system else ["--user"]), *words]


def _run_or_print(commands: list[list[str]], now: bool) -> None:
    for words in commands:
        line = " ".join(words)
        if not now:
            say(f"  {line}")
        elif shutil.which(words[0]) is None:
            raise UsageError(f"{words[0]} not found", f"omit --now, and run on a machine with it: {line}")
        else:
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                raise UsageError(f"`{line}` failed ({' '.join(done.stderr.split())})", "run it by hand")
            say(f"  {line}: done")
