"""The one table of settings. The TOML file, the environment, the flags, the help and `config show` are made from it.

A section is a frozen dataclass and a setting is a field of it, so that `settings.clips.pre_roll` is checked by mypy.
What else is to be known of a setting stands in the field's metadata, and `SETTINGS` is the list of it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from edgeapp.audio.backends import AUTO, BACKENDS
from edgeapp.audio.windows import MIN_CLIP_S
from edgeapp.clips import settings as clips
from edgeapp.config.panels import OTHER_INPUT, OUTPUT, PLACE
from edgeapp.config.setting import Setting, setting
from edgeapp.recognition.merging import LONGEST_S
from edgeapp.runtime.settings import PROVIDERS
from gallery.entry import MODALITIES
from gallery.names_table import ENGLISH


@dataclass(frozen=True)
class Station:
    """What listens, and with what."""

    name: str | None = setting(
        None,
        "Name of the station, as messages and clips give it; the host's name if not given.",
        "--name",
        panel=OUTPUT,
    )
    pack: str | None = setting(
        None, "Folder or name of the pack; the best one installed if not given.", "--pack", pack=True
    )
    gallery: Path | None = setting(None, "Gallery file; the pack's own if not given.", "--gallery", read=True)
    hop: float | None = setting(
        None, "Seconds between windows; the pack's if not given (5 for starter).", "--hop", above=0
    )
    only: tuple[str, ...] = setting(
        (), 'Keep to this taxon, at any rank: "Aves", "Parus". May be given again.', "--only", metavar="TAXON"
    )
    language: str = setting(
        ENGLISH,
        "Language of common names, such as de; English where a taxon has no name in it.",
        "--language",
        metavar="TAG",
        panel=OUTPUT,
    )
    modalities: tuple[str, ...] = setting(
        (), "Gallery entries to match; all if not given.", "--modalities", choices=MODALITIES, commas=True
    )
    threads: int | None = setting(None, "Threads of the encoder.", "--threads", minimum=1)
    provider: str | None = setting(None, "What runs the encoder; auto if not given.", "--provider", choices=PROVIDERS)
    journal: Path | None = setting(
        None, "Journal of detections; in the user's data folder if not given.", "--journal", panel=OUTPUT
    )
    status: Path | None = setting(
        None, "File that tells how the station is; beside the journal if not given.", "--status", panel=OUTPUT
    )
    format: str = setting(
        "table",
        "A table for people, NDJSON for programs.",
        "--format",
        short="-f",
        choices=("table", "ndjson"),
        panel=OUTPUT,
    )
    duration: float | None = setting(
        None, "End after so many seconds of sound.", "--duration", minimum=MIN_CLIP_S, panel=OTHER_INPUT
    )


@dataclass(frozen=True)
class Microphone:
    """Which microphones, and how they are watched."""

    device: tuple[str, ...] = setting(
        (),
        "Microphone: index, part of the name, or its id that stays. The default one if not given. May be given again.",
        "--device",
        metavar="NAME|INDEX|ID",
    )
    backend: str = setting(AUTO, "Audio backend.", "--backend", choices=(AUTO, *BACKENDS))
    wait: bool = setting(False, "Wait for a microphone that is not there yet.", "--wait")
    stall: float = setting(
        10.0, "Seconds without a sample after which a microphone is opened anew.", "--stall", above=0
    )


@dataclass(frozen=True)
class Input:
    """Sound that does not come from a microphone."""

    watch: Path | None = setting(
        None, "Folder to which a recorder writes files; each is heard once.", "--watch", read=True
    )
    recorder_zone: str = setting(
        "UTC", 'Time zone of the recorder\'s clock: "UTC", "local", "Europe/Berlin".', "--recorder-zone", metavar="ZONE"
    )
    pcm_format: str = setting(
        "s16le", "Samples of raw sound on standard input.", "--pcm-format", choices=("s16le", "s24le", "s32le", "f32le")
    )
    pcm_rate: int = setting(48_000, "Rate of raw sound, in Hz.", "--pcm-rate", minimum=1_000, maximum=768_000)
    pcm_channels: int = setting(1, "Channels of raw sound.", "--pcm-channels", minimum=1, maximum=64)


@dataclass(frozen=True)
class Detections:
    """What is kept as a detection."""

    min_confidence: float = setting(0.0, "Minimum confidence of a detection.", "--min-confidence", minimum=0, maximum=1)
    species_list: Path | None = setting(
        None, "File with the scientific names that may be detected, one a line.", "--species-list", read=True
    )
    range_table: Path | None = setting(
        None,
        "CSV table of what is to be expected where and when; needs a place.",
        "--range-table",
        read=True,
        panel=PLACE,
    )
    min_occurrence: float | None = setting(
        None,
        "Occurrence from which a species is to be expected at the place in a week, by the model of the pack; "
        "that of the pack if not given (0.03 for birdnet), 0 keeps every species.",
        "--min-occurrence",
        minimum=0,
        maximum=1,
        panel=PLACE,
    )
    latitude: float | None = setting(
        None, "Of the microphone, in degrees north.", "--latitude", minimum=-90, maximum=90, panel=PLACE
    )
    longitude: float | None = setting(
        None, "Of the microphone, in degrees east.", "--longitude", minimum=-180, maximum=180, panel=PLACE
    )
    confirm: int = setting(
        1, "Windows without common sound that must agree before a taxon is a detection.", "--confirm", minimum=1
    )
    confirm_within: float = setting(60.0, "Seconds within which they must agree.", "--confirm-within", above=0)
    longest: float = setting(
        LONGEST_S,
        "Seconds after which a detection that goes on ends and another begins.",
        "--longest-detection",
        above=0,
    )


@dataclass(frozen=True)
class Privacy:
    """What happens where somebody speaks."""

    speech: str = setting(
        "drop", "Windows in which somebody speaks: drop or keep them.", "--privacy", choices=("drop", "keep")
    )
    speech_threshold: float = setting(
        0.5, "Probability from which sound is speech.", "--speech-threshold", minimum=0, maximum=1
    )


@dataclass(frozen=True)
class Clips:
    """The sound of detections, kept as files."""

    folder: Path | None = setting(None, "Folder for the sound of detections; none is kept if not given.", "--clips")
    format: str = setting(clips.FORMAT, "Format of clips.", "--clip-format", choices=tuple(clips.FORMATS))
    pre_roll: float = setting(
        clips.PRE_ROLL_S, "Seconds of sound before a detection.", "--pre-roll", minimum=0, maximum=clips.MOST_ROLL_S
    )
    post_roll: float = setting(
        clips.POST_ROLL_S, "Seconds of sound after a detection.", "--post-roll", minimum=0, maximum=clips.MOST_ROLL_S
    )
    longest: float = setting(
        clips.LONGEST_S,
        "Most seconds in one clip.",
        "--longest-clip",
        minimum=clips.LEAST_CLIP_S,
        maximum=clips.MOST_CLIP_S,
    )
    keep_days: float | None = setting(
        None, "Days after which a clip is deleted; never if not given.", "--keep-days", above=0
    )
    disk_share: float = setting(
        clips.DISK_SHARE,
        "Share of the disk that may be in use before the oldest clips are deleted.",
        "--disk-share",
        above=0,
        maximum=1,
    )
    keep_per_species: int = setting(
        clips.KEEP_PER_SPECIES,
        "Clips of a species that are kept whatever the disk says.",
        "--keep-per-species",
        minimum=0,
    )


@dataclass(frozen=True)
class Mqtt:
    """Detections sent to an MQTT broker."""

    host: str | None = setting(None, "Broker to which detections are sent; none if not given.", "--mqtt-host")
    port: int | None = setting(
        None, "Port of the broker; 1883, or 8883 with TLS, if not given.", "--mqtt-port", minimum=1, maximum=65_535
    )
    username: str | None = setting(None, "Name to log in with.", "--mqtt-username")
    password: str | None = setting(None, "Password to log in with; better in a file of its own.", secret=True)
    password_file: Path | None = setting(None, "File that holds the password.", "--mqtt-password-file", read=True)
    topic: str = setting("biovita", "First part of all topics.", "--mqtt-topic")
    tls: bool = setting(False, "Encrypt the connection.", "--mqtt-tls")
    ca_file: Path | None = setting(
        None, "Certificates to trust; those of the system if not given.", "--mqtt-ca-file", read=True
    )
    discovery: bool = setting(False, "Announce the station to Home Assistant.", "--mqtt-discovery")


@dataclass(frozen=True)
class Webhook:
    """Detections sent to a web address."""

    url: str | None = setting(
        None, "Address to which detections are posted as JSON; none if not given.", "--webhook-url", secret=True
    )
    header: tuple[str, ...] = setting(
        (), '"Name: value" to send along. May be given again.', "--webhook-header", metavar="HEADER", secret=True
    )


@dataclass(frozen=True)
class Log:
    """What the station tells of itself."""

    file: Path | None = setting(None, "Log file; only standard error if not given.", "--log-file")
    level: str = setting(
        "info", "Least weight of what is logged.", "--log-level", choices=("debug", "info", "warning", "error")
    )
    max_mb: float = setting(5.0, "Size at which the log file is put aside, in MB.", "--log-max-mb", above=0)
    keep: int = setting(3, "Log files put aside that are kept.", "--log-keep", minimum=1, maximum=1_000)


# A table of its own: its keys are taxa, which no list of settings knows.
THRESHOLD = Setting(
    "thresholds",
    "TAXON",
    float,
    None,
    "Minimum confidence of a detection of this taxon, at any rank. May be given again.",
    "--threshold",
    metavar="TAXON=P",
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
    "log": Log,
}


@dataclass(frozen=True)
class Settings:
    """All settings, and where each came from.

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
    log: Log = Log()
    origins: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None

    def value(self, setting: Setting) -> Any:
        """The value of a setting of `SETTINGS`."""
        return getattr(getattr(self, setting.section), setting.name)

    def origin(self, setting: Setting) -> str:
        """Where the value of a setting came from."""
        return self.origins.get(setting.key, "default")

    @property
    def place(self) -> tuple[float, float] | None:
        """Latitude and longitude in degrees, WGS 84."""
        latitude, longitude = self.detections.latitude, self.detections.longitude
        return None if latitude is None or longitude is None else (latitude, longitude)

    @property
    def journal_path(self) -> Path:
        """The journal, wherever it lies."""
        from edgeapp.journal import default_path

        return self.station.journal if self.station.journal is not None else default_path()

    @property
    def status_path(self) -> Path:
        """The status file: beside the journal, with its name, if nobody says where."""
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
    """Type of a value, whether there may be several, and whether there need not be any."""
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True, True
    if get_origin(hint) in (Union, UnionType):
        [of] = [part for part in get_args(hint) if part is not type(None)]
        return of, False, True
    return hint, False, False


SETTINGS: tuple[Setting, ...] = _table()
