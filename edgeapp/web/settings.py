"""The settings on the page: which can be changed there, which at once, and what a form says of them.

Paths and secrets are only shown: a page must not name files, nor give passwords away.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeapp.audio.microphones.addresses import redacted
from edgeapp.config import edit
from edgeapp.config.effect import at_once
from edgeapp.config.file import described
from edgeapp.config.secrets import HIDDEN
from edgeapp.config.setting import Setting
from edgeapp.config.settings import SETTINGS, THRESHOLD, Settings
from edgeapp.config.values import BadValue, from_text, from_texts
from edgeapp.web.asking import Wrong
from edgeapp.web.site import Site

_one_at_a_time = threading.Lock()


def fixed_by(site: Site, setting: Setting) -> str:
    """Why a setting cannot be changed here; empty where it can."""
    if setting.type is Path or setting.pack:
        return "only in the settings file"
    if setting.secret or setting.section == "web":
        return "only in the settings file"
    if setting.address and shown(site, setting) != text_of(site.settings.value(setting)):
        return "only in the settings file"
    return _set_by(site.settings.origin(setting))


def _set_by(origin: str) -> str:
    """What has set a value that the file cannot change; empty for the file and the default."""
    return f"set by {origin}" if origin.startswith(("flag ", "environment ")) else ""


def described_settings(site: Site, settings: Sequence[Setting] = SETTINGS) -> dict[str, list[dict[str, Any]]]:
    """Section to its settings, as the form shows them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for setting in settings:
        found.setdefault(setting.section, []).append(
            {
                "key": setting.key,
                "name": setting.name,
                "help": described(setting),
                "value": shown(site, setting),
                "default": text_of(setting.default),
                "choices": setting.choices if not setting.many else (),
                "is_bool": setting.type is bool,
                "is_number": setting.type in (int, float),
                "fixed": fixed_by(site, setting),
                "at_once": at_once(setting),
                "origin": site.settings.origin(setting),
            }
        )
    return found


def shown(site: Site, setting: Setting) -> str:
    """The value of a setting as a page may show it."""
    value = site.settings.value(setting)
    if setting.secret and value not in (None, ()):
        return HIDDEN
    return text_of(tuple(map(redacted, value)) if setting.address else value)


def text_of(value: Any) -> str:
    """A value as the form has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def change(site: Site, given: Mapping[str, str]) -> list[str]:
    """Change settings by what a form, or a program, has sent; one change at a time.

    Parameters
    ----------
    site : Site
        Has the new settings afterwards.
    given : Mapping
        `Setting.key`, or ``thresholds.TAXON``, to text; empty text is the default. What has not changed is left alone.

    Returns
    -------
    list of str
        Keys of the changed settings that wait for the next start.

    Raises
    ------
    Wrong, ConfigError, OutputError
    """
    with _one_at_a_time:
        return _change(site, given)


def _change(site: Site, given: Mapping[str, str]) -> list[str]:
    known = {setting.key: setting for setting in SETTINGS}
    values: dict[str, Any] = {}
    thresholds: dict[str, float | None] = {}
    for key, text in given.items():
        try:
            if key.startswith(f"{THRESHOLD.section}."):
                taxon = " ".join(key.partition(".")[2].split())
                if not taxon:
                    raise Wrong("a threshold has no taxon", "name one")
                least = from_text(THRESHOLD, text)
                if least == site.settings.thresholds.get(taxon):
                    continue
                if reason := _set_by(site.settings.origins.get(f"{THRESHOLD.section}.{taxon}", "")):
                    raise Wrong(f"{key} cannot be changed here: {reason}")
                thresholds[taxon] = least
                continue
            setting = known.get(key)
            if setting is None:
                raise Wrong(f"there is no setting {key[:60]!r}")
            if text.strip() == shown(site, setting):
                continue
            if reason := fixed_by(site, setting):
                raise Wrong(f"{key} cannot be changed here: {reason}")
            values[key] = _value(setting, text)
        except BadValue as error:
            raise Wrong(f"{key} {error.what}", error.remedy) from error
    if not values and not thresholds:
        return []
    _check_taxa(site, thresholds)
    before = site.settings
    after = edit.change(before, values, thresholds)
    if site.station is None:
        waits = [*values, *(f"{THRESHOLD.section}.{taxon}" for taxon in thresholds)]
    else:
        try:
            waits = list(site.station.apply(after).waiting)
        except Exception:
            edit.change(after, *_back(before, values, thresholds))
            raise
    site.settings = after
    return waits


def _value(setting: Setting, text: str) -> Any:
    if not text.strip():
        return None
    return from_texts(setting, text.split(",")) if setting.many else from_text(setting, text)


def _check_taxa(site: Site, thresholds: Mapping[str, float | None]) -> None:
    from gallery.errors import TaxonError

    for taxon, least in thresholds.items():
        if least is not None:
            try:
                site.names.rows(taxon)
            except TaxonError as error:
                raise Wrong(error.what, error.remedy) from error


def _back(
    before: Settings, values: Mapping[str, Any], thresholds: Mapping[str, float | None]
) -> tuple[dict[str, Any], dict[str, float | None]]:
    """What undoes a change of the file that the station did not take."""
    of_file = {setting.key: before.value(setting) for setting in SETTINGS if before.origin(setting) != "default"}
    return {key: of_file.get(key) for key in values}, {taxon: before.thresholds.get(taxon) for taxon in thresholds}
