"""``biovita-edge config``: see the settings, check their file, make one."""

from __future__ import annotations

import json
import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeapp.config.file import described, example, toml_value
from edgeapp.config.load import config_path, examine, missing
from edgeapp.config.setting import Setting
from edgeapp.config.settings import SECTIONS, SETTINGS, THRESHOLD, Settings
from edgeapp.errors import OutputError
from edgeapp.terminal import tell

app = typer.Typer(
    add_completion=False, rich_markup_mode="markdown", help="See, check and make the settings of the station."
)

HIDDEN = "(hidden)"

Config = Annotated[
    Path | None, typer.Option("--config", metavar="PATH", help="File of settings; the user's own if not given.")
]


class Format(str, Enum):
    """How settings are shown."""

    TOML = "toml"
    JSON = "json"


@app.command()
def show(
    config: Config = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="toml or json.")] = Format.TOML,
    long: Annotated[
        bool, typer.Option("--long", "-l", help="Also print what each is, its flag and its variable.")
    ] = False,
) -> None:
    """Show every setting, its value, and where it came from. Secrets are hidden."""
    loaded = examine(config)
    text = _json(loaded.settings) if format is Format.JSON else _toml(loaded.settings, long)
    typer.echo(text)
    for fault in loaded.faults:
        tell(str(fault))
    if loaded.faults:
        raise typer.Exit(2)


@app.command()
def check(config: Config = None) -> None:
    """Tell everything that is wrong with the settings, one line each."""
    loaded = examine(config)
    faults = [*loaded.faults, *missing(loaded.settings)]
    for fault in faults:
        tell(str(fault))
    path = config_path(config, os.environ)[0]
    if faults:
        raise typer.Exit(2)
    typer.echo(
        f"{path}: {'all settings can be used' if path.is_file() else 'is not there, every setting is at its default'}"
    )


@app.command()
def path(config: Config = None) -> None:
    """Print which file of settings is read."""
    typer.echo(config_path(config, os.environ)[0])


@app.command()
def init(config: Config = None) -> None:
    """Write a file with every setting as a comment, to be filled in. A file that is there is left alone."""
    target = config_path(config, os.environ)[0]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # It may come to hold a password.
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(example())
    except FileExistsError:
        raise OutputError(f"{target}: is there already", "edit it, or name another with --config") from None
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}", "name another with --config") from None
    typer.echo(f"{target}: written; remove the '#' before a setting to change it")


def shown(setting: Setting, value: Any) -> Any:
    """The value of a setting as JSON can hold it, secrets hidden."""
    if setting.secret and value not in (None, ()):
        return HIDDEN
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
