"""The TOML settings file: its path, parsing, and an example.

A file is read to its end: `read` gives every fault in it, so that a person repairs them all at once. Relative paths in
it start at its own folder, since a service has no folder of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeapp.config.setting import Setting
from edgeapp.config.settings import SECTIONS, SETTINGS, THRESHOLD
from edgeapp.config.values import BadValue, Fault, from_toml, near
from edgeapp.paths import config_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "config.toml"


@dataclass
class FileValues:
    """What a file sets, and what is wrong with it.

    Attributes
    ----------
    values : dict
        `Setting.key` -> value.
    thresholds : dict
        Taxon -> minimum confidence.
    faults : list of Fault
    """

    values: dict[str, Any] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def default_path() -> Path:
    """Where the file lies by default: the user's folder of settings."""
    return config_folder() / NAME


def read(path: Path, missing_is_fine: bool = False) -> FileValues:
    """Read a file of settings, to its end whatever is wrong with it."""
    found = FileValues()
    try:
        text = path.read_text(encoding="utf-8-sig")  # with the mark that some editors put before it, or without
    except FileNotFoundError:
        if not missing_is_fine:
            found.faults.append(
                Fault(
                    str(path), "is not there", "name another with --config, or make one with `biovita-edge config init`"
                )
            )
        return found
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        found.faults.append(Fault(str(path), str(reason), "make it a readable text file"))
        return found
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found.faults.append(Fault(str(path), f"is not TOML ({error})", "texts need quotes, lists need [ ]"))
        return found
    for section, table in document.items():
        if section not in (*SECTIONS, THRESHOLD.section):
            remedy = _section_of(section) or near(section, [*SECTIONS, THRESHOLD.section])
            found.faults.append(Fault(f"{path}: {section}", "unknown section", remedy))
        elif not isinstance(table, dict):
            found.faults.append(Fault(f"{path}: {section}", "is a section, not a value", f"write [{section}] above it"))
        elif section == THRESHOLD.section:
            _read_thresholds(path, table, found)
        else:
            _read_section(path, section, table, found)
    return found


def _read_section(path: Path, section: str, table: dict[str, Any], found: FileValues) -> None:
    known = {setting.name: setting for setting in SETTINGS if setting.section == section}
    for name, value in table.items():
        where = f"{path}: {section}.{name}"
        if name not in known:
            found.faults.append(Fault(where, "unknown setting", _section_of(name) or near(name, known)))
            continue
        try:
            found.values[known[name].key] = from_toml(known[name], value, path.parent.absolute())
        except BadValue as error:
            found.faults.append(Fault(where, error.what, error.remedy))


def _read_thresholds(path: Path, table: dict[str, Any], found: FileValues) -> None:
    for taxon, value in table.items():
        try:
            found.thresholds[taxon.strip()] = from_toml(THRESHOLD, _number(value), path.parent)
        except BadValue as error:
            found.faults.append(Fault(f'{path}: {THRESHOLD.section}."{taxon}"', error.what, error.remedy))


def _number(value: Any) -> Any:
    if isinstance(value, dict):  # Parus.major = 0.8 is a table in TOML
        raise BadValue("is a table", 'write the name in quotes: "Parus major" = 0.8')
    if value == "":
        raise BadValue("is empty", "write a number, or leave the line out")
    return value


def _section_of(name: str) -> str:
    """A remedy for a setting that stands in the wrong section, or above all of them."""
    sections = [setting.section for setting in SETTINGS if setting.name == name]
    return f"it belongs under {' or '.join(f'[{section}]' for section in sections)}" if sections else ""


def toml_value(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, (int, float)):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False)  # a basic string of TOML is a string of JSON


def example() -> str:
    """A file with every setting, each a comment with its default: it changes nothing until a line is uncommented."""
    return "\n".join(_example_lines()) + "\n"


def _example_lines() -> Iterator[str]:
    yield "# Settings of biovita-edge. Every line that starts with '#' is left at its default."
    yield "# Flags go before the environment, the environment before this file. Relative paths start at this folder."
    yield "# `biovita-edge config set` and SIGHUP have a running station read this file again."
    for section, kind in SECTIONS.items():
        yield ""
        yield f"# {(kind.__doc__ or '').strip()}"
        yield f"[{section}]"
        for setting in SETTINGS:
            if setting.section == section:
                yield f"# {described(setting)}"
                yield f"#{setting.name} = {toml_value(_shown_default(setting))}"
        if section == "detections":
            yield ""
            yield f"# {THRESHOLD.help.replace(' May be given again.', '')}"
            yield f"[{THRESHOLD.section}]"
            yield '#"Parus major" = 0.8'


def described(setting: Setting) -> str:
    """What a setting is, with what it may be."""
    limits = f"One of {', '.join(setting.choices)}." if setting.choices else ""
    limits = f"From {setting.bounds}." if " to " in setting.bounds else limits or setting.bounds.capitalize()
    limits = f"{limits.rstrip('.')}." if limits else ""
    return " ".join(part for part in (setting.help.replace(" May be given again.", ""), limits) if part)


def _shown_default(setting: Setting) -> Any:
    return "" if setting.default is None else setting.default
