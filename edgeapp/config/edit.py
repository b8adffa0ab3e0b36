"""Changing the settings file: comments, order and everything that is not changed stay as a person wrote them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeapp.config.load import config_path, examine
from edgeapp.config.settings import SECTIONS, SETTINGS, THRESHOLD, Settings
from edgeapp.config.values import ConfigError, Fault
from edgeapp.errors import OutputError
from gallery import files
from gallery.errors import reason_of

HEAD = "# Settings of biovita-edge; `biovita-edge config show --long` lists all of them.\n"


def change(
    settings: Settings,
    values: Mapping[str, Any],
    thresholds: Mapping[str, float | None],
    check: Callable[[Settings], Sequence[Fault]] = lambda settings: (),
) -> Settings:
    """Change settings in their file, and give all of them as they are then.

    The file is not touched when what would be in it is wrong. What flags have set stays as they have set it.

    Parameters
    ----------
    settings : Settings
        As they are now.
    values : Mapping
        `Setting.key` to a value that its row of the table takes; None removes the line.
    thresholds : Mapping
        Taxon to minimum confidence; None removes it.
    check : callable, optional
        More that can be wrong with settings.

    Raises
    ------
    ConfigError
        A value is wrong, or wrong together with another one.
    OutputError
        The file cannot be written.
    """
    import tomlkit

    path = settings.file or config_path(None, os.environ)[0]
    try:
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else HEAD
        document = tomlkit.parse(text)
        for key, value in values.items():
            section, _, name = key.partition(".")
            _set(document, section, name, value)
        for taxon, least in thresholds.items():
            _set(document, THRESHOLD.section, taxon, least)
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.temporary_for(path) as part:
            if not path.is_file():
                os.chmod(part, 0o600)  # it may come to hold a password
            part.write_text(tomlkit.dumps(document), encoding="utf-8")
            # Beside its target, so that relative paths in it mean the same.
            loaded = examine(part)
            for fault in (*loaded.faults, *check(loaded.settings)):
                raise replace(fault, where=fault.where.replace(str(part), str(path))).error()
            if path.is_symlink():  # the file that it leads to is the one to change
                with files.replacing(path.resolve()) as real:
                    real.write_bytes(part.read_bytes())
            else:
                files.put_in_place(part, path)
    except (OSError, tomlkit.exceptions.TOMLKitError) as error:
        reason = reason_of(error)
        raise OutputError(f"{path}: cannot be changed ({reason})", "check the file and the free space") from error
    return reloaded(settings, path)


def reloaded(settings: Settings, path: Path | None = None) -> Settings:
    """The settings from their file and the environment, as they are now; those that flags have set stay.

    Raises
    ------
    ConfigError
    """
    file = path or settings.file
    if file is not None and file.exists() and not file.is_file():  # a pipe would be waited for
        raise ConfigError(f"{file}: is no regular file, and can be read once only", "start with --config and a file")
    loaded = examine(file)
    if loaded.faults:
        raise loaded.faults[0].error(len(loaded.faults) - 1)
    new = loaded.settings
    origins = dict(new.origins)
    sections: dict[str, dict[str, Any]] = {}
    for setting in SETTINGS:
        if settings.origin(setting).startswith("flag "):
            sections.setdefault(setting.section, {})[setting.name] = settings.value(setting)
            origins[setting.key] = settings.origin(setting)
    thresholds = dict(new.thresholds)
    for taxon, least in settings.thresholds.items():
        origin = settings.origins.get(f"{THRESHOLD.section}.{taxon}", "")
        if origin.startswith("flag "):
            thresholds[taxon] = least
            origins[f"{THRESHOLD.section}.{taxon}"] = origin
    changed = {section: replace(getattr(new, section), **given) for section, given in sections.items()}
    return replace(new, **changed, thresholds=thresholds, origins=origins)


def _set(document: Any, section: str, name: str, value: Any) -> None:
    if section not in (*SECTIONS, THRESHOLD.section):
        raise KeyError(section)
    if value is None:
        if section in document and name in document[section]:
            del document[section][name]
        return
    if section not in document:
        document[section] = {}
    if isinstance(value, tuple):
        value = [str(one) if isinstance(one, Path) else one for one in value]
    document[section][name] = str(value) if isinstance(value, Path) else value
