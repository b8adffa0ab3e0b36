"""``biovita-edge gallery photos``: look at the photos of a gallery, and add some."""

from __future__ import annotations

import csv
import json as json_module
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeapp.commands.gallery.photos_add import add
from edgeapp.commands.options import GalleryOption, JsonOption, PackOption
from edgeapp.errors import OutputError, UsageError
from edgeapp.pack.installed import load_pack
from edgeapp.paths import cache_folder
from edgeapp.terminal import complain, counted, tell

if TYPE_CHECKING:
    from gallery.pictures import Picture
    from gallery.store import Gallery

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", help="Show and add photos of a gallery.")
app.command()(add)

VIEWER = "xdg-open"  # of freedesktop.org, on every desktop of Linux
CREDITS = "credits.csv"
CREDIT_COLUMNS = ("file", "scientific_name", "author", "licence", "source", "label")


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Scientific or common name in any language, or a taxon group.")
    ],
    gallery: GalleryOption = None,
    pack: PackOption = None,
    number: Annotated[
        int, typer.Option("--number", "-n", metavar="NUMBER", help="Number of photos at most.", min=1)
    ] = 6,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FOLDER", help=f"Write the photos and {CREDITS} into this folder."),
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Open the photos in the system's viewer.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the photos of a taxon with their authors and licences; of its nearest relatives where it has none.

    A terminal that can show images (kitty, or sixels) shows the photos, if textual-image is installed.
    """
    from gallery.pictures import pictures
    from gallery.store import Gallery

    path = gallery if gallery is not None else load_pack(pack, verify=False).gallery_path()
    with Gallery.open(path) as opened:
        taxon = _meant(opened, name)
        photos = [one for one in pictures(opened, taxon, n=number) if one.modality == "image"]
        whole = True
        if json:
            from edgeapp.detections.pictures import picture_fields

            for fields in picture_fields(photos):
                typer.echo(json_module.dumps(fields, ensure_ascii=False))
        else:
            whole = _show(opened, taxon, photos)
        if save is not None:
            whole = _save(opened, photos, save) and whole
        if open:
            whole = _open(opened, photos) and whole
    if not whole:
        raise typer.Exit(1)


def _meant(gallery: Gallery, name: str) -> str:
    """The accepted name of a species or group, as the gallery spells it."""
    from edgeapp.pack.names import names_of
    from gallery.names_table import key_of

    taxa = gallery.taxa()
    first = taxa[names_of(taxa).rows(name)[0]]
    return next((one for one in first.path() if key_of(one) == key_of(name)), first.scientific_name)


def _show(gallery: Gallery, taxon: str, photos: list[Picture]) -> bool:
    """Print the photos and their credits; whether all thumbnails are whole."""
    from rich.console import Console

    from edgeapp.outputs.pictures import show as show_pictures

    if not photos:
        tell(f"{gallery.path}: no photos of {taxon} or of its relatives")
    return show_pictures(Console(highlight=False), gallery, photos, complain)


def _save(gallery: Gallery, photos: list[Picture], folder: Path) -> bool:
    """Write the large thumbnails and a table of their credits; whether all are whole."""
    from edgeapp.outputs.pictures import decoded
    from edgeapp.outputs.words import one_line
    from gallery import files

    rows, whole = [], True
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in photos:
            jpeg = gallery.thumbnail(one.id, "large") if one.thumbnail else None
            if jpeg is None:
                tell(f"{one.label}: the gallery keeps no picture of it, see {one.source or 'its source'}")
                continue
            try:
                decoded(jpeg)
            except ValueError as error:
                complain(f"{gallery.path}: {one.label} of {one.scientific_name}: {error}")
                whole = False
                continue
            file = _file_name(one)
            with files.replacing(folder / file) as part:
                part.write_bytes(jpeg)
            said = (one.scientific_name, one.author, one.licence, one.source, one.label)
            rows.append((file, *map(one_line, said)))
        with files.replacing(folder / CREDITS) as part, part.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([CREDIT_COLUMNS, *rows])
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror or error})", "check the folder and the free space"
        ) from None
    tell(f"{folder}: {counted(len(rows), 'photo')} and {CREDITS}")
    return whole


def _open(gallery: Gallery, photos: list[Picture]) -> bool:
    """Open the photos in the system's viewer, from the user's cache; whether all are whole."""
    folder = cache_folder() / "photos"
    whole = _save(gallery, photos, folder)
    for one in photos:
        file = folder / _file_name(one)
        if one.thumbnail and file.exists():
            try:
                subprocess.run([VIEWER, file], capture_output=True, check=True)
            except (OSError, subprocess.CalledProcessError):
                raise UsageError(
                    "no program opens photos here", "write them into a folder with --save FOLDER"
                ) from None
    return whole


def _file_name(one: Picture) -> str:
    """``Parus_major_17.jpg``."""
    from edgeapp.file_names import portable

    words = "".join(letter if letter.isalnum() else "_" for letter in one.scientific_name)
    return portable(f"{words[:80]}_{one.id}.jpg")
