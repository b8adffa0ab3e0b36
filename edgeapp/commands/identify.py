"""``biovita-edge identify``: name the species in recordings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from edgeapp.archive.files import identify as identify_files
from edgeapp.audio.file import FileSource
from edgeapp.audio.pcm import STDIN, PcmSource
from edgeapp.audio.source import AudioSource
from edgeapp.commands.options import language_option, pack_option
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
from edgeapp.config.defaults import language_of
from edgeapp.config.panels import OTHER_INPUT, OUTPUT, PLACE, RECOGNITION
from edgeapp.errors import UsageError
from edgeapp.outputs.writer import Destination, Run, check_format, writer
from edgeapp.pack.installed import load_pack
from edgeapp.pack.names import naming_in
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.terminal import complain


def identify(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Recordings: WAV, FLAC, OGG, MP3; - is raw sound.")
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="table, json, ndjson, csv, raven, audacity or kaleidoscope.",
            metavar="FORMAT",
            rich_help_panel=OUTPUT,
        ),
    ] = "table",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write here, whole or not at all, instead of on the screen.", rich_help_panel=OUTPUT
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", "-k", help="Species told per recording and window.", min=1, rich_help_panel=OUTPUT)
    ] = 5,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            help='Keep to this taxon, at any rank: "Aves", "Parus". May be given again.',
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
            help="CSV table of what is to be expected where and when; needs a place.",
            rich_help_panel=PLACE,
        ),
    ] = None,
    language: Annotated[str | None, language_option(OUTPUT)] = None,
    hop: Annotated[
        float | None,
        typer.Option(
            "--hop",
            help="Seconds between windows; the pack's if not given (5 for starter).",
            rich_help_panel=RECOGNITION,
        ),
    ] = None,
    pack: Annotated[str | None, pack_option(RECOGNITION)] = None,
    gallery: Annotated[
        Path | None,
        typer.Option("--gallery", help="Gallery file; the pack's own if not given.", rich_help_panel=RECOGNITION),
    ] = None,
    modalities: Annotated[
        str | None,
        typer.Option(
            "--modalities",
            metavar="LIST",
            help="Gallery entries to match: text,image,audio or some of them.",
            rich_help_panel=RECOGNITION,
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", help="Threads of the encoder.", min=1, rich_help_panel=RECOGNITION)
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            help="What runs the encoder: auto, cpu, cuda, tensorrt, engine or engine-fp16.",
            rich_help_panel=RECOGNITION,
        ),
    ] = None,
    pcm_format: Annotated[
        str,
        typer.Option(
            "--pcm-format", help="Samples of raw sound: s16le, s24le, s32le or f32le.", rich_help_panel=OTHER_INPUT
        ),
    ] = "s16le",
    pcm_rate: Annotated[
        int, typer.Option("--pcm-rate", help="Rate of raw sound, in Hz.", min=1, rich_help_panel=OTHER_INPUT)
    ] = 48_000,
    pcm_channels: Annotated[
        int, typer.Option("--pcm-channels", help="Channels of raw sound.", min=1, rich_help_panel=OTHER_INPUT)
    ] = 1,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No notes on standard error, only errors.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Identify the species in recordings.

    One JSON document per file with --format json; one event per line with ndjson; BirdNET's columns, species only, with
    csv. With raven, audacity and kaleidoscope, one table of all files, a row for each detection; the times of raven
    and audacity run on over the files, as if they were one.

    With a place, only species are told that are to be expected there: by the occurrence model of the pack in the week
    of the recording, and by a range table. What is left out is counted in a note.
    """
    if hop is not None and not 0 < hop < float("inf"):
        raise UsageError(f"a hop of {hop:g} s goes nowhere", "give --hop more than 0 seconds")

    if files.count(STDIN) > 1:
        raise UsageError("standard input can be heard once", "give - once")
    pipe = PcmSource(sys.stdin.buffer, pcm_rate, pcm_channels, pcm_format) if STDIN in files else None

    if output is not None and any(_same_file(output, file) for file in files):
        raise UsageError(f"{output}: is one of the recordings", "name another file with --output")

    check_format(format)
    place, in_week = place_of(latitude, longitude), week_of(week, date)
    with Destination(output) as destination:
        asked = modalities.split(",") if modalities is not None else None
        recogniser = Recogniser(load_pack(pack), gallery, only or (), asked, threads, provider)
        naming = naming_in(language_of(language), recogniser.taxa)
        audio = recogniser.pack.audio
        hop_s = audio.hop_s if hop is None else hop
        expectation = expectation_of(recogniser, place, in_week, min_occurrence, range_table)
        run = Run(recogniser.origin, audio.window_s, hop_s, *(place or (None, None)))
        writing = writer(format, destination.out, run)

        def open_sound(file: str) -> AudioSource:
            return pipe if pipe is not None and file == STDIN else FileSource(file)

        note = _silent if quiet else complain
        outcome = identify_files(
            files, recogniser, writing, hop_s, top, note, complain, open_sound, naming, expectation
        )
        destination.keep = outcome.done > 0
    if len(files) > 1 and not quiet:
        complain(f"{outcome.done} of {len(files)} files done, {outcome.failed} failed")
    raise typer.Exit(outcome.exit_code)


def _same_file(one: Path, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False  # one of them is not there, which is for others to say


def _silent(text: str) -> None:
    """Tell nobody."""
