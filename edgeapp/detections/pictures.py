"""The pictures beside a detection, the same at every door."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.detections.document import DECIMALS, cleaned
from gallery.errors import GalleryError
from gallery.pictures import Picture, PictureFinder, pictures
from gallery.recognition import Detection
from gallery.store import Gallery

WAIT_MS = 200  # for another program that writes to the gallery
MOST = 3  # photos, and as many recordings: enough to check a name against


def pictures_of(
    gallery: Gallery, detection: Detection, vector: np.ndarray | None = None, n: int = MOST
) -> list[Picture]:
    """Photos and recordings to check a detection against: of its taxon, or of its candidates where that is a group.

    Parameters
    ----------
    gallery : Gallery
        The one that it was matched with.
    detection : Detection
    vector : numpy.ndarray, optional
        [dim] of its window: what is most like it comes first.
    n : int
        At most so many photos, and at most so many recordings.

    Raises
    ------
    GalleryError
        The gallery cannot be read.
    """
    candidates = [one.scientific_name for one in detection.candidates]
    return pictures(gallery, detection.scientific_name, vector, n, candidates)


def picture_fields(shown: Iterable[Picture]) -> list[dict[str, Any]]:
    """Pictures as the detection document has them."""
    return [
        {
            "id": one.id,
            "modality": one.modality,
            "scientific_name": one.scientific_name,
            "relative": one.relative or None,
            "label": cleaned(one.label) or None,
            "author": cleaned(one.author) or None,
            "licence": cleaned(one.licence) or None,
            "source": cleaned(one.source) or None,
            "similarity": None if one.similarity is None else round(one.similarity, DECIMALS),
            "thumbnail": one.thumbnail,
            "width": one.width,
            "height": one.height,
        }
        for one in shown
    ]


class DocumentPictures:
    """Pictures in the documents of a journal's detections, from one gallery.

    For any thread. What cannot be read, or not within `WAIT_MS`, is told of once, and the document has no pictures
    then: no detection waits for one or is lost with it.

    Parameters
    ----------
    path : path
        Of the gallery.
    n : int
        At most so many photos, and at most so many recordings; 0 gives none.
    tell : callable
        Takes one line.
    """

    def __init__(self, path: str | Path, n: int = MOST, tell: Callable[[str], None] = lambda line: None) -> None:
        self._tell = tell
        self._told: set[str] = set()
        self._gallery: Gallery | None = None
        self._lock = threading.Lock()
        if n == 0:
            return
        try:
            self._gallery = Gallery.open(path, any_thread=True)
            self._gallery.rows(f"PRAGMA busy_timeout = {WAIT_MS}")
            self._finder = PictureFinder(self._gallery, n)
        except GalleryError as error:
            self._say(error)

    def fields(
        self, detection: Detection, space: str, vector: Callable[[], np.ndarray | None] = lambda: None
    ) -> list[dict[str, Any]]:
        """Of a detection, those most like its sound first.

        Parameters
        ----------
        detection : Detection
        space : str
            In which its vector is; one of another space than the gallery's is not compared.
        vector : callable
            Gives [dim] of its most confident window, if it is known.
        """
        sound = vector() if self._gallery is not None and space == self._gallery.identity.space else None
        with self._lock:
            if self._gallery is None:
                return []
            if sound is not None and sound.shape != (self._gallery.identity.dim,):
                sound = None  # damaged
            candidates = [one.scientific_name for one in detection.candidates]
            try:
                return picture_fields(self._finder.pictures(detection.scientific_name, sound, candidates))
            except GalleryError as error:
                self._say(error)
                return []

    def close(self) -> None:
        """Close the gallery; idempotent."""
        with self._lock:
            if self._gallery is not None:
                self._gallery.close()
            self._gallery = None

    def _say(self, error: GalleryError) -> None:
        if str(error) not in self._told:
            self._told.add(str(error))
            self._tell(f"{error}; documents have no pictures")
