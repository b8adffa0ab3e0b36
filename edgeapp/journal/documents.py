"""A row of the journal as the detection document, the same for the list, the exports and the messages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from edgeapp.clock.system import Moment
from edgeapp.clock.utc import utc_of
from edgeapp.detections.document import (
    CLOCK_CORRECTED,
    CLOCK_SET,
    CLOCK_UNSET,
    Review,
    Source,
    detection_document,
    document_id,
)
from edgeapp.detections.sharing import EXACT, shared
from edgeapp.journal.records import CLIP_PARTS
from edgeapp.recognition.results import Origin
from gallery.candidates import Candidate
from gallery.naming import Naming
from gallery.recognition import Detection

CLOCKS = (CLOCK_UNSET, CLOCK_SET, CLOCK_CORRECTED)  # by `clock_set`
FILE = "file"  # the backend of recordings


def id_of(row: Mapping[str, Any]) -> str:
    """The id in the document of a row of ``detections_in_full``."""
    return document_id(row["station"], row["source"], row["written_utc"] or row["time_utc"], row["id"])


def document_of(
    row: Mapping[str, Any],
    candidates: Sequence[Mapping[str, Any]],
    naming: Naming | None = None,
    pictures: Sequence[dict[str, Any]] = (),
    share_location: str = EXACT,
) -> dict[str, Any]:
    """The document of a detection.

    Parameters
    ----------
    row : Mapping
        Of the view ``detections_in_full``.
    candidates : sequence of Mapping
        Its rows of ``candidates``, in order.
    naming : Naming, optional
        What taxa are called; as the journal has it, in English, if not given.
    pictures : sequence of dict
        Pictures to check against.
    share_location : str
        One of `edgeapp.detections.sharing.SHARING`.
    """
    latitude, longitude = shared(row["latitude"], row["longitude"], share_location)
    recording = row["source"] if row["backend"] == FILE else None
    clip, review = row["clip_path"], None
    if row["review"] is not None:
        review = Review(row["review"], row["review_name"], row["reviewer"], row["review_note"], row["review_utc"])
    return detection_document(
        (naming or Naming()).detection(detection_of(row, candidates)),
        row["start_s"],
        row["end_s"],
        Source(
            file=recording,
            device=None if recording is not None else row["source"],
            station=row["station"] or None,
            latitude=latitude,
            longitude=longitude,
            channel=row["channel"],
            recorded=None if recording is None else Moment(utc_of(row["stream_started_utc"]), 0.0),
            origin=row["recorded_at_origin"],
            doubt=row["recorded_at_doubt"],
        ),
        Origin(row["pack"], row["pack_version"], row["gallery_sha256"], row["learned_sha256"]),
        id=id_of(row),
        moment=Moment(utc_of(row["time_utc"]), row["boottime_s"] or 0.0),
        clock=CLOCKS[row["clock_set"]],
        clip=None if clip is None else "/".join(PurePath(clip).parts[-CLIP_PARTS:]),
        review=review,
        pictures=pictures,
    )


def detection_of(row: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]]) -> Detection:
    """A row and its candidates as recognition gave them; its path is not kept."""
    return Detection(
        row["taxon_rank"],
        row["scientific_name"],
        row["common_name"] or "",
        (),
        row["confidence"],
        tuple(
            Candidate(
                one["scientific_name"],
                one["common_name"] or "",
                one["confidence"],
                math.nan if one["similarity"] is None else one["similarity"],
            )
            for one in candidates
        ),
    )
