"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

PACK_HELP = "Folder or name of the pack; the best one installed if not given."
PACK_METAVAR = "NAME|FOLDER"

LANGUAGE_HELP = "Language of common names, such as de; that of the settings if not given, else English."


def pack_option(panel: str | None = None) -> Any:
    """``--pack``, in a group of the help."""
    return typer.Option("--pack", metavar=PACK_METAVAR, help=PACK_HELP, rich_help_panel=panel)


def language_option(panel: str | None = None) -> Any:
    """``--language``, in a group of the help."""
    return typer.Option("--language", metavar="TAG", help=LANGUAGE_HELP, rich_help_panel=panel)


PackOption = Annotated[str | None, pack_option()]
LanguageOption = Annotated[str | None, language_option()]
