"""Options that several commands of the exporter share, and the groups in which the help shows options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeapp.pack.installed import NAME

# Groups of options in the help.
SOURCE = "What is exported"
PACK = "The pack"
GRAPHS = "Precision and engines"


def _installable(name: str) -> str:
    if not NAME.fullmatch(name):
        raise typer.BadParameter("must be letters, digits, '.', '_', '+' and '-', at most 64, to install the pack")
    return name


def _line(text: str | None) -> str | None:
    if text is not None and not (text.strip() and text.isprintable()):
        raise typer.BadParameter("must be one line of text")
    return text


Version = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="Version of the pack; today's date if not given.", rich_help_panel=PACK, callback=_line
    ),
]
Name = Annotated[
    str, typer.Option(metavar="NAME", help="Name of the pack.", rich_help_panel=PACK, callback=_installable)
]
Licence = Annotated[
    str, typer.Option(metavar="TEXT", help="Licence of the weights.", rich_help_panel=PACK, callback=_line)
]
Out = Annotated[
    Path,
    typer.Option(metavar="FOLDER", help="Folder of the pack; an existing pack is replaced.", rich_help_panel=PACK),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision", metavar="fp32|fp16|int8", help="Precision that the graphs compute in.", rich_help_panel=GRAPHS
    ),
]
Card = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Model card to include in the pack.", rich_help_panel=PACK)
]
