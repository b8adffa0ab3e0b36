"""Options of a command made from the table of settings, so that a flag cannot differ from what the file says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from edgeapp.config.load import load
from edgeapp.config.panels import OF_SECTION
from edgeapp.config.setting import Setting
from edgeapp.config.settings import SETTINGS, THRESHOLD, Settings

Result = TypeVar("Result")

CONFIG_HELP = "File of settings; config.toml in the user's folder of settings if not given."


def with_settings(command: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command an option for each setting that has a flag, and ``--config``.

    Parameters
    ----------
    command : callable
        Has a parameter ``settings: Settings``, which is filled from flags, environment, file and defaults. Its other
        parameters stay as they are; none may have None as its default, of which Python 3.10 makes another annotation.

    Returns
    -------
    callable
        For typer. Raises `ConfigError` in the place of the command when a setting cannot be used.
    """
    own = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    if hints.get("settings") is not Settings:
        raise TypeError(f"{command} has no parameter `settings: Settings`")
    parameters = [
        parameter.replace(annotation=hints[name]) for name, parameter in own.parameters.items() if name != "settings"
    ]
    if any(parameter.default is None for parameter in parameters):
        raise TypeError(f"{command} has a parameter with None as its default")
    options = {_parameter(setting): setting for setting in (*SETTINGS, THRESHOLD) if setting.flag}
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters += [
        inspect.Parameter(name, keyword, default=None, annotation=_annotation(setting))
        for name, setting in options.items()
    ]
    config = Annotated[Path | None, typer.Option("--config", metavar="PATH", help=CONFIG_HELP)]
    parameters.append(inspect.Parameter("config", keyword, default=None, annotation=config))

    def called(*args: Any, **given: Any) -> Result:
        flags = {setting.key: given.pop(name, None) for name, setting in options.items()}
        settings = load(given.pop("config", None), {key: value for key, value in flags.items() if value is not None})
        return command(*args, settings=settings, **given)

    # typer asks for both; the names of the parameters exist nowhere else.
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    called.__name__, called.__doc__, called.__module__ = command.__name__, command.__doc__, command.__module__
    return called


def _parameter(setting: Setting) -> str:
    return f"{setting.section}_{setting.name}".lower()


def _annotation(setting: Setting) -> Any:
    several = setting.many and not setting.commas
    if several or setting is THRESHOLD:
        kind: Any = list[str] | None
    elif setting.many:
        kind = str | None
    elif setting.type in (bool, int, float) and not (setting.optional and setting.type is not bool):
        kind = setting.type | None
    else:
        kind = str | None
    names = [f"{setting.flag}/--no-{setting.flag[2:]}"] if setting.type is bool else [setting.flag]
    names += [setting.short] if setting.short else []
    option = typer.Option(
        *names,
        help=_help(setting),
        metavar=_metavar(setting),
        rich_help_panel=setting.panel or OF_SECTION[setting.section],
    )
    return Annotated[kind, option]


def _help(setting: Setting) -> str:
    default = setting.default
    if default is None or default == () or isinstance(default, bool) and not default:
        return _sentence(setting)
    shown = f"{default:g}" if isinstance(default, float) else default
    return f"{_sentence(setting)} [default: {shown}]"


def _sentence(setting: Setting) -> str:
    if setting.choices:
        return f"{setting.help.rstrip('.')}: {', '.join(setting.choices)}." if ":" not in setting.help else setting.help
    return f"{setting.help.rstrip('.')}; {setting.bounds}." if setting.bounds else setting.help


def _metavar(setting: Setting) -> str | None:
    if setting.type is bool:
        return None
    words = {int: "NUMBER", float: "NUMBER", Path: "PATH"}
    return ("NAME|FOLDER" if setting.pack else setting.metavar) or (
        "|".join(setting.choices) if len(setting.choices) in (2, 3, 4) else words.get(setting.type, "TEXT")
    )
