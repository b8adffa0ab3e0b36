"""The gallery that a command of ``biovita-edge gallery`` reads or changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeapp.errors import GalleryError
from edgeapp.pack.format import PACK_FILE
from edgeapp.pack.installed import load_pack
from edgeapp.terminal import complain

if TYPE_CHECKING:
    from gallery.entry import Rejection

Shown = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Gallery file; the pack's own if not given.")]
Changed = Annotated[Path, typer.Argument(metavar="FILE", help="Gallery file.")]


def shown(gallery: Path | None, pack: str | None) -> Path:
    """The gallery named, else that of the pack."""
    return gallery if gallery is not None else load_pack(pack, verify=False).gallery_path()


def complain_of(rejection: Rejection) -> None:
    """Say what was not taken, and why, in one line."""
    complain(" ".join(f"{rejection.label}: {rejection.reason}".split()))


def refuse_packed(gallery: Path) -> None:
    """A pack names the sha256 of its gallery: changing that file would make the whole pack unusable."""
    gallery = gallery.resolve()
    try:
        files = json.loads((gallery.parent / PACK_FILE).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if gallery.name in files:
        raise GalleryError(
            f"{gallery}: belongs to the pack {gallery.parent} and must stay as it is",
            "copy it, change the copy, and use it with --gallery",
        )
