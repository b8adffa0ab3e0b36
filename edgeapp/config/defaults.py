"""Defaults of commands from the settings of the station: language and location."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.detections.sharing import EXACT
from edgeapp.paths import default_journal
from gallery.names_table import ENGLISH

if TYPE_CHECKING:
    from edgeapp.config.settings import Settings


def language_of(given: str | None, environment: Mapping[str, str] | None = None, config: Path | None = None) -> str:
    """The tag of a language: the one given, else the setting ``station.language``."""
    if given is not None:
        return given
    settings = _settings(environment, config, "BIOVITA_STATION_LANGUAGE")
    return ENGLISH if settings is None else settings.station.language


def share_location_of(environment: Mapping[str, str] | None = None, config: Path | None = None) -> str:
    """The setting ``station.share_location``."""
    settings = _settings(environment, config, "BIOVITA_STATION_SHARE_LOCATION")
    return EXACT if settings is None else settings.station.share_location


def station_place(
    environment: Mapping[str, str] | None = None, config: Path | None = None
) -> tuple[float, float] | None:
    """Latitude and longitude of the station, where its settings have them."""
    settings = _settings(environment, config, "BIOVITA_DETECTIONS_LATITUDE")
    return None if settings is None else settings.place


def learned_of(
    given: str | None, environment: Mapping[str, str] | None = None, config: Path | None = None
) -> tuple[Path | None, bool]:
    """The learned gallery that counts, there or not, and whether it was asked for.

    The one given, else that of the setting ``station.learned``, else that of the station's journal.
    """
    from edgeapp.recognition.learned import chosen

    settings = _settings(environment, config, "BIOVITA_STATION_JOURNAL", "BIOVITA_STATION_LEARNED")
    named = given or (None if settings is None else settings.station.learned)
    journal = None if settings is None else settings.station.journal
    return chosen(named, journal or default_journal()), named is not None


def _settings(environment: Mapping[str, str] | None, config: Path | None, *variables: str) -> Settings | None:
    """The settings, where there is a file of them or one of the variables.

    A file with a fault is not this command's concern: what can be read of it counts.
    """
    from edgeapp.config.load import config_path, examine

    environment = os.environ if environment is None else environment
    path, _ = config_path(config, environment)
    if not path.is_file() and not any(variable in environment for variable in variables):
        return None
    return examine(config, environment=environment).settings
