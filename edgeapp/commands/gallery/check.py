"""``biovita-edge gallery check``: whether a gallery is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeapp.commands.gallery.files import Shown, shown
from edgeapp.commands.options import PackOption
from edgeapp.errors import GalleryError
from edgeapp.terminal import complain, counted, say


def check(
    gallery: Shown = None,
    pack: PackOption = None,
    search: Annotated[
        bool, typer.Option("--search", help="Also compare searches by the index with exact ones, which takes longer.")
    ] = False,
) -> None:
    """Check every vector of a gallery, and that the stored means are those of its vectors."""
    from gallery.check import faults, recall
    from gallery.database import DAMAGED
    from gallery.store import Gallery

    path, n = shown(gallery, pack), 0
    with Gallery.open(path) as opened:
        for fault in faults(opened):
            complain(f"{path}: {fault}")
            n += 1
        if n:
            raise GalleryError(f"gallery {path} is damaged: {counted(n, 'fault')}", DAMAGED)
        say(f"{path}: no faults")
        found = recall(opened) if search else None
        if found is not None:
            say(f"{path}: the index finds {found:.1%} of the nearest entries")
