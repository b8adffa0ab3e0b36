"""``biovita-edge gallery search``: taxa by their names, entries by what they are like."""

from __future__ import annotations

import json as json_module
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeapp.audio.names import why_no_file
from edgeapp.commands.gallery.files import Shown, shown
from edgeapp.commands.options import SOUND_SUFFIXES, JsonOption, LanguageOption, PackOption
from edgeapp.config.defaults import language_of
from edgeapp.errors import UsageError
from edgeapp.pack.installed import load_pack
from edgeapp.terminal import say

if TYPE_CHECKING:
    import numpy as np

    from edgeapp.pack.format import Pack

WORDS_OF_NAME = 2  # most words of a text that is taken for a misspelt name where no taxon has it


def search(
    query: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE|TEXT",
            help="Name of a species or taxon group in any language, a photo, a recording, or a text.",
        ),
    ],
    gallery: Shown = None,
    pack: PackOption = None,
    json: JsonOption = False,
    language: LanguageOption = None,
    number: Annotated[
        int, typer.Option("--number", "-n", metavar="NUMBER", help="Number of entries at most.", min=1)
    ] = 10,
    modalities: Annotated[
        str,
        typer.Option(
            "--modalities",
            metavar="MODALITIES",
            help="Entries to find, separated by commas: text, image, audio; all if not given.",
        ),
    ] = "",
    similar: Annotated[
        bool, typer.Option("--similar", help="Compare a text with the entries, even if it is a name.")
    ] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every entry, which takes longer.")] = False,
) -> None:
    """List the taxa of a name or group, or the entries that are most like a photo, a recording or a text."""
    from edgeapp.recognition.photos import PHOTO_SUFFIXES
    from gallery.errors import UnknownNameError

    path = shown(gallery, pack)
    is_file = os.path.isfile(query)  # a text may be longer than a path can be
    if not is_file and not similar:
        try:
            list_taxa(path, query, json, language)
            return
        except UnknownNameError as error:
            if query.lower().endswith((*SOUND_SUFFIXES, *PHOTO_SUFFIXES)):
                raise UsageError(f"{query}: {why_no_file(query)}", "check the path") from None
            if len(query.split()) <= WORDS_OF_NAME:
                raise UnknownNameError(error.what, error.remedy_or("other texts need --similar")) from None
    _nearest(path, query, is_file, load_pack(pack), _asked(modalities), number, exact, json)


def list_taxa(path: Path, name: str | None, json: bool, language: str | None) -> None:
    """Print the taxa of a name, or all."""
    from edgeapp.pack.names import names_of, naming_in
    from gallery.store import Gallery

    with Gallery.open(path) as opened:
        taxa, counts = opened.taxa(), opened.counts()
    naming = naming_in(language_of(language), taxa)
    for taxon in taxa if name is None else [taxa[row] for row in names_of(taxa).rows(name)]:
        entries = counts[taxon.scientific_name]
        common_name = naming.of(taxon.scientific_name, taxon.common_name)
        if json:
            named = {"scientific_name": taxon.scientific_name, "common_name": common_name}
            typer.echo(json_module.dumps({**named, "entries": entries}, ensure_ascii=False))
        else:
            held = ", ".join(f"{n} {modality}" for modality, n in entries.items() if n) or "no entries"
            say(f"{taxon.scientific_name:<28} {common_name:<28} {held}")


def _asked(modalities: str) -> list[str] | None:
    from gallery.entry import MODALITIES

    asked = [one.strip() for one in modalities.split(",") if one.strip()]
    for one in asked:
        if one not in MODALITIES:
            raise UsageError(f"unknown modality {one!r}", f"use {', '.join(MODALITIES)}")
    return asked or None


def _nearest(
    path: Path,
    query: str,
    is_file: bool,
    pack: Pack,
    modalities: list[str] | None,
    number: int,
    exact: bool,
    json: bool,
) -> None:
    from dataclasses import asdict

    from gallery.nearest import Nearest
    from gallery.store import Gallery

    with Gallery.open(path, identity=pack.identity) as opened:
        search = Nearest(opened, modalities)
        for one in search.find(_vector(query, is_file, pack), number, exact):
            if json:
                fields = {**asdict(one), "similarity": round(one.similarity, 4)}
                typer.echo(json_module.dumps(fields, ensure_ascii=False))
            else:
                credit = ", ".join(filter(None, (one.author, one.licence, one.source)))
                say(f"{one.similarity:.3f} {one.modality:<5} {one.scientific_name:<28} {one.label}  {credit}".rstrip())


def _vector(query: str, is_file: bool, pack: Pack) -> np.ndarray:
    """Mean direction of a photo, a recording, or a text."""
    from edgeapp.recognition.photos import PHOTO_SUFFIXES
    from edgeapp.recognition.queries import of_photo, of_sound, of_words
    from edgeapp.runtime.encoders import AudioEncoder
    from gallery.products import unit

    if not is_file:
        found = of_words(query, pack)
    elif Path(query).suffix.lower() in PHOTO_SUFFIXES:
        found = of_photo(query, pack)
    else:
        found = of_sound(query, pack, AudioEncoder(pack))
    return unit(found).mean(axis=0)
