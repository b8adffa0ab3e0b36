"""Pictures beside names, from the gallery of the page."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeapp.journal import Reader
from gallery.errors import GalleryError
from gallery.pictures import Picture, pictures
from gallery.store import Gallery

if TYPE_CHECKING:
    from edgeapp.web.site import Site

SHOWN = 4
_threads = threading.local()


@contextmanager
def gallery_of(site: Site) -> Iterator[Gallery | None]:
    """The gallery of the page, open for reading, one for each thread; None where it cannot be read."""
    opened: dict[str, Gallery] = _threads.__dict__.setdefault("opened", {})
    key = str(site.gallery)
    if site.gallery is None:
        yield None
        return
    if key not in opened:
        try:
            opened[key] = Gallery.open(site.gallery)
        except GalleryError:
            yield None
            return
    try:
        yield opened[key]
    except (GalleryError, sqlite3.Error):
        opened.pop(key).close()
        raise


def pictures_of(
    site: Site,
    scientific_name: str,
    vector: np.ndarray | None = None,
    candidates: Sequence[str] = (),
    n: int = SHOWN,
) -> list[Picture]:
    """Photos and recordings to check a name against; none where the gallery cannot be read.

    Parameters
    ----------
    site : Site
    scientific_name : str
        Of a species or a group.
    vector : np.ndarray or None
        [dim] of the sound: what is most like it comes first. One of another space is left out.
    candidates : sequence of str
        Of a group: those to show first.
    n : int
        At most so many photos, and at most so many recordings.
    """
    with gallery_of(site) as gallery:
        if gallery is None:
            return []
        if vector is not None and len(vector) != gallery.identity.dim:
            vector = None
        try:
            return pictures(gallery, scientific_name, vector, n, candidates)
        except GalleryError:
            return []


def pictures_of_row(site: Site, reader: Reader, row: Mapping[str, Any], candidates: Sequence[str]) -> list[Picture]:
    """`pictures_of` a detection of the journal."""
    with gallery_of(site) as gallery:
        same = gallery is not None and gallery.identity.space == row["space"]
    vector = reader.vector(row["id"]) if same else None
    return pictures_of(site, row["scientific_name"], vector, candidates)


def thumbnail_of(site: Site, entry: int, size: str) -> bytes | None:
    """The picture itself, JPEG or WebP; None where it is not kept."""
    with gallery_of(site) as gallery:
        return None if gallery is None else gallery.thumbnail(entry, size)
