"""``biovita-edge config``: show and check settings, and create a settings file."""

from __future__ import annotations

import os
from enum import Enum
from typing import Annotated

import typer

from edgeapp.commands.config_change import assignments, change
from edgeapp.commands.options import ConfigOption
from edgeapp.commands.validation import loaded
from edgeapp.config.file import example
from edgeapp.config.load import config_path, examine
from edgeapp.config.shown import as_json, as_toml
from edgeapp.errors import OutputError
from edgeapp.station.validation import validated
from edgeapp.terminal import say, tell

app = typer.Typer(
    add_completion=False, rich_markup_mode="markdown", help="Show, check and create the settings of the station."
)


class Format(str, Enum):
    """Output format."""

    TOML = "toml"
    JSON = "json"


@app.command()
def show(
    config: ConfigOption = None,
    format: Annotated[Format, typer.Option("--format", "-f", metavar="toml|json", help="Output format.")] = Format.TOML,
    long: Annotated[
        bool,
        typer.Option("--long", "-l", help="Also print the description, flag and environment variable of each setting."),
    ] = False,
) -> None:
    """Show every setting with its value and origin. Secrets are hidden."""
    loaded = examine(config)
    text = as_json(loaded.settings) if format is Format.JSON else as_toml(loaded.settings, long)
    typer.echo(text)
    for fault in loaded.faults:
        tell(str(fault))
    if loaded.faults:
        raise typer.Exit(2)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check the settings as `listen` does before it starts; every error is one line."""
    faults = validated(loaded(config)).faults
    for fault in faults:
        tell(str(fault))
    path = config_path(config, os.environ)[0]
    if faults:
        raise typer.Exit(2)
    say(f"{path}: {'all settings are valid' if path.is_file() else 'does not exist; every setting has its default'}")


KeysArgument = Annotated[
    list[str], typer.Argument(metavar="KEY...", help="Settings: clips.pre_roll, thresholds.TAXON.")
]


@app.command("set", context_settings={"ignore_unknown_options": True})  # numbers below 0
def set_(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="Settings and their values, or KEY VALUE; a value of - is read from standard input.",
        ),
    ],
    config: ConfigOption = None,
) -> None:
    """Change settings in the settings file, whose comments are kept, and tell the station that runs with it.

    Says whether the change takes effect now or waits for the next start. A secret is read from standard input only.
    """
    raise typer.Exit(change(config, assignments(words)))


@app.command()
def unset(keys: KeysArgument, config: ConfigOption = None) -> None:
    """Remove settings from the settings file, so that their defaults count, and tell the station."""
    raise typer.Exit(change(config, dict.fromkeys(keys)))


@app.command()
def path(config: ConfigOption = None) -> None:
    """Print the path of the settings file."""
    say(config_path(config, os.environ)[0])


@app.command()
def init(config: ConfigOption = None) -> None:
    """Create a settings file with every setting as a comment. An existing file is not changed."""
    target = config_path(config, os.environ)[0]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # It may come to hold a password.
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(example())
    except FileExistsError:
        raise OutputError(f"{target}: exists already", "edit it, or choose another with --config") from None
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}", "choose another with --config") from None
    say(f"{target}: written; remove the '#' before a setting to change it")
