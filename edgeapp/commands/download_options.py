"""Options of the commands that fetch from public archives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.config.panels import CHOICE, DOWNLOAD, SOURCES

Addresses = Annotated[
    list[str] | None,
    typer.Option(
        "--address",
        metavar="NAME=URL",
        help="Address of a source's mirror, such as `gbif=https://mirror.example/v1`. May be repeated.",
        rich_help_panel=SOURCES,
    ),
]
SpeciesList = Annotated[
    Path | None,
    typer.Option(
        "--species-list",
        metavar="FILE",
        help="Only these species: one scientific name a line, or a species table. Queries are asked for each of them.",
        rich_help_panel=CHOICE,
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate",
        metavar="NUMBER",
        help="Requests a second to every host; each host's own limit if not given.",
        min=0.001,
        rich_help_panel=DOWNLOAD,
    ),
]
KeepFree = Annotated[
    float,
    typer.Option(
        "--keep-free", metavar="MB", help="Space on the disk that stays free.", min=0, rich_help_panel=DOWNLOAD
    ),
]
