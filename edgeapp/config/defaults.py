"""Defaults of commands from the settings of the station: language and location."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gallery.names_table import ENGLISH

if TYPE_CHECKING:
    from edgeapp.config.settings import Settings


def language_of(given: str | None, environment: Mapping[str, str] | None = None, config: Path | None = None) -> str:
    """The tag of a language: the one given, else the setting ``station.language``."""
    if given is not None:
        return given
    settings = _settings(environment, config, "BIOVITA_STATION_LANGUAGE")
    return ENGLISH if settings is None else settings.station.language


def station_place(
    environment: Mapping[str, str] | None = None, config: Path | None = None
) -> tuple[float, float] | None:
    """Latitude and longitude of the station, where its settings have them."""
    settings = _settings(environment, config, "BIOVITA_DETECTIONS_LATITUDE")
    return None if settings is None else settings.place


def _settings(environment: Mapping[str, str] | None, config: Path | None, variable: str) -> Settings | None:
    """The settings, where there is a file of them or the variable.

    A file with a fault is not this command's concern: what can be read of it counts.
    """
    from edgeapp.config.load import config_path, examine

    environment = os.environ if environment is None else environment
    path, _ = config_path(config, environment)
    if not path.is_file() and variable not in environment:
        return None
    return examine(config, environment=environment).settings
