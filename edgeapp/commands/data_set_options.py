"""Options of ``biovita-edge collect`` for what becomes of the files: what is noted, splits, traits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.config.panels import CHOICE, DATA_SET

Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="short|silence|speech|small",
        help="Leave out files of which this is noted. May be repeated.",
        rich_help_panel=CHOICE,
    ),
]
Speech = Annotated[
    bool,
    typer.Option("--speech/--no-speech", help="Detect speech in recordings.", rich_help_panel=DATA_SET),
]
TestShare = Annotated[
    float,
    typer.Option(
        "--test-share",
        metavar="FRACTION",
        help="Share of the sources that is held out: of observers, days and places.",
        rich_help_panel=DATA_SET,
    ),
]
UnseenBelow = Annotated[
    int | None,
    typer.Option(
        "--unseen-below",
        metavar="NUMBER",
        help="Hold out all of species with fewer recordings; the 2.3 % with fewest if not given.",
        rich_help_panel=DATA_SET,
    ),
]
Traits = Annotated[
    Path | None,
    typer.Option(
        "--traits", metavar="FILE", help="Your own table of traits (CSV), before others.", rich_help_panel=DATA_SET
    ),
]
Avonet = Annotated[
    Path | None,
    typer.Option("--avonet", metavar="FILE", help="AVONET's table of bird species (CSV).", rich_help_panel=DATA_SET),
]
Elton = Annotated[
    list[Path] | None,
    typer.Option(
        "--elton",
        metavar="FILE",
        help="Table of birds or of mammals of EltonTraits 1.0. May be repeated.",
        rich_help_panel=DATA_SET,
    ),
]
