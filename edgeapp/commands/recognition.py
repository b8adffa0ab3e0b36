"""What `identify` and `archive` are asked for, by the same options, as recognition takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from edgeapp.archive.recognition import Recognition
from edgeapp.audio.channels import Channel
from edgeapp.clock.zones import zone_of
from edgeapp.commands.place import place_of, week_of
from edgeapp.config.defaults import language_of, learned_of
from edgeapp.config.panels import OTHER_INPUT, PLACE, PRIVACY, RECOGNITION
from edgeapp.detections.speech import THRESHOLD
from edgeapp.errors import UsageError
from edgeapp.pack.format import Pack
from edgeapp.pack.installed import load_pack
from edgeapp.recognition.learned import OtherSpaceError, read_learned

DROP, KEEP = "drop", "keep"
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="TAXON",
        help='Only this taxon, at any rank: "Aves", "Parus". May be repeated.',
        rich_help_panel=RECOGNITION,
    ),
]
RangeTableOption = Annotated[
    Path | None,
    typer.Option(
        "--range-table",
        metavar="FILE",
        help="Range table (CSV): expected species by place and time; needs a location.",
        rich_help_panel=PLACE,
    ),
]
HopOption = Annotated[
    float | None,
    typer.Option(
        "--hop",
        metavar="SECONDS",
        help="Seconds between the starts of windows; the pack's if not given (5 for starter).",
        rich_help_panel=RECOGNITION,
    ),
]
TimeZoneOption = Annotated[
    str | None,
    typer.Option(
        "--time-zone",
        metavar="ZONE",
        help='Time zone of recorders that name none: "UTC", "local", "Europe/Berlin", "+02:00".',
        rich_help_panel=OTHER_INPUT,
    ),
]
ModalitiesOption = Annotated[
    str | None,
    typer.Option(
        "--modalities",
        metavar="MODALITIES",
        help="Gallery entries to match, separated by commas: text, image, audio.",
        rich_help_panel=RECOGNITION,
    ),
]


PrivacyOption = Annotated[
    str,
    typer.Option(
        "--privacy",
        metavar="drop|keep",
        help="Windows with speech: drop, as `listen` does, or keep.",
        rich_help_panel=PRIVACY,
    ),
]
SpeechThresholdOption = Annotated[
    float,
    typer.Option(
        "--speech-threshold",
        metavar="CONFIDENCE",
        help="Minimum probability of speech.",
        rich_help_panel=PRIVACY,
    ),
]


def recognition_of(
    note: Callable[[str], None],
    pack: str | None,
    gallery: Path | None,
    learned: str | None,
    only: list[str] | None,
    modalities: str | None,
    threads: int | None,
    provider: str | None,
    latitude: float | None,
    longitude: float | None,
    week: int | None,
    date: str | None,
    min_occurrence: float | None,
    range_table: Path | None,
    language: str | None,
    hop: float | None,
    time_zone: str | None,
    channel: str,
    privacy: str = KEEP,
    speech_threshold: float = THRESHOLD,
) -> tuple[Recognition, Pack]:
    """What the options ask for, and the pack that they mean.

    Parameters
    ----------
    note : callable
        Called with a line on what was left out.

    Raises
    ------
    UsageError, PackError, GalleryError
        Options that are invalid, a pack or a learned gallery that cannot be used.
    """
    if hop is not None and not 0 < hop < float("inf"):
        raise UsageError(f"--hop must be greater than 0, not {hop:g}", "give the seconds between windows")
    place, in_week = place_of(latitude, longitude), week_of(week, date)
    found = load_pack(pack)
    asked = Recognition(
        found.folder,
        gallery,
        _learned(learned, found, note),
        tuple(only or ()),
        None if modalities is None else tuple(modalities.split(",")),
        threads,
        provider,
        place,
        in_week,
        min_occurrence,
        range_table,
        language_of(language),
        hop,
        None if time_zone is None else zone_of(time_zone),
        Channel.of(channel),
        _speech_threshold(privacy, speech_threshold),
    )
    return asked, found


def _speech_threshold(privacy: str, threshold: float) -> float | None:
    """Least probability of speech at which a window is withheld; None keeps speech."""
    if privacy not in (DROP, KEEP):
        raise UsageError(f"--privacy: there is no {privacy!r}", f"use {DROP} or {KEEP}")
    if not 0 < threshold <= 1:
        raise UsageError(f"--speech-threshold is {threshold:g}", "give a number above 0 and at most 1")
    return threshold if privacy == DROP else None


def _learned(given: str | None, pack: Pack, note: Callable[[str], None]) -> Path | None:
    """What reviews taught. Where nobody asked for it, it need not be there, nor be of this pack."""
    path, asked = learned_of(given)
    if path is None or not (asked or path.is_file()):
        return None
    try:
        read_learned(path, pack.identity)
    except OtherSpaceError as error:
        if asked:
            raise
        note(f"{error.what}; not used")
        return None
    return path
