"""``biovita-edge identify``: identify species in recordings."""

from __future__ import annotations

import io
import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from edgeapp.archive.files import identify as identify_files
from edgeapp.archive.inputs import PassedOver, recordings
from edgeapp.archive.lists import LIST
from edgeapp.audio.channels import MIX, Channel, check_piped
from edgeapp.audio.file import FileSource
from edgeapp.audio.pcm import STDIN, PcmSource
from edgeapp.audio.piped import identified
from edgeapp.audio.source import AudioSource
from edgeapp.commands.identify_output import AppendOption, BeginOption, beginning_with, check_output, ended_early
from edgeapp.commands.options import (
    ChannelOption,
    ExcelOption,
    GalleryOption,
    LanguageOption,
    LearnedOption,
    OutputOption,
    PackOption,
    ProviderOption,
    ThreadsOption,
    check_excel,
)
from edgeapp.commands.place import (
    DateOption,
    LatitudeOption,
    LeastOption,
    LongitudeOption,
    WeekOption,
)
from edgeapp.commands.recognition import (
    KEEP,
    HopOption,
    ModalitiesOption,
    OnlyOption,
    PrivacyOption,
    RangeTableOption,
    SpeechThresholdOption,
    TimeZoneOption,
    recognition_of,
)
from edgeapp.commands.report import ReportAudioOption, ReportFile, ReportOption, recognition_settings
from edgeapp.config.panels import OTHER_INPUT, OUTPUT
from edgeapp.detections.speech import THRESHOLD
from edgeapp.errors import AudioError, UsageError
from edgeapp.file_names import printable
from edgeapp.outputs.destination import Destination
from edgeapp.outputs.writer import APPENDED, WITH_PICTURES, Run, Writer, Writers, writer
from edgeapp.terminal import complain, silent
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
    append: AppendOption = False,
    begin_with: BeginOption = None,
    excel: ExcelOption = False,
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
    only: OnlyOption = None,
    latitude: LatitudeOption = None,
    longitude: LongitudeOption = None,
    week: WeekOption = None,
    date: DateOption = None,
    min_occurrence: LeastOption = None,
    range_table: RangeTableOption = None,
    language: LanguageOption = None,
    hop: HopOption = None,
    pack: PackOption = None,
    gallery: GalleryOption = None,
    learned: LearnedOption = None,
    modalities: ModalitiesOption = None,
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
    channel: ChannelOption = MIX,
    time_zone: TimeZoneOption = None,
    privacy: PrivacyOption = KEEP,
    speech_threshold: SpeechThresholdOption = THRESHOLD,
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

    --append adds to the output file instead of replacing it, in json, ndjson, csv, kaleidoscope and table; several
    processes can add to one file. A run that was interrupted says how to go on: with --from and --append.

    --report writes a page beside any of them that opens in a browser without a network: a summary of the species,
    spectrograms in which the detections are marked and can be heard, pictures, windows without a detection, settings.

    --privacy drop takes out of windows with speech what was recognised in them, by the same decision as `listen`, and
    leaves sound with speech out of a report.

    With a location, only species expected there are reported: by the pack's occurrence model in the week of the
    recording, and by a range table. The number of detections left out is reported on standard error.
    """
    if files.count(STDIN) + files.count(LIST + STDIN) > 1:
        raise UsageError("standard input can be read only once", f"give - or {LIST}- once")
    chosen = Channel.of(channel)
    if STDIN in files:
        check_piped(chosen)
    PcmSource(io.BytesIO(), pcm_rate, pcm_channels, pcm_format)  # an error in the options is told before all else

    check_output(files, format, output, report, append)
    check_excel(excel, format)
    if privacy != KEEP and report is not None and report_audio is ReportAudio.ALL:
        raise UsageError("--report-audio all has the speech that --privacy withholds", "use --report-audio best")
    passed_over = PassedOver()
    found = beginning_with(begin_with, recordings(files, passed_over))
    if pictures and format not in WITH_PICTURES:
        raise UsageError(f"--pictures: {format} has no place for them", f"use --format {', '.join(WITH_PICTURES)}")
    note = silent if quiet else complain
    with ExitStack() as stack:
        report_file = stack.enter_context(ReportFile(report, report_audio))
        results = stack.enter_context(ExitStack())
        destination = results.enter_context(Destination(output, append=append))
        recognition, installed = recognition_of(
            note,
            pack,
            gallery,
            learned,
            only,
            modalities,
            threads,
            provider,
            latitude,
            longitude,
            week,
            date,
            min_occurrence,
            range_table,
            language,
            hop,
            time_zone,
            channel,
            privacy,
            speech_threshold,
        )
        loaded = recognition.load(installed)
        for line in loaded.notes:
            note(printable(line))
        recogniser, naming, expectation, hop_s = loaded.recogniser, loaded.naming, loaded.expectation, loaded.hop_s
        shown = stack.enter_context(Gallery.open(recogniser.gallery_path)) if pictures else None
        at = recognition.place or (None, None)
        run = Run(recogniser.origin, installed.audio.window_s, hop_s, at[0], at[1], shown, excel)
        writing: Writer = writer(format, destination.out, run)
        destination.begin(APPENDED.get(format, ""))
        reporting = None
        if report is not None:
            settings = recognition_settings(
                recogniser, hop_s, recognition.only, expectation, recognition.language, recognition.speech_threshold
            )
            speech = None if loaded.gate is None else loaded.gate.speech
            found = iter(listed := list(found))  # a report shares out its room by the length of the recordings
            reporting = report_file.collect([one.path for one in listed], recogniser, naming, settings, speech)
            writing = Writers(writing, reporting)

        def open_sound(file: str, channel: int = 0) -> AudioSource:
            if file == STDIN:
                return _piped(pcm_rate, pcm_channels, pcm_format, channel)
            return FileSource(file, channel=channel)

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
            recognition.zone,
            chosen,
            destination.whole,
            loaded.gate,
        )
        destination.keep = outcome.written > 0
        if outcome.stopped is not None:
            destination.cut()
        results.close()  # a report that cannot be written leaves them where they belong
        report_code = report_file.write(keep=outcome.written > 0)
    if passed_over:
        note(printable(str(passed_over)))
    if outcome.stopped is not None:
        raise ended_early(outcome, format, output)
    if outcome.given > 1:
        also = f", {outcome.passed_over} passed over" if outcome.passed_over else ""
        note(f"{outcome.done} of {outcome.given} files done, {outcome.failed} failed{also}")
    raise typer.Exit(max(outcome.exit_code, report_code))


def _piped(rate_hz: int, channels: int, format: str, channel: int) -> AudioSource:
    """The sound on standard input: a file of any format, or raw."""
    name = "standard input"
    if sys.stdin is None:
        raise AudioError(f"{name}: is closed", "pipe sound into it")
    return identified(
        sys.stdin.buffer,
        lambda file: PcmSource(file, rate_hz, channels, format, channel=channel),
        lambda file: FileSource(file, channel=channel, name=name, close_file=True),
        name,
    )
