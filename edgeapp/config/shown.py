"""All settings as a person or a program reads them, secrets hidden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeapp.audio.microphones.addresses import redacted
from edgeapp.config.file import described, toml_value
from edgeapp.config.secrets import HIDDEN
from edgeapp.config.setting import Setting
from edgeapp.config.settings import SECTIONS, SETTINGS, THRESHOLD, Settings
from edgeapp.file_names import readable, text_of


def shown(setting: Setting, value: Any) -> Any:
    """The value of a setting for JSON, secrets and log-ins hidden."""
    if setting.secret and value not in (None, ()):
        return HIDDEN
    if setting.address:
        value = tuple(map(redacted, value))
    if isinstance(value, tuple):
        return [text_of(one) if isinstance(one, Path) else one for one in value]
    return text_of(value) if isinstance(value, Path) else value


def as_json(settings: Settings) -> str:
    """Every setting with its value, origin and description."""
    told: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for setting in SETTINGS:
        told[setting.section][setting.name] = {
            "value": shown(setting, settings.value(setting)),
            "origin": readable(settings.origin(setting)),
            "help": described(setting),
        }
    told[THRESHOLD.section] = {
        taxon: {"value": value, "origin": settings.origins[f"{THRESHOLD.section}.{taxon}"]}
        for taxon, value in settings.thresholds.items()
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def as_toml(settings: Settings, long: bool = False) -> str:
    """A file of settings, with the origin of each; `long` with their descriptions."""
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
            lines.append(f"{line:<40} # {readable(settings.origin(setting))}")
    if settings.thresholds:
        lines += ["", f"[{THRESHOLD.section}]"]
    for taxon, value in settings.thresholds.items():
        line = f"{toml_value(taxon)} = {toml_value(value)}"
        lines.append(f"{line:<40} # {settings.origins[f'{THRESHOLD.section}.{taxon}']}")
    return "\n".join(lines[1:])
