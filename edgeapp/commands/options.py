"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.config.panels import OTHER_INPUT, OUTPUT, RECOGNITION
from edgeapp.errors import UsageError

PACK_HELP = "Folder or name of the pack; the best one installed if not given."
PACK_METAVAR = "NAME|FOLDER"
SOUND_SUFFIXES = (
    ".wav",
    ".flac",
    ".ogg",
    ".mp3",
    ".opus",
    ".m4a",
    ".aif",
    ".aiff",
)  # no words

PackOption = Annotated[
    str | None, typer.Option("--pack", metavar=PACK_METAVAR, help=PACK_HELP, rich_help_panel=RECOGNITION)
]
GalleryOption = Annotated[
    Path | None,
    typer.Option(
        "--gallery", metavar="FILE", help="Gallery file; the pack's own if not given.", rich_help_panel=RECOGNITION
    ),
]
LearnedOption = Annotated[
    str | None,
    typer.Option(
        "--learned",
        metavar="FILE",
        help="Learned gallery, written by `journal learn`; that of the station's journal if not given, none to do "
        "without.",
        rich_help_panel=RECOGNITION,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="NUMBER", help="Number of threads of the encoder.", min=1, rich_help_panel=RECOGNITION
    ),
]
ProviderOption = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="PROVIDER",
        help="Execution provider: auto, cpu, cuda, tensorrt, engine or engine-fp16.",
        rich_help_panel=RECOGNITION,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Output file (written atomically); standard output if not given.",
        rich_help_panel=OUTPUT,
    ),
]
ChannelOption = Annotated[
    str,
    typer.Option(
        "--channel",
        metavar="CHANNEL",
        help="Channel of recordings: mix, left, right, a number from 1, each (as a recording of its own), or best.",
        rich_help_panel=OTHER_INPUT,
    ),
]
ExcelOption = Annotated[
    bool,
    typer.Option(
        "--excel",
        help="CSV for spreadsheets: a byte order mark, and an apostrophe before what would be a formula.",
        rich_help_panel=OUTPUT,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file; the user's own if not given.")
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        "--language",
        metavar="LANGUAGE",
        help="Language of common names, such as de; that of the settings if not given, else English.",
        rich_help_panel=OUTPUT,
    ),
]


def check_excel(excel: bool, format: str) -> None:
    """Raise UsageError where there is no CSV to be made for spreadsheets."""
    if excel and format != "csv":
        raise UsageError(f"--excel: {format} is not for spreadsheets", "use --format csv")
