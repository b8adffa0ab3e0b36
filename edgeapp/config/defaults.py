"""Defaults of commands from the settings of the station: language and location."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgeapp.detections.sharing import EXACT
from edgeapp.paths import default_journal
from gallery.names_table import ENGLISH

if TYPE_CHECKING:
    from edgeapp.config.settings import Settings


def language_of(given: str | None) -> str:
    """The tag of a language: the one given, else the setting ``station.language``."""
    if given is not None:
        return given
    settings = _settings("BIOVITA_STATION_LANGUAGE")
    return ENGLISH if settings is None else settings.station.language


def share_location_of() -> str:
    """The setting ``station.share_location``."""
    settings = _settings("BIOVITA_STATION_SHARE_LOCATION")
    return EXACT if settings is None else settings.station.share_location


def station_place() -> tuple[float, float] | None:
    """Latitude and longitude of the station, where its settings have them."""
    settings = _settings("BIOVITA_DETECTIONS_LATITUDE")
    return None if settings is None else settings.place


def learned_of(given: str | None) -> tuple[Path | None, bool]:
    """The learned gallery that counts, there or not, and whether it was asked for.

    The one given, else that of the setting ``station.learned``, else that of the station's journal.
    """
    from edgeapp.recognition.learned import chosen

    settings = _settings("BIOVITA_STATION_JOURNAL", "BIOVITA_STATION_LEARNED")
    named = given or (None if settings is None else settings.station.learned)
    journal = None if settings is None else settings.station.journal
    return chosen(named, journal or default_journal()), named is not None


def _settings(*variables: str) -> Settings | None:
    """The settings, where there is a file of them or one of the variables.

    A file with a fault is not this command's concern: what can be read of it counts.
    """
    from edgeapp.config.load import config_path, examine

    path, _ = config_path(None, os.environ)
    if not path.is_file() and not any(variable in os.environ for variable in variables):
        return None
    return examine(environment=os.environ).settings
