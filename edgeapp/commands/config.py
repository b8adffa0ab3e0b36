"""``biovita-edge config``: show and check settings, and create a settings file."""

from __future__ import annotations

import json
import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeapp.audio.addresses import redacted
from edgeapp.commands.options import ConfigOption
from edgeapp.commands.validation import loaded
from edgeapp.config.file import described, example, toml_value
from edgeapp.config.load import config_path, examine
from edgeapp.config.setting import Setting
from edgeapp.config.settings import SECTIONS, SETTINGS, THRESHOLD, Settings
from edgeapp.errors import OutputError
from edgeapp.station.validation import validated
from edgeapp.terminal import say, tell

app = typer.Typer(
    add_completion=False, rich_markup_mode="markdown", help="Show, check and create the settings of the station."
)

HIDDEN = "(hidden)"


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
    text = _json(loaded.settings) if format is Format.JSON else _toml(loaded.settings, long)
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


def shown(setting: Setting, value: Any) -> Any:
    """The value of a setting for JSON, secrets and log-ins hidden."""
    if setting.secret and value not in (None, ()):
        return HIDDEN
    if setting.address:
        value = tuple(map(redacted, value))
    if isinstance(value, tuple):
        return [str(one) if isinstance(one, Path) else one for one in value]
    return str(value) if isinstance(value, Path) else value


def _json(settings: Settings) -> str:
    told: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for setting in SETTINGS:
        told[setting.section][setting.name] = {
            "value": shown(setting, settings.value(setting)),
            "origin": settings.origin(setting),
            "help": described(setting),
        }
    told[THRESHOLD.section] = {
        taxon: {"value": value, "origin": settings.origins[f"{THRESHOLD.section}.{taxon}"]}
        for taxon, value in settings.thresholds.items()
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _toml(settings: Settings, long: bool) -> str:
    lines = []
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        for setting in SETTINGS:
            if setting.section != section:
                continue
            if long:
                flag = f"{setting.flag}; " if setting.flag else ""
                lines.append(f"# {described(setting)} {flag}{setting.variable}")
            value = shown(setting, settings.value(setting))
            line = f"{setting.name} = {toml_value('' if value is None else value)}"
            lines.append(f"{line:<40} # {settings.origin(setting)}")
    if settings.thresholds:
        lines += ["", f"[{THRESHOLD.section}]"]
    for taxon, value in settings.thresholds.items():
        line = f"{toml_value(taxon)} = {toml_value(value)}"
        lines.append(f"{line:<40} # {settings.origins[f'{THRESHOLD.section}.{taxon}']}")
    return "\n".join(lines[1:])
