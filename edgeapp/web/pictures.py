"""Pictures beside names, from the gallery of the page."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeapp.journal import Reader
from gallery.errors import GalleryError
from gallery.pictures import Picture, PictureFinder
from gallery.store import Gallery

if TYPE_CHECKING:
    from edgeapp.web.site import Site

SHOWN = 4
_threads = threading.local()


@contextmanager
def _finder_of(site: Site) -> Iterator[tuple[Gallery, PictureFinder] | None]:
    """The gallery of the page, open for reading, one for each thread; None where it cannot be read."""
    opened: dict[str, tuple[Gallery, PictureFinder]] = _threads.__dict__.setdefault("opened", {})
    key = str(site.gallery)
    if site.gallery is None:
        yield None
        return
    if key not in opened:
        try:
            gallery = Gallery.open(site.gallery)
        except GalleryError:
            yield None
            return
        opened[key] = gallery, PictureFinder(gallery, SHOWN)
    try:
        yield opened[key]
    except (GalleryError, sqlite3.Error):
        opened.pop(key)[0].close()
        raise


def pictures_of(
    site: Site, scientific_name: str, vector: np.ndarray | None = None, candidates: Sequence[str] = ()
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
    """
    with suppress(GalleryError), _finder_of(site) as found:
        if found is not None:
            gallery, finder = found
            if vector is not None and len(vector) != gallery.identity.dim:
                vector = None
            return finder.pictures(scientific_name, vector, candidates)
    return []


def pictures_of_row(site: Site, reader: Reader, row: Mapping[str, Any], candidates: Sequence[str]) -> list[Picture]:
    """`pictures_of` a detection of the journal."""
    with _finder_of(site) as found:
        same = found is not None and found[0].identity.space == row["space"]
    vector = reader.vector(row["id"]) if same else None
    return pictures_of(site, row["scientific_name"], vector, candidates)


def thumbnails_of(site: Site, names: Iterable[str]) -> dict[str, Picture]:
    """The photo of each taxon in lists, the same in all of them; taxa without one are left out."""
    shown: dict[str, Picture] = {}
    with suppress(GalleryError), _finder_of(site) as found:
        if found is not None:
            for name in dict.fromkeys(names):
                picture = found[1].thumbnail(name)
                if picture is not None:
                    shown[name] = picture
    return shown


def thumbnail_of(site: Site, entry: int, size: str) -> bytes | None:
    """The picture itself, JPEG or WebP; None where it is not kept."""
    with _finder_of(site) as found:
        return None if found is None else found[0].thumbnail(entry, size)
