"""``biovita-edge identify``: identify species in recordings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from edgeapp.archive.files import identify as identify_files
from edgeapp.archive.inputs import Found, PassedOver, Refused, recordings
from edgeapp.archive.lists import LIST
from edgeapp.audio.file import FileSource
from edgeapp.audio.pcm import STDIN, PcmSource
from edgeapp.audio.piped import identified
from edgeapp.audio.source import AudioSource
from edgeapp.commands.options import (
    GalleryOption,
    LanguageOption,
    LearnedOption,
    OutputOption,
    PackOption,
    ProviderOption,
    ThreadsOption,
)
from edgeapp.commands.place import (
    DateOption,
    LatitudeOption,
    LeastOption,
    LongitudeOption,
    WeekOption,
    expectation_of,
    place_of,
    week_of,
)
from edgeapp.commands.report import ReportAudioOption, ReportFile, ReportOption, recognition_settings
from edgeapp.config.defaults import language_of, learned_of
from edgeapp.config.panels import OTHER_INPUT, OUTPUT, PLACE, RECOGNITION
from edgeapp.errors import UsageError
from edgeapp.outputs.words import printable
from edgeapp.outputs.writer import WITH_PICTURES, Destination, Run, Writers, check_format, writer
from edgeapp.pack.installed import load_pack
from edgeapp.pack.names import naming_in
from edgeapp.recognition.learned import OtherSpaceError, read_learned
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.terminal import complain
from edgeapp.web.report.stretches import ReportAudio
from gallery.store import Gallery


def identify(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|FOLDER|GLOB|LIST...",
            help="Recordings: WAV, FLAC, OGG, MP3 and more; folders of them, quoted patterns, lists (@FILE, or @- for "
            "standard input). - reads a recording or raw sound from standard input.",
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="Output format: table, json, ndjson, csv, raven, audacity or kaleidoscope.",
            metavar="FORMAT",
            rich_help_panel=OUTPUT,
        ),
    ] = "table",
    output: OutputOption = None,
    report: ReportOption = None,
    report_audio: ReportAudioOption = ReportAudio.BEST,
    top: Annotated[
        int,
        typer.Option("--top", "-k", metavar="NUMBER", help="Number of species to list.", min=1, rich_help_panel=OUTPUT),
    ] = 5,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            help="Pictures of what is detected, from the gallery: in json and ndjson, and shown below a table.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="TAXON",
            help='Only this taxon, at any rank: "Aves", "Parus". May be repeated.',
            rich_help_panel=RECOGNITION,
        ),
    ] = None,
    latitude: LatitudeOption = None,
    longitude: LongitudeOption = None,
    week: WeekOption = None,
    date: DateOption = None,
    min_occurrence: LeastOption = None,
    range_table: Annotated[
        Path | None,
        typer.Option(
            "--range-table",
            metavar="FILE",
            help="Range table (CSV): expected species by place and time; needs a location.",
            rich_help_panel=PLACE,
        ),
    ] = None,
    language: LanguageOption = None,
    hop: Annotated[
        float | None,
        typer.Option(
            "--hop",
            metavar="SECONDS",
            help="Seconds between the starts of windows; the pack's if not given (5 for starter).",
            rich_help_panel=RECOGNITION,
        ),
    ] = None,
    pack: PackOption = None,
    gallery: GalleryOption = None,
    learned: LearnedOption = None,
    modalities: Annotated[
        str | None,
        typer.Option(
            "--modalities",
            metavar="MODALITIES",
            help="Gallery entries to match, separated by commas: text, image, audio.",
            rich_help_panel=RECOGNITION,
        ),
    ] = None,
    threads: ThreadsOption = None,
    provider: ProviderOption = None,
    pcm_format: Annotated[
        str,
        typer.Option(
            "--pcm-format",
            metavar="FORMAT",
            help="Sample format of raw sound: s16le, s24le, s32le or f32le.",
            rich_help_panel=OTHER_INPUT,
        ),
    ] = "s16le",
    pcm_rate: Annotated[
        int,
        typer.Option("--pcm-rate", metavar="HZ", help="Sample rate of raw sound.", min=1, rich_help_panel=OTHER_INPUT),
    ] = 48_000,
    pcm_channels: Annotated[
        int,
        typer.Option(
            "--pcm-channels",
            metavar="NUMBER",
            help="Number of channels of raw sound.",
            min=1,
            rich_help_panel=OTHER_INPUT,
        ),
    ] = 1,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only errors on standard error.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Identify the species in recordings.

    --format json writes one document per file, ndjson one event per line, csv BirdNET's columns (species only). raven,
    audacity and kaleidoscope write one table for all files with a row per detection; times in raven and audacity tables
    are cumulative over the files.

    --pictures adds photos and recordings of what was detected, those most like the sound first, with their authors and
    licences. A terminal that can show images (kitty, or sixels) shows the photos, if textual-image is installed.

    --report writes a page beside any of them that opens in a browser without a network: a summary of the species,
    spectrograms in which the detections are marked and can be heard, pictures, windows without a detection, settings.

    With a location, only species expected there are reported: by the pack's occurrence model in the week of the
    recording, and by a range table. The number of detections left out is reported on standard error.
    """
    if hop is not None and not 0 < hop < float("inf"):
        raise UsageError(f"--hop must be greater than 0, not {hop:g}", "give the seconds between windows")

    if files.count(STDIN) + files.count(LIST + STDIN) > 1:
        raise UsageError("standard input can be read only once", f"give - or {LIST}- once")
    PcmSource(sys.stdin.buffer, pcm_rate, pcm_channels, pcm_format)  # an error in the options is told before all else

    if report is not None and output is not None and report.absolute() == output.absolute():
        raise UsageError(f"{report}: is --output as well", "choose another --report")

    passed_over = PassedOver()
    found: Iterable[Found | Refused] = _sparing(
        recordings(files, passed_over), (("--output", output), ("--report", report))
    )
    check_format(format)
    if pictures and format not in WITH_PICTURES:
        raise UsageError(f"--pictures: {format} has no place for them", f"use --format {', '.join(WITH_PICTURES)}")
    place, in_week = place_of(latitude, longitude), week_of(week, date)
    with ExitStack() as stack:
        destination = stack.enter_context(Destination(output))
        report_file = stack.enter_context(ReportFile(report, report_audio))
        asked = modalities.split(",") if modalities is not None else None
        note = _silent if quiet else complain
        recogniser = Recogniser(load_pack(pack), gallery, only or (), asked, threads, provider)
        _lay_over(recogniser, learned, note)
        tag = language_of(language)
        naming = naming_in(tag, recogniser.taxa)
        audio = recogniser.pack.audio
        hop_s = audio.hop_s if hop is None else hop
        expectation = expectation_of(recogniser, place, in_week, min_occurrence, range_table)
        shown = stack.enter_context(Gallery.open(recogniser.gallery_path)) if pictures else None
        at = place or (None, None)
        run = Run(recogniser.origin, audio.window_s, hop_s, at[0], at[1], shown)
        writing = writer(format, destination.out, run)
        reporting = None
        if report is not None:
            settings = recognition_settings(recogniser, hop_s, only or (), expectation, tag)
            found = list(found)  # a report shares out its room by the length of the recordings
            reporting = report_file.collect([one.path for one in found], recogniser, naming, settings)
            writing = Writers(writing, reporting)

        def open_sound(file: str) -> AudioSource:
            return _piped(pcm_rate, pcm_channels, pcm_format) if file == STDIN else FileSource(file)

        outcome = identify_files(
            found,
            recogniser,
            writing,
            hop_s,
            top,
            note,
            complain,
            open_sound,
            naming,
            expectation,
            None if reporting is None else reporting.listening,
        )
        destination.keep = outcome.done > 0
        report_code = report_file.write(keep=outcome.done > 0)
    if passed_over:
        note(printable(str(passed_over)))
    if outcome.given > 1:
        others = f", {outcome.passed_over} passed over" if outcome.passed_over else ""
        note(f"{outcome.done} of {outcome.given} files done, {outcome.failed} failed{others}")
    raise typer.Exit(max(outcome.exit_code, report_code))


def _piped(rate_hz: int, channels: int, format: str) -> AudioSource:
    """The sound on standard input: a file of any format, or raw."""
    name = "standard input"
    return identified(
        sys.stdin.buffer,
        lambda file: PcmSource(file, rate_hz, channels, format),
        lambda file: FileSource(file, name=name, close_file=True),
        name,
    )


def _lay_over(recogniser: Recogniser, given: str | None, note: Callable[[str], None]) -> None:
    """Take what reviews taught. Where nobody asked for it, it need not be there, nor be of this pack."""
    path, asked = learned_of(given)
    if path is None or not (asked or path.is_file()):
        return
    try:
        recogniser.lay_over(read_learned(path, recogniser.pack.identity))
    except OtherSpaceError as error:
        if asked:
            raise
        note(f"{error.what}; not used")


def _sparing(found: Iterable[Found | Refused], outputs: Iterable[tuple[str, Path | None]]) -> Iterator[Found | Refused]:
    """The same recordings, unless one of them would be overwritten by an output."""
    there = [(option, path, os.stat(path)) for option, path in outputs if path is not None and os.path.isfile(path)]
    for one in found:
        for option, path, state in there:
            if isinstance(one, Found) and _is_file(one.path, state):
                raise UsageError(f"{path}: is one of the recordings", f"choose another {option}")
        yield one


def _is_file(path: str, other: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), other)
    except (OSError, ValueError):
        return False  # a missing file is reported when it is opened


def _silent(text: str) -> None:
    """Discard a note."""
