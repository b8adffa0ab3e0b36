"""The pictures beside a detection, the same at every door."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from edgeapp.detections.document import DECIMALS, cleaned
from gallery.pictures import Picture, pictures
from gallery.recognition import Detection
from gallery.store import Gallery

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
