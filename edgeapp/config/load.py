"""Precedence of settings: flag, then environment, then file, then default."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgeapp import read_once
from edgeapp.audio.channels import Channel
from edgeapp.audio.microphones.addresses import checked, is_address
from edgeapp.config.file import default_path, read
from edgeapp.config.setting import PREFIX, Setting
from edgeapp.config.settings import SECTIONS, SETTINGS, THRESHOLD, Settings
from edgeapp.config.values import BadValue, Fault, from_text, from_texts, near
from edgeapp.delivery.addresses import check_host, check_topic, header, web_address
from edgeapp.delivery.rules import quiet_hours
from edgeapp.errors import DeviceError, PackError, UsageError
from edgeapp.pack.installed import find_pack

CONFIG_VARIABLE = f"{PREFIX}_CONFIG"
SEPARATOR = ";"  # of several values in the environment: names of taxa and headers have commas in them


@dataclass(frozen=True)
class Loaded:
    """Settings, and every fault on the way to them; a value with a fault is at its default.

    Attributes
    ----------
    settings : Settings
    faults : tuple of Fault
    """

    settings: Settings
    faults: tuple[Fault, ...] = ()


def load(
    config: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings from all places.

    Parameters
    ----------
    config : Path or None
        File named by a person, which must be there; None is ``BIOVITA_CONFIG``, or the default one, which need not.
    flags : Mapping or None
        `Setting.key` -> text, or list of texts for settings of which there may be several, bool for switches.
    environment : Mapping or None
        `os.environ` when None.

    Raises
    ------
    ConfigError
        The first fault, with how many more there are.
    """
    loaded = examine(config, flags, environment)
    if loaded.faults:
        raise loaded.faults[0].error(len(loaded.faults) - 1)
    return loaded.settings


def examine(
    config: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Like `load`, with every fault told instead of the first one raised."""
    environment = os.environ if environment is None else environment
    path, named = config_path(config, environment)
    found = read(path, missing_is_fine=not named)
    values, faults = dict(found.values), list(found.faults)
    origins = dict.fromkeys(values, str(path))
    thresholds = dict(found.thresholds)
    origins |= {f"{THRESHOLD.section}.{taxon}": str(path) for taxon in thresholds}
    faults += _unknown_variables(environment)
    for setting in SETTINGS:
        try:
            if setting.variable in environment:
                where = f"environment {setting.variable}"
                values[setting.key] = from_text(setting, environment[setting.variable], SEPARATOR)
                origins[setting.key] = where
            if (given := (flags or {}).get(setting.key)) is not None:
                where = f"flag {setting.flag}"
                values[setting.key] = _of_flag(setting, given)
                origins[setting.key] = where
        except BadValue as error:
            faults.append(Fault(where.removeprefix("flag ").removeprefix("environment "), error.what, error.remedy))
    for text in (flags or {}).get(THRESHOLD.key, ()):
        try:
            taxon, thresholds_of = _threshold(text)
        except BadValue as error:
            faults.append(Fault(THRESHOLD.flag, error.what, error.remedy))
        else:
            if origins.get(f"{THRESHOLD.section}.{taxon}") == f"flag {THRESHOLD.flag}":
                faults.append(Fault(THRESHOLD.flag, f"{taxon} has two thresholds", "keep one of them"))
            thresholds[taxon] = thresholds_of
            origins[f"{THRESHOLD.section}.{taxon}"] = f"flag {THRESHOLD.flag}"
    settings = _settings(values, thresholds, origins, path if path.is_file() else None)
    return Loaded(settings, (*faults, *_together(settings)))


def missing(settings: Settings) -> list[Fault]:
    """Files and folders that settings name and that do not exist."""
    faults = []
    for setting in SETTINGS:
        path = settings.value(setting)
        if setting.pack and path is not None:
            try:
                if not (found := find_pack(path)).folder.is_dir():
                    raise PackError(f"{found.folder} is not there", "correct the path")
            except PackError as error:
                faults.append(Fault(f"{settings.origin(setting)}: {setting.key}", error.what, error.remedy))
        if setting.read and path is not None and not read_once.is_there(path):
            origin = settings.origin(setting)
            faults.append(Fault(f"{origin}: {setting.key}", f"{path} is not there", "correct the path"))
    return faults


def config_path(config: Path | None, environment: Mapping[str, str]) -> tuple[Path, bool]:
    """The file of settings, and whether a person named it."""
    if config is not None:
        return config, True
    if environment.get(CONFIG_VARIABLE):
        return Path(environment[CONFIG_VARIABLE]).expanduser(), True
    return default_path(), False


def settings_file(file: Path | None) -> Path:
    """The file that a running station reads its settings again from, there or not; `file` is what it read first."""
    return (file or config_path(None, os.environ)[0]).absolute()


def _settings(
    values: Mapping[str, Any], thresholds: dict[str, float], origins: dict[str, str], file: Path | None
) -> Settings:
    sections = {
        section: kind(**{s.name: values[s.key] for s in SETTINGS if s.section == section and s.key in values})
        for section, kind in SECTIONS.items()
    }
    return Settings(**sections, thresholds=thresholds, origins=origins, file=file)


def _of_flag(setting: Setting, given: Any) -> Any:
    if isinstance(given, bool):
        return given
    if setting.many:
        return from_texts(setting, [given] if isinstance(given, str) else given)
    return from_text(setting, str(given))


def _threshold(text: str) -> tuple[str, float]:
    taxon, equals, number = text.rpartition("=")
    if not equals or not taxon.strip():
        raise BadValue(f"is {text!r}", 'write for example "Parus major=0.8"')
    value = from_text(THRESHOLD, number)
    if value is None:
        raise BadValue(f"{text!r} has no number", 'write for example "Parus major=0.8"')
    return " ".join(taxon.split()), value


def _unknown_variables(environment: Mapping[str, str]) -> list[Fault]:
    """Environment variables that look like settings but are unknown, such as misspelled ones."""
    known = {setting.variable for setting in SETTINGS}
    sections = tuple(f"{PREFIX}_{section}_".upper() for section in SECTIONS)
    return [
        Fault(name, "unknown setting", near(name, [one for one in known if one.startswith(_start(name))]))
        for name in sorted(environment)
        if name.startswith(sections) and name not in known
    ]


def fault_at(settings: Settings, key: str, what: str, remedy: str) -> Fault:
    """A fault of a setting, with the place where it was set."""
    of_section = (origin for one, origin in settings.origins.items() if one.startswith(f"{key}."))
    origin = settings.origins.get(key) or next(of_section, "default")
    if origin.startswith(("flag ", "environment ")):
        return Fault(origin.removeprefix("flag ").removeprefix("environment "), what, remedy)
    return Fault(key if origin == "default" else f"{origin}: {key}", what, remedy)


def _start(name: str) -> str:
    return "_".join(name.split("_")[:2])


def _together(settings: Settings) -> Sequence[Fault]:
    """Settings that need or exclude another."""
    faults = []

    def fault(setting: str, what: str, remedy: str) -> None:
        faults.append(fault_at(settings, setting, what, remedy))

    detections, clips, mqtt = settings.detections, settings.clips, settings.mqtt
    if (detections.latitude is None) != (detections.longitude is None):
        there = "longitude" if detections.latitude is None else "latitude"
        fault(f"detections.{there}", "a location needs both coordinates", "give --latitude and --longitude")
    if detections.range_table is not None and settings.place is None:
        fault("detections.range_table", "needs a location", "give --latitude and --longitude")
    if detections.min_occurrence and settings.place is None:
        fault("detections.min_occurrence", "needs a location", "give --latitude and --longitude")
    for one in SETTINGS:
        if (
            one.secret
            and settings.value(one)
            and getattr(getattr(settings, one.section), f"{one.name}_file") is not None
        ):
            fault(f"{one.key}_file", f"excludes {one.name}", f"give one of {one.name} and {one.name}_file")
    for name in ("ca_file", "cert_file", "key_file"):
        if getattr(mqtt, name) is not None and not mqtt.tls:
            fault(f"mqtt.{name}", "needs TLS", "set mqtt.tls to true (--mqtt-tls)")
    if mqtt.host is not None and (mqtt.password or mqtt.password_file) and mqtt.username is None:
        given = "mqtt.password" if mqtt.password else "mqtt.password_file"
        fault(given, "is the password of nobody", "set mqtt.username (--mqtt-username)")
    if mqtt.key_file is not None and mqtt.cert_file is None:
        fault("mqtt.key_file", "is the key of a certificate that is not given", "set mqtt.cert_file")
    if settings.input.watch is not None and settings.microphone.device:
        fault("input.watch", "a watched folder and microphones exclude each other", "omit --watch or --device")
    if clips.longest < clips.pre_roll + clips.post_roll:
        fault("clips.longest", f"is {clips.longest:g}, less than pre_roll and post_roll", "give more")
    channels, devices = settings.input.channel, settings.microphone.device
    if len(channels) > 1 and len(channels) != len(devices):
        fault(
            "input.channel",
            f"{len(channels)} channels for {len(devices) or 'no'} named microphones",
            "give one channel, or one for each --device",
        )
    heard = [*zip(devices, channels, strict=False)] if len(channels) > 1 else [(device, "") for device in devices]
    if len(set(heard)) < len(heard):
        fault("microphone.device", "names a source twice, which would be heard twice", "name it once")
    addresses: list[tuple[str, Callable[[str], object], str | None]] = [
        ("mqtt.host", check_host, mqtt.host),
        ("mqtt.topic", check_topic, mqtt.topic),
        ("mqtt.discovery_prefix", check_topic, mqtt.discovery_prefix),
        ("webhook.url", web_address, settings.webhook.url),
        ("birdweather.url", partial(web_address, whose="BirdWeather"), settings.birdweather.url),
        ("notify.quiet", quiet_hours, settings.notify.quiet),
        *(("webhook.header", header, text) for text in settings.webhook.header),
        *(("microphone.device", checked, text) for text in devices if is_address(text)),
        *(("input.channel", Channel.of, text) for text in channels),
    ]
    for key, check, text in addresses:
        try:
            if text is not None:
                check(text)
        except (UsageError, DeviceError) as error:
            fault(key, error.what, error.remedy)
    return faults
