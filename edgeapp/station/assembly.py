"""Assembly of a station from its settings."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from edgeapp.audio.metadata.guano import Recorder
from edgeapp.board.machine import installed
from edgeapp.clips.clip_file import ClipFolder
from edgeapp.clips.recorder import Clips
from edgeapp.clips.renaming import Renamer
from edgeapp.clips.retention import Retention, Sweeper
from edgeapp.clips.ring import Ring
from edgeapp.clips.settings import JUDGED_WITHIN_S, ClipSettings
from edgeapp.clock.sources import Sources
from edgeapp.clock.system import Clock, SystemClock
from edgeapp.config.settings import Settings
from edgeapp.delivery.outbox import Outbox
from edgeapp.delivery.rules import SPECTROGRAM
from edgeapp.delivery.target import Target
from edgeapp.detections.confirmation import Confirmation
from edgeapp.detections.filters import Filters, SpeciesList
from edgeapp.detections.occurrence import Occurrence
from edgeapp.detections.sharing import shared
from edgeapp.detections.species_range import SpeciesRange, unknown_names
from edgeapp.detections.speech import SpeechDetector
from edgeapp.errors import UsageError
from edgeapp.journal import Deployment, Journal, Message, Messages
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import load_pack
from edgeapp.pack.names import naming_in
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.classifier import Classifier
from edgeapp.station.source_worker import Windowing, queue_windows
from edgeapp.station.station import Storage
from edgeapp.station.targets import station_name, targets, taxa_of
from gallery.naming import Naming
from gallery.taxon import Taxon

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What the settings ask for, ready to be put together.

    Attributes
    ----------
    classifier : Classifier
    deployment : Deployment
    cutting : Windowing
    keeping : Storage
    outbox : Outbox or None
        To be started and closed by whoever runs the station.
    sweeper : Sweeper or None
        Deletes clips by retention.
    renamer : Renamer or None
        Gives clips the time in their names that their rows have.
    clips : ClipFolder or None
    naming : Naming
        What taxa are called where they are shown and sent.
    keep_levels_days : float
        Age at which sound levels are deleted.
    waits : tuple of str
        What is not done until the clock is set, in words.
    """

    classifier: Classifier
    deployment: Deployment
    cutting: Windowing
    keeping: Storage
    outbox: Outbox | None
    sweeper: Sweeper | None
    renamer: Renamer | None
    clips: ClipFolder | None
    naming: Naming
    keep_levels_days: float
    waits: tuple[str, ...]


def assemble(
    settings: Settings,
    recogniser: Recogniser,
    journal: Journal,
    clock: Clock,
    before: Parts | None = None,
    targets_anew: Collection[str] = (),
) -> Parts:
    """Make the parts of a station.

    Parameters
    ----------
    settings : Settings
    recogniser : Recogniser
    journal : Journal
    clock : Clock
    before : Parts or None
        Those of the station that runs.
    targets_anew : Collection of str
        Which of its targets are connected again.

    Raises
    ------
    BiovitaError
        An invalid option or setting.
    """
    asked_of, hop_s = settings.detections, hop_of(settings, recogniser.pack)
    speech = SpeechDetector(settings.privacy.speech_threshold) if settings.privacy.speech == "drop" else None
    confirmation_of(settings, recogniser.pack)  # impossible settings are an error now
    taxa_of(settings.notify.species, recogniser.taxa)
    filters = filters_of(settings, recogniser.pack, recogniser.taxa)
    asked = clip_settings(settings)
    folder = ClipFolder(asked.folder, log.warning) if asked is not None else None
    recorder = Recorder(
        installed() or "",
        f"{recogniser.pack.name} {recogniser.pack.version}",
        *shared(asked_of.latitude, asked_of.longitude, settings.station.share_location),
    )

    def clips(ring: Ring, stream_id: int) -> Clips:
        assert asked is not None and folder is not None
        return Clips(asked, ring, journal, folder, clock, speech.heard if speech is not None else None, recorder)

    sending = targets(settings, recogniser.taxa, journal, clock)
    return Parts(
        classifier=Classifier(recogniser, filters, speech),
        deployment=deployment(settings, recogniser, filters),
        cutting=Windowing(
            lambda source: recogniser.cut(source, hop_s), kept_s(settings, recogniser.pack), settings.microphone.meters
        ),
        keeping=Storage(
            lambda: confirmation_of(settings, recogniser.pack),
            messages(list(sending), clock) if sending else None,
            clips if asked is not None else None,
            asked_of.longest,
        ),
        outbox=outbox(settings, journal, sending, clock, before.outbox if before is not None else None, targets_anew),
        sweeper=sweeper(settings, journal, folder),
        renamer=Renamer(journal, folder, log.warning) if folder is not None else None,
        clips=folder,
        naming=naming_in(settings.station.language, recogniser.taxa),
        keep_levels_days=settings.microphone.keep_meters,
        waits=waiting_for_clock(settings),
    )


def clock_of(settings: Settings) -> SystemClock:
    """The clock of the machine, as far as the settings trust it."""
    return SystemClock(Sources(trusted=settings.station.clock == "trusted"))


def waiting_for_clock(settings: Settings) -> tuple[str, ...]:
    """What a station with these settings does not do until the clock is set, in words."""
    clips, asked = settings.clips, settings.detections
    waits = ["eBird exports leave detections out"]
    if clips.folder is not None and clips.keep_days is not None:
        waits.insert(0, f"clips are not deleted after {clips.keep_days:g} days")
    if settings.place is not None or asked.range_table is not None:
        waits.append("species are expected as in the whole year")
    return tuple(waits)


def recogniser_of(settings: Settings) -> Recogniser:
    """The pack and gallery that listen."""
    station = settings.station
    return Recogniser(
        load_pack(station.pack),
        station.gallery,
        station.only,
        station.modalities or None,
        station.threads,
        station.provider,
        live=True,
    )


def hop_of(settings: Settings, pack: Pack) -> float:
    """Seconds between windows: the pack's where the settings do not say."""
    hop_s = settings.station.hop
    return pack.audio.hop_s if hop_s is None else hop_s


def kept_s(settings: Settings, pack: Pack) -> float:
    """Seconds of sound that must be kept."""
    clips, detections = clip_settings(settings), settings.detections
    if clips is None:
        return pack.audio.window_s
    # A clip may be asked for as late as the queue of windows is long, and once its detection was confirmed.
    hop_s = hop_of(settings, pack)
    late_s = max(0.0, queue_windows(hop_s) * hop_s - JUDGED_WITHIN_S)
    return clips.ring_s + late_s + (detections.confirm_within if detections.confirm > 1 else 0.0)


def confirmation_of(settings: Settings, pack: Pack) -> Confirmation[Any]:
    """What confirms the detections of one stream."""
    asked = settings.detections
    return Confirmation(asked.confirm, asked.confirm_within, pack.audio.window_s, hop_of(settings, pack))


def retention_of(settings: Settings) -> Retention:
    """Which clips are deleted."""
    clips = settings.clips
    return Retention(clips.keep_days, clips.disk_share, clips.keep_per_species)


def filters_of(settings: Settings, pack: Pack, taxa: tuple[Taxon, ...]) -> Filters:
    """What a detection has to pass; names that the gallery does not have are told."""
    listed, expected = species_list(settings, taxa), range_table(settings, taxa)
    notes = [] if expected is None else expected.notes
    if listed is not None:
        notes = [*unknown_names(f"species list {listed.path}", [one.name for one in listed.unknown]), *notes]
    for note in notes:
        log.warning("%s", note)
    asked = settings.detections
    occurrence = occurrence_of(settings, pack, taxa)
    return Filters(taxa, asked.min_confidence, dict(settings.thresholds), listed, expected, occurrence)


def species_list(settings: Settings, taxa: Sequence[Taxon]) -> SpeciesList | None:
    """The species that may be detected, where there is a list of them."""
    path = settings.detections.species_list
    return None if path is None else SpeciesList.read(path, taxa)


def range_table(settings: Settings, taxa: Sequence[Taxon]) -> SpeciesRange | None:
    """The species expected by a table, where there is one."""
    path, (latitude, longitude) = settings.detections.range_table, settings.place or (None, None)
    return None if path is None else SpeciesRange.read(path, taxa, latitude, longitude)


def occurrence_of(settings: Settings, pack: Pack, taxa: Sequence[Taxon]) -> Occurrence | None:
    """The species expected by the pack's model, where it has one and the place is known.

    Raises
    ------
    UsageError
        A minimum is asked for of a pack without a model.
    """
    least = settings.detections.min_occurrence
    if settings.place is not None and least != 0 and pack.range is not None:
        return Occurrence.of(pack, *settings.place, least, taxa)
    if least:
        raise UsageError(f"pack {pack.name} has no occurrence model", "omit --min-occurrence, or use birdnet")
    return None


def deployment(settings: Settings, recogniser: Recogniser, filters: Filters) -> Deployment:
    """What stays the same during the run, for the journal."""
    asked, station = settings.detections, settings.station
    latitude, longitude = settings.place or (None, None)
    return Deployment(
        pack=recogniser.pack.name,
        pack_version=recogniser.pack.version,
        space=recogniser.pack.space,
        gallery=str(recogniser.gallery_path),
        gallery_sha256=recogniser.origin.gallery_sha256,
        learned_sha256=recogniser.origin.learned_sha256,
        hop_s=hop_of(settings, recogniser.pack),
        thresholds={
            **filters.described(),
            "confirm": asked.confirm,
            "confirm_within_s": asked.confirm_within,
            "longest_s": asked.longest,
            "privacy": settings.privacy.speech,
            "speech_threshold": settings.privacy.speech_threshold,
            "modalities": list(recogniser.vocabulary.modalities),
            "only": list(station.only),
            **recogniser.parameters.to_dict(),
        },
        latitude=latitude,
        longitude=longitude,
        app_version=installed() or "",
        station=station_name(settings),
    )


def clip_settings(settings: Settings) -> ClipSettings | None:
    """How clips are cut; None without a folder for them."""
    clips = settings.clips
    if clips.folder is None:
        return None
    return ClipSettings(clips.folder, clips.format, clips.pre_roll, clips.post_roll, clips.longest)


def sweeper(settings: Settings, journal: Journal, folder: ClipFolder | None) -> Sweeper | None:
    """What deletes clips; None without a folder for them."""
    if folder is None:
        return None
    return Sweeper(retention_of(settings), journal, folder.folder, log.info)


def outbox(
    settings: Settings,
    journal: Journal,
    sending: dict[str, Target],
    clock: Clock,
    before: Outbox | None = None,
    anew: Collection[str] = (),
) -> Outbox | None:
    """What sends messages, with the connections of the one before except to some targets; None without targets."""
    if not sending:
        return None
    # A notification is sent once, at once unless it shows the clip: it hears of updates, and lets them pass.
    following = {
        "mqtt": settings.mqtt.updates,
        "webhook": settings.webhook.updates,
        "notify": settings.notify.picture != SPECTROGRAM,
        "birdweather": False,
    }
    asked = clip_settings(settings)
    wait_s = 0.0 if asked is None else settings.detections.longest + asked.ring_s
    same = before.names & {*sending} - {*anew} if before is not None else ()
    once = {name for name in sending if not following[name]}
    return Outbox(journal, sending, clock, once, wait_s, going_on=before, same=same)


def messages(targets: Sequence[str], clock: Clock) -> Messages:
    """Who is to be told of a detection: every target of its document."""
    return lambda: [Message(target, created=clock.now()) for target in targets]
