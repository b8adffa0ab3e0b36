"""Pictures for people: their credits in words, and the photos themselves where a terminal can show them."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rich.text import Text

from edgeapp.file_names import printable

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.console import Console

    from gallery.pictures import Picture
    from gallery.store import Gallery

LIBRARY = "textual_image"
EXTRA = "biovita-edge[pictures]"
HEIGHT_PIXELS = 240  # of the photos in a row: twelve lines of a terminal
GAP_PIXELS = 8
CELL_PIXELS = 10  # width of a letter in most terminals; the library asks the terminal for its own


def credit(picture: Picture) -> str:
    """What a picture shows and whose it is, on one line: "photo: a.jpg, by A. Author, CC BY 4.0, https://…"."""
    what = "photo" if picture.modality == "image" else "recording"
    whom = f" of {picture.scientific_name} (same {picture.relative})" if picture.relative else ""
    said = (
        picture.label,
        f"by {picture.author}" if picture.author else "author unknown",
        picture.licence or "licence not given",
        picture.source,
    )
    return printable(f"{what}{whom}: {', '.join(filter(None, said))}")


def show(console: Console, gallery: Gallery, pictures: Sequence[Picture], complain: Callable[[str], None]) -> bool:
    """Print pictures: the photos in a row, where the terminal can show them, and a line of credits for each.

    Parameters
    ----------
    console : rich.console.Console
    gallery : Gallery
        Where they are from.
    pictures : sequence of Picture
    complain : callable
        Called with a line for each thumbnail that is damaged, and when the library that shows photos is missing.

    Returns
    -------
    bool
        Whether all thumbnails are whole, as far as they were shown.

    Raises
    ------
    GalleryError
        The gallery cannot be read.
    """
    whole = True
    if console.is_terminal and not has_library() and any(one.thumbnail for one in pictures):
        _advise(complain)
    renderable = image_renderable() if console.is_terminal else None
    if renderable is not None:
        photos = []
        for picture in pictures:
            jpeg = gallery.thumbnail(picture.id, "large") if picture.thumbnail else None
            if jpeg is not None:
                try:
                    photos.append(decoded(jpeg))
                except ValueError as error:
                    complain(printable(f"{gallery.path}: {picture.label} of {picture.scientific_name}: {error}"))
                    whole = False
        if photos:
            row = in_a_row(photos)
            console.print(renderable(row, width=min(console.width, -(-row.width // CELL_PIXELS)), height="auto"))
    for picture in pictures:
        console.print(Text(credit(picture), style="dim"), soft_wrap=True)
    return whole


def decoded(jpeg: bytes) -> Image:
    """The picture of a thumbnail; raises ValueError with a line for people where it is damaged."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ValueError("the thumbnail is damaged; add the photo again") from None
    return image


def in_a_row(photos: Sequence[Image]) -> Image:
    """Photos side by side, as high as a row of them or as wide as twice its height."""
    from PIL import Image

    fitted = []
    for one in photos:
        scale = min(2 * HEIGHT_PIXELS / one.width, HEIGHT_PIXELS / one.height)
        fitted.append(one.resize((max(1, round(one.width * scale)), max(1, round(one.height * scale)))))
    row = Image.new("RGB", (sum(one.width + GAP_PIXELS for one in fitted) - GAP_PIXELS, HEIGHT_PIXELS))
    at = 0
    for one in fitted:
        row.paste(one, (at, 0))
        at += one.width + GAP_PIXELS
    return row


@cache
def image_renderable() -> Callable[..., Any] | None:
    """What renders a picture on this terminal, by kitty's protocol or as sixels; None where it shows none.

    It asks the terminal, which takes some hundredths of a second, and so is called only to show a picture.
    """
    if not has_library() or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    renderable = import_module(f"{LIBRARY}.renderable")
    return renderable.Image if renderable.Image in (renderable.SixelImage, renderable.TGPImage) else None


@cache
def has_library() -> bool:
    """Whether the library that shows pictures on terminals is installed."""
    return find_spec(LIBRARY) is not None


@cache
def _advise(complain: Callable[[str], None]) -> None:
    """Say once what shows photos."""
    complain(f"to see the photos in a terminal that can show images: pip install '{EXTRA}'")
