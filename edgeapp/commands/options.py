"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

PACK_HELP = "Folder or name of the pack; the best one installed if not given."
PACK_METAVAR = "NAME|FOLDER"

PackOption = Annotated[str | None, typer.Option("--pack", metavar=PACK_METAVAR, help=PACK_HELP)]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        "--language",
        metavar="TAG",
        help="Language of common names, such as de; that of the settings if not given, else English.",
    ),
]
