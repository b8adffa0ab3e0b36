"""The sections of the settings: what there is to be set, one frozen dataclass a section.

The field's metadata has the rest of its row of the table (help, flag, bounds).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeapp.audio.microphones.backends import AUTO, BACKENDS
from edgeapp.audio.windows import MIN_CLIP_S
from edgeapp.clips import settings as clips
from edgeapp.config.panels import OTHER_INPUT, OUTPUT, PLACE
from edgeapp.config.setting import setting
from edgeapp.detections.pictures import MOST
from edgeapp.detections.sharing import EXACT, SHARING
from edgeapp.paths import config_folder
from edgeapp.recognition.merging import LONGEST_S
from edgeapp.runtime.settings import PROVIDERS
from gallery.entry import MODALITIES
from gallery.names_table import ENGLISH

FILE_MODES = ("umask", "private", "group")


@dataclass(frozen=True)
class Station:
    """Station, pack, gallery and files."""

    name: str | None = setting(
        None,
        "Name of the station in messages and clips; the host name if not given.",
        "--name",
        metavar="NAME",
        panel=OUTPUT,
    )
    pack: str | None = setting(
        None,
        "Folder or name of the pack; the best one installed if not given.",
        "--pack",
        metavar="NAME|FOLDER",
        pack=True,
    )
    gallery: Path | None = setting(None, "Gallery file; the pack's own if not given.", "--gallery", read=True)
    learned: str | None = setting(
        None,
        "Learned gallery, written by `journal learn` and taken over as soon as it changes; beside the journal if not "
        "given, none to do without.",
        "--learned",
        metavar="FILE",
    )
    hop: float | None = setting(
        None, "Seconds between the starts of windows; the pack's if not given (5 for starter).", "--hop", above=0
    )
    only: tuple[str, ...] = setting(
        (), 'Only this taxon, at any rank: "Aves", "Parus". May be repeated.', "--only", metavar="TAXON"
    )
    language: str = setting(
        ENGLISH,
        "Language of common names, such as de; English where a taxon has no name in it.",
        "--language",
        metavar="LANGUAGE",
        panel=OUTPUT,
    )
    modalities: tuple[str, ...] = setting(
        (),
        "Gallery entries to match; all if not given.",
        "--modalities",
        metavar="MODALITIES",
        choices=MODALITIES,
        commas=True,
    )
    threads: int | None = setting(None, "Number of threads of the encoder.", "--threads", minimum=1)
    provider: str | None = setting(
        None,
        "Execution provider of the encoder; auto if not given.",
        "--provider",
        metavar="PROVIDER",
        choices=PROVIDERS,
    )
    journal: Path | None = setting(
        None, "Journal of detections; in the user's data folder if not given.", "--journal", panel=OUTPUT
    )
    status: Path | None = setting(
        None, "Status file (JSON); beside the journal if not given.", "--status", panel=OUTPUT
    )
    file_mode: str = setting(
        FILE_MODES[0],
        "Who may read journal, status, log and clips: umask as the system says, private the owner alone (0600), group "
        "its group as well (0640).",
        "--file-mode",
        metavar="|".join(FILE_MODES),
        choices=FILE_MODES,
        panel=OUTPUT,
    )
    format: str = setting("table", "Output format.", "--format", short="-f", choices=("table", "ndjson"), panel=OUTPUT)
    pictures: int = setting(
        MOST,
        "Number of photos, and of recordings, with each detection in NDJSON, messages and the API; 0 for none.",
        "--pictures",
        metavar="NUMBER",
        minimum=0,
        maximum=20,
        panel=OUTPUT,
    )
    share_location: str = setting(
        EXACT,
        "Location in what leaves the station (messages, exports, API, clips): exact, coarse (0.1 degree) or no.",
        "--share-location",
        choices=SHARING,
        panel=PLACE,
    )
    clock: str = setting(
        "auto",
        "Whether times can be trusted: auto asks the kernel, time services, GPS and a real-time clock; trusted accepts "
        "the system clock as it is.",
        "--clock",
        choices=("auto", "trusted"),
        panel=OTHER_INPUT,
    )
    duration: float | None = setting(
        None, "Stop after this much sound.", "--duration", minimum=MIN_CLIP_S, panel=OTHER_INPUT
    )


@dataclass(frozen=True)
class Microphone:
    """Microphones and their supervision."""

    device: tuple[str, ...] = setting(
        (),
        "Microphone: index, part of its name, stable id, pulse:NAME, pipewire:NAME, or the address of a source in the "
        "network; the default one if not given. May be repeated.",
        "--device",
        metavar="NAME|NUMBER|ID|URL",
        address=True,
    )
    backend: str = setting(AUTO, "Audio backend.", "--backend", metavar="NAME", choices=(AUTO, *BACKENDS))
    wait: bool = setting(False, "Wait for a microphone that is not connected yet.", "--wait")
    netrc: Path | None = setting(
        None,
        "File with the log-ins of sources in the network, `machine HOST login USER password PASSWORD`; so that no "
        "address has one.",
        "--netrc",
        read=True,
    )
    meters: bool = setting(
        False,
        "Measure sound levels: level and third-octave bands of each minute, for `journal levels`.",
        "--meters",
    )
    keep_meters: float = setting(
        365.0, "Age at which sound levels are deleted from the journal.", "--keep-meters", metavar="DAYS", above=0
    )
    stall: float = setting(10.0, "Time without samples after which a microphone is reopened.", "--stall", above=0)


@dataclass(frozen=True)
class Input:
    """Sound from a recorder's folder or from standard input, and the channels of any sound."""

    watch: Path | None = setting(
        None, "Folder of a recorder; each new file is processed once.", "--watch", metavar="FOLDER", read=True
    )
    recorder_zone: str = setting(
        "UTC", 'Time zone of the recorder\'s clock: "UTC", "local", "Europe/Berlin".', "--recorder-zone", metavar="ZONE"
    )
    channel: tuple[str, ...] = setting(
        (),
        "Channel: mix, left, right, a number from 1, best (not of raw sound), or each (a source for each channel of a "
        "microphone); mix if not given. One for all microphones, or one for each --device. May be repeated.",
        "--channel",
        metavar="CHANNEL",
    )
    pcm_format: str = setting(
        "s16le",
        "Sample format of raw sound on standard input.",
        "--pcm-format",
        metavar="FORMAT",
        choices=("s16le", "s24le", "s32le", "f32le"),
    )
    pcm_rate: int = setting(
        48_000, "Sample rate of raw sound.", "--pcm-rate", metavar="HZ", minimum=1_000, maximum=768_000
    )
    pcm_channels: int = setting(1, "Number of channels of raw sound.", "--pcm-channels", minimum=1, maximum=64)


@dataclass(frozen=True)
class Detections:
    """Thresholds and filters of detections."""

    min_confidence: float = setting(
        0.0, "Minimum confidence of a detection.", "--min-confidence", metavar="CONFIDENCE", minimum=0, maximum=1
    )
    species_list: Path | None = setting(
        None,
        "Species that may be detected: a text file with one scientific name per line.",
        "--species-list",
        read=True,
    )
    range_table: Path | None = setting(
        None,
        "Range table (CSV): expected species by place and time; needs a location.",
        "--range-table",
        read=True,
        panel=PLACE,
    )
    min_occurrence: float | None = setting(
        None,
        "Minimum occurrence of a species at the location in a week, by the pack's occurrence model; the pack's value "
        "if not given (0.03 for birdnet), 0 keeps every species.",
        "--min-occurrence",
        metavar="FRACTION",
        panel=PLACE,
        minimum=0,
        maximum=1,
    )
    latitude: float | None = setting(
        None,
        "Latitude of the microphone, north positive.",
        "--latitude",
        metavar="DEGREES",
        minimum=-90,
        maximum=90,
        panel=PLACE,
    )
    longitude: float | None = setting(
        None,
        "Longitude of the microphone, east positive.",
        "--longitude",
        metavar="DEGREES",
        minimum=-180,
        maximum=180,
        panel=PLACE,
    )
    confirm: int = setting(
        1, "Number of non-overlapping windows that must agree before a taxon is detected.", "--confirm", minimum=1
    )
    confirm_within: float = setting(60.0, "Time within which these windows must agree.", "--confirm-within", above=0)
    longest: float = setting(
        LONGEST_S, "Maximum length of a detection; a longer one is split.", "--longest-detection", above=0
    )


@dataclass(frozen=True)
class Privacy:
    """Windows with speech."""

    speech: str = setting("drop", "Windows with speech: drop or keep.", "--privacy", choices=("drop", "keep"))
    speech_threshold: float = setting(
        0.5, "Minimum probability of speech.", "--speech-threshold", metavar="CONFIDENCE", above=0, maximum=1
    )


@dataclass(frozen=True)
class Clips:
    """Sound clips of detections."""

    folder: Path | None = setting(
        None, "Folder for clips of detections; no clips if not given.", "--clips", metavar="FOLDER"
    )
    format: str = setting(clips.FORMAT, "Format of clips.", "--clip-format", choices=tuple(clips.FORMATS))
    pre_roll: float = setting(
        clips.PRE_ROLL_S, "Sound kept before a detection.", "--pre-roll", minimum=0, maximum=clips.MOST_ROLL_S
    )
    post_roll: float = setting(
        clips.POST_ROLL_S, "Sound kept after a detection.", "--post-roll", minimum=0, maximum=clips.MOST_ROLL_S
    )
    longest: float = setting(
        clips.LONGEST_S,
        "Maximum length of a clip.",
        "--longest-clip",
        minimum=clips.LEAST_CLIP_S,
        maximum=clips.MOST_CLIP_S,
    )
    keep_days: float | None = setting(
        None, "Age at which a clip is deleted; never if not given.", "--keep-days", metavar="DAYS", above=0
    )
    disk_share: float = setting(
        clips.DISK_SHARE,
        "Fraction of the disk in use above which the oldest clips are deleted.",
        "--disk-share",
        metavar="FRACTION",
        above=0,
        maximum=1,
    )
    keep_per_species: int = setting(
        clips.KEEP_PER_SPECIES,
        "Number of clips per species that are kept even when the disk is full.",
        "--keep-per-species",
        minimum=0,
    )


@dataclass(frozen=True)
class Web:
    """The live page."""

    on: bool = setting(False, "Serve the live page.", "--web")
    address: str = setting(
        "127.0.0.1",
        "Address at which the page is served; any but a loopback address needs a password.",
        "--web-address",
        metavar="HOST",
    )
    port: int = setting(
        8080, "Port of the page; 0 takes a free one.", "--web-port", metavar="PORT", minimum=0, maximum=65_535
    )
    host: tuple[str, ...] = setting(
        (), "Host name under which a reverse proxy passes requests on. May be repeated.", "--web-host", metavar="HOST"
    )
    proxy: tuple[str, ...] = setting(
        (),
        "Address or network of a reverse proxy that is believed about the addresses of its visitors. May be repeated.",
        "--web-proxy",
        metavar="HOST",
    )
    password_file: Path | None = setting(
        None,
        "File with the password, made by `biovita-edge web password`; in the user's configuration folder if not given.",
        "--web-password-file",
    )

    @property
    def password_path(self) -> Path:
        """Where the password is."""
        return self.password_file or config_folder() / "web-password"


@dataclass(frozen=True)
class Log:
    """Logging."""

    file: Path | None = setting(None, "Log file; standard error only if not given.", "--log-file")
    level: str = setting(
        "info",
        "Minimum level of log messages.",
        "--log-level",
        metavar="LEVEL",
        choices=("debug", "info", "warning", "error"),
    )
    max_mb: float = setting(5.0, "Size at which the log file is rotated.", "--log-max-mb", metavar="MB", above=0)
    keep: int = setting(3, "Number of rotated log files to keep.", "--log-keep", minimum=1, maximum=1_000)
