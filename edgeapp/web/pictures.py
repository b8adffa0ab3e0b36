"""Pictures beside names, from the gallery of the page."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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


def pictures_of(site: Site, scientific_name: str, n: int = SHOWN) -> list[Picture]:
    """Photos and recordings of a taxon, or photos of its nearest relatives; none where the gallery cannot be read."""
    with gallery_of(site) as gallery:
        if gallery is None:
            return []
        try:
            return pictures(gallery, scientific_name, n=n)
        except GalleryError:
            return []


def thumbnail_of(site: Site, entry: int, size: str) -> bytes | None:
    """The picture itself, JPEG or WebP; None where it is not kept."""
    with gallery_of(site) as gallery:
        return None if gallery is None else gallery.thumbnail(entry, size)
