"""What keeps a station from starting, whichever command asks: `config check`, `listen` and `doctor` try the same.

The table of settings checks each value by itself (`edgeapp.config`). Here the parts of the station are made of them, by
the functions that make them for `listen`, except the encoder: building an engine may take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from edgeapp.audio.microphones.addresses import checked, is_address, with_log_in
from edgeapp.audio.microphones.network import check_installed
from edgeapp.clock.zones import zone_of
from edgeapp.config.load import Loaded, fault_at, missing
from edgeapp.config.settings import SETTINGS, Settings
from edgeapp.config.values import Fault
from edgeapp.detections.filters import Filters
from edgeapp.detections.speech import check as check_speech
from edgeapp.errors import BiovitaError
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import load_pack
from edgeapp.pack.names import names_of, naming_in
from edgeapp.runtime.settings import RunSettings
from edgeapp.station.assembly import (
    clip_settings,
    confirmation_of,
    occurrence_of,
    range_table,
    retention_of,
    species_list,
)
from edgeapp.station.own_files import check_clips, check_log, check_status
from edgeapp.station.sources import channels_asked, watched_folder
from edgeapp.station.targets import OF_TARGET, only, targets, taxa_of
from gallery.store import Gallery
from gallery.taxon import Taxon

TARGETS = tuple(OF_TARGET)
_VARIABLES = {setting.variable: setting.key for setting in SETTINGS}

Check = Callable[[Settings], object]


@dataclass(frozen=True)
class Sound:
    """The pack and the taxa that are listened for."""

    pack: Pack
    taxa: tuple[Taxon, ...]


def _network(settings: Settings) -> None:
    for device in settings.microphone.device:
        if is_address(device):
            with_log_in(checked(device), settings.microphone.netrc)
            check_installed()


def _speech(settings: Settings) -> None:
    if settings.privacy.speech == "drop":
        check_speech(settings.privacy.speech_threshold)


def _target(name: str, settings: Settings) -> None:
    targets(only(settings, name))


# Setting that is to blame -> what fails where it cannot be used.
OF_SETTINGS: tuple[tuple[str, Check], ...] = (
    ("station.provider", lambda settings: RunSettings.of(settings.station.provider, settings.station.threads)),
    ("station.language", lambda settings: naming_in(settings.station.language)),
    ("input.recorder_zone", lambda settings: zone_of(settings.input.recorder_zone)),
    ("input.channel", channels_asked),
    ("microphone.device", _network),
    ("input.watch", watched_folder),
    ("privacy.speech", _speech),
    ("clips.folder", clip_settings),
    ("clips.folder", check_clips),
    ("station.status", check_status),
    ("log.file", check_log),
    ("clips.disk_share", retention_of),
    *((key, partial(_target, name)) for name, key in OF_TARGET.items()),
)


def _names(settings: Settings, sound: Sound) -> None:
    names = names_of(sound.taxa)
    for name in settings.station.only:
        names.rows(name)


def _thresholds(settings: Settings, sound: Sound) -> None:
    Filters(sound.taxa, settings.detections.min_confidence, dict(settings.thresholds))


OF_SOUND: tuple[tuple[str, Callable[[Settings, Sound], object]], ...] = (
    ("station.only", _names),
    ("thresholds", _thresholds),
    ("notify.species", lambda settings, sound: taxa_of(settings.notify.species, sound.taxa)),
    ("detections.species_list", lambda settings, sound: species_list(settings, sound.taxa)),
    ("detections.range_table", lambda settings, sound: range_table(settings, sound.taxa)),
    ("detections.min_occurrence", lambda settings, sound: occurrence_of(settings, sound.pack, sound.taxa)),
    ("detections.confirm", lambda settings, sound: confirmation_of(settings, sound.pack)),
)


def validated(loaded: Loaded) -> Loaded:
    """The same with everything that keeps a station from starting; what two places notice is told by the first."""
    settings = loaded.settings
    found = [*loaded.faults, *faults_of_settings(settings, loaded.faults), *faults_of_sound(settings)]
    first = {fault.what: fault for fault in reversed(found)}
    return replace(loaded, faults=tuple(fault for fault in found if first[fault.what] is fault))


def faults_of_settings(settings: Settings, known: Sequence[Fault] = ()) -> list[Fault]:
    """What the settings alone tell, beside what is known already; quick."""
    absent = missing(settings)
    told = _keys([*known, *absent])  # of a file that is not there, or a faulty address, only that is told
    faults = list(absent)
    for key, check in OF_SETTINGS:
        section = key.partition(".")[0]
        if key not in told and not (section in TARGETS and any(one.startswith(section) for one in told)):
            faults += _tried(settings, key, check, settings)
    return faults


def faults_of_sound(settings: Settings) -> list[Fault]:
    """What only the pack and its gallery tell: both are opened, and nothing is encoded."""
    told = _keys(missing(settings))
    if {"station.pack", "station.gallery"} & told:
        return []
    loaded: list[Sound] = []

    def load() -> None:
        pack = load_pack(settings.station.pack, verify=False)
        with Gallery.open(settings.station.gallery or pack.gallery_path(), identity=pack.identity) as gallery:
            loaded.append(Sound(pack, tuple(gallery.taxa())))

    key = "station.gallery" if settings.station.gallery is not None else "station.pack"
    faults = _tried(settings, key, load)
    for sound in loaded:
        for key, check in OF_SOUND:
            if key not in told:
                faults += _tried(settings, key, check, settings, sound)
    return faults


def _keys(faults: Sequence[Fault]) -> set[str]:
    """The settings that faults are of: ``config.toml: mqtt.topic`` and ``BIOVITA_MQTT_TOPIC`` are ``mqtt.topic``."""
    last = (fault.where.rpartition(" ")[2] for fault in faults)
    return {_VARIABLES.get(word, word) for word in last}


def _tried(settings: Settings, key: str, work: Callable[..., object], *given: object) -> list[Fault]:
    try:
        work(*given)
    except BiovitaError as error:
        return [fault_at(settings, key, error.what, error.remedy)]
    return []
