"""Pictures of the taxa of a report, with their credits, from a gallery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from edgeapp.web.report.attachments import Attachments
from edgeapp.web.report.model import Heard, Shown
from gallery.errors import GalleryError
from gallery.pictures import Picture, pictures
from gallery.store import Gallery

OF_TAXON = 2
LARGE_BYTES = 2_000_000  # of large pictures in a report; those of further taxa are small


class GalleryPictures:
    """Gives pictures of taxa; a context manager.

    Parameters
    ----------
    path : path or None
        Of the gallery. Without, or where it cannot be read, there are no pictures.
    store : Attachments
        Gets the pictures.
    tell : callable
        Takes one line where the gallery cannot be read.
    """

    def __init__(self, path: str | Path | None, store: Attachments, tell: Callable[[str], None]) -> None:
        self._store, self._tell = store, tell
        self._left = LARGE_BYTES
        self._gallery: Gallery | None = None
        try:
            self._gallery = None if path is None else Gallery.open(path)
        except GalleryError as error:
            self._tell(f"{error}; the report has no pictures")

    def of(self, heard: Heard) -> list[Shown]:
        """Pictures of a taxon, those nearest to the sound of a detection first."""
        if self._gallery is None:
            return []
        try:
            vector = heard.vector
            if vector is not None and vector.shape != (self._gallery.identity.dim,):
                vector = None  # of another pack than the gallery now is
            found = pictures(self._gallery, heard.name.scientific_name, vector, OF_TAXON, heard.candidates)
            return [self._shown(self._gallery, one) for one in found if one.modality == "image"]
        except GalleryError as error:
            self._tell(f"{error}; {heard.name.scientific_name} has no pictures in the report")
            return []

    def _shown(self, gallery: Gallery, picture: Picture) -> Shown:
        jpeg = gallery.thumbnail(picture.id, "large" if self._left > 0 else "small") if picture.thumbnail else None
        self._left -= 0 if jpeg is None else len(jpeg)
        return Shown(
            None if jpeg is None else self._store.add(jpeg, "image/jpeg"),
            picture.scientific_name,
            picture.relative,
            picture.label,
            picture.author,
            picture.licence,
            picture.source,
        )

    def close(self) -> None:
        """Close the gallery."""
        if self._gallery is not None:
            self._gallery.close()

    def __enter__(self) -> GalleryPictures:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
