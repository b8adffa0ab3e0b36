"""Pictures for notifications: a photo of the species, or the spectrogram of the clip.

A photo is one that the gallery keeps to be shown, which its licence has to allow, and goes with its author, licence
and source. A clip is only there where clips are kept, and has no speech unless speech is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeapp.audio.spectra.spectrogram import PNG
from edgeapp.clips.picture import drawn
from edgeapp.errors import AudioError
from gallery.errors import GalleryError
from gallery.pictures import Picture, pictures
from gallery.store import Gallery

log = logging.getLogger(__name__)

LOOKED_AT = 3  # photos of a species, of which the first that may be shown is taken


@dataclass(frozen=True)
class Attachment:
    """A picture.

    Attributes
    ----------
    name : str
        File name, whose ending is that of its format.
    content : bytes
    credit : str
        To be shown with it; empty where there is none to give.
    """

    name: str
    content: bytes
    credit: str = ""


Attach = Callable[[Mapping[str, Any]], Attachment | None]


def photo_of_species(gallery: Path) -> Attach:
    """Photos of a gallery; none where it has none of the taxon itself."""

    def attach(document: Mapping[str, Any]) -> Attachment | None:
        name = document["taxon"]["scientific_name"]
        try:
            with Gallery.open(gallery) as opened:
                for one in pictures(opened, name, n=LOOKED_AT):
                    if one.modality == "image" and one.thumbnail and not one.relative:
                        content = opened.thumbnail(one.id, "large")
                        if content is not None:
                            return Attachment(f"{name.replace(' ', '_')}.jpg", content, _credit(one))
        except GalleryError as error:
            log.warning("no photo of %s: %s", name, error)
        return None

    return attach


def spectrogram_of_clip(clip_of: Callable[[str], Path | None]) -> Attach:
    """Spectrograms of clips, whose paths in the document are turned to where they lie."""

    def attach(document: Mapping[str, Any]) -> Attachment | None:
        path = None if document.get("clip") is None else clip_of(str(document["clip"]))
        if path is None or not path.is_file():
            return None
        try:
            return Attachment(f"{path.stem}.png", drawn(path, PNG).content)
        except AudioError as error:  # deleted or damaged meanwhile
            log.warning("no spectrogram of a clip: %s", error)
            return None

    return attach


def _credit(shown: Picture) -> str:
    said = [shown.author or "author unknown", shown.licence, shown.source]
    return f"Photo: {', '.join(word for word in said if word)}"
