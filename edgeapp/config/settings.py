"""The table of settings. The TOML file, the environment, the flags, the help and `config show` are made from it.

A section is a frozen dataclass and a setting is a field of it, so that `settings.clips.pre_roll` is checked by mypy.
The field's metadata has the rest of its row (help, flag, bounds); `SETTINGS` lists all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from edgeapp.config.sections import Clips, Detections, Input, Log, Microphone, Privacy, Station, Web
from edgeapp.config.setting import Setting
from edgeapp.config.target_sections import BirdWeather, Mqtt, Notify, Webhook

# A table of its own, since its keys are taxa.
THRESHOLD = Setting(
    "thresholds",
    "TAXON",
    float,
    None,
    "Minimum confidence of a taxon, at any rank. May be repeated.",
    "--threshold",
    metavar="TAXON=CONFIDENCE",
    minimum=0,
    maximum=1,
    optional=True,
)

SECTIONS: dict[str, type] = {
    "station": Station,
    "microphone": Microphone,
    "input": Input,
    "detections": Detections,
    "privacy": Privacy,
    "clips": Clips,
    "mqtt": Mqtt,
    "webhook": Webhook,
    "notify": Notify,
    "birdweather": BirdWeather,
    "web": Web,
    "log": Log,
}


@dataclass(frozen=True)
class Settings:
    """All settings, with their origins.

    Attributes
    ----------
    thresholds : Mapping[str, float]
        Taxon -> minimum confidence.
    origins : Mapping[str, str]
        `Setting.key` -> "default", "flag --hop", "environment BIOVITA_STATION_HOP", or the file. A threshold's key is
        ``thresholds.Parus major``.
    file : Path or None
        The file that was read.
    """

    station: Station = Station()
    microphone: Microphone = Microphone()
    input: Input = Input()
    detections: Detections = Detections()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    privacy: Privacy = Privacy()
    clips: Clips = Clips()
    mqtt: Mqtt = Mqtt()
    webhook: Webhook = Webhook()
    notify: Notify = Notify()
    birdweather: BirdWeather = BirdWeather()
    web: Web = Web()
    log: Log = Log()
    origins: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None

    def value(self, setting: Setting) -> Any:
        """The value of a setting of `SETTINGS`."""
        return getattr(getattr(self, setting.section), setting.name)

    def origin(self, setting: Setting) -> str:
        """Origin of the value of a setting."""
        return self.origins.get(setting.key, "default")

    @property
    def place(self) -> tuple[float, float] | None:
        """Latitude and longitude in degrees, WGS 84."""
        latitude, longitude = self.detections.latitude, self.detections.longitude
        return None if latitude is None or longitude is None else (latitude, longitude)

    @property
    def journal_path(self) -> Path:
        """Path of the journal."""
        from edgeapp.journal import default_path

        return self.station.journal if self.station.journal is not None else default_path()

    @property
    def status_path(self) -> Path:
        """Path of the status file; beside the journal, with its name, if not set."""
        return self.station.status if self.station.status is not None else self.journal_path.with_suffix(".status.json")


def _table() -> tuple[Setting, ...]:
    rows = []
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind)
        for one in fields(kind):
            of, many, optional = _type(hints[one.name])
            rows.append(Setting(section, one.name, of, one.default, many=many, optional=optional, **one.metadata))
    return tuple(rows)


def _type(hint: Any) -> tuple[type, bool, bool]:
    """Type of a value, whether there may be several, and whether it may be unset."""
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True, True
    if get_origin(hint) in (Union, UnionType):
        [of] = [part for part in get_args(hint) if part is not type(None)]
        return of, False, True
    return hint, False, False


SETTINGS: tuple[Setting, ...] = _table()
