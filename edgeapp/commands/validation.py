"""The settings as `config check`, `listen` and `doctor` see them, with all that keeps a station from starting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgeapp.commands.web import check_extra
from edgeapp.config.load import Loaded, examine, fault_at
from edgeapp.config.secrets import FILES, SECRETS
from edgeapp.config.settings import Settings
from edgeapp.config.values import Fault
from edgeapp.errors import BiovitaError
from edgeapp.station.validation import faults_of_settings
from edgeapp.terminal import tell
from edgeapp.web.access import required_password


def loaded(config: Path | None) -> Loaded:
    """The settings of the file and the environment, with the faults of their values, and what the page needs."""
    found = examine(config)
    return replace(found, faults=(*found.faults, *_faults_of_page(found.settings)))


def check(settings: Settings) -> None:
    """Raise the first fault of settings with which `listen` is about to start.

    What the pack tells, `listen` meets as it loads it.

    Raises
    ------
    ConfigError
    """
    faults = [*faults_of_settings(settings), *_faults_of_page(settings)]
    if faults:
        raise faults[0].error(len(faults) - 1)
    for key, setting in SECRETS.items():
        if settings.origin(setting).startswith("flag "):
            tell(f"{setting.flag}: every user of this machine can read it; {FILES[key].flag} keeps it in a file")


def _faults_of_page(settings: Settings) -> list[Fault]:
    if not settings.web.on:
        return []
    for key, work in (("web.on", check_extra), ("web.address", lambda: required_password(settings.web))):
        try:
            work()
        except BiovitaError as error:
            return [fault_at(settings, key, error.what, error.remedy)]
    return []
