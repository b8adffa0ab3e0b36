"""The language of common names for commands that have no other settings: a flag, else what the station is set to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gallery.names_table import ENGLISH


def language_of(given: str | None, environment: Mapping[str, str] | None = None, config: Path | None = None) -> str:
    """The tag of a language: the one given, else the setting ``station.language``.

    A file of settings with a fault is not this command's concern: what can be read of it counts.
    """
    from edgeapp.config.load import config_path, examine

    environment = os.environ if environment is None else environment
    if given is not None:
        return given
    path, _ = config_path(config, environment)
    if not path.is_file() and "BIOVITA_STATION_LANGUAGE" not in environment:
        return ENGLISH
    return examine(config, environment=environment).settings.station.language
