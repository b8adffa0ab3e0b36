"""Rows of a journal as records of the export formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from edgeapp.detections.review import ReviewVerdict
from edgeapp.detections.sharing import EXACT, shared
from edgeapp.journal import utc_of
from edgeapp.outputs.records import SPECIES, Record
from edgeapp.pack.names import shipped_species
from gallery.errors import GalleryError
from gallery.naming import Naming
from gallery.store import Gallery
from gallery.taxon import Taxon

BIRDS = "Aves"
NO_BIRD = "no bird"


@cache
def taxa_of(path: str) -> tuple[Taxon, ...]:
    """Taxa of a gallery; empty if it no longer exists."""
    try:
        with Gallery.open(path) as gallery:
            return tuple(gallery.taxa())
    except GalleryError:
        return ()


@cache
def _all_names(path: str) -> frozenset[str]:
    return frozenset(name for taxon in taxa_of(path) for name in taxon.path())


@cache
def _shipped() -> frozenset[str]:
    return frozenset(name for taxon in shipped_species() for name in taxon.path())


class Galleries:
    """The taxa of the galleries of detections, each opened once."""

    def __init__(self) -> None:
        self._taxa: dict[str, dict[str, Taxon]] = {}

    def known(self, path: str) -> dict[str, Taxon]:
        """Taxa of a gallery by scientific name; empty if it no longer exists."""
        if path not in self._taxa:
            self._taxa[path] = {taxon.scientific_name: taxon for taxon in taxa_of(path)}
        return self._taxa[path]

    def has(self, name: str) -> bool:
        """Whether a gallery, or the list that comes with the program, has a taxon of this name, at any rank."""
        return name in _shipped() or any(name in names for names in map(_all_names, self._taxa))

    def is_bird(self, species: str) -> bool:
        """Whether no gallery says otherwise; unknown species are left to the reviewer."""
        found = [taxa[species] for taxa in self._taxa.values() if species in taxa]
        return all(taxon.class_ == BIRDS for taxon in found)


def birds(records: Iterable[Record], galleries: Galleries, left_out: Counter[str]) -> Iterator[Record]:
    """The records of birds; the others are counted."""
    for record in records:
        if galleries.is_bird(record.corrected_name or record.scientific_name):
            yield record
        else:
            left_out[NO_BIRD] += 1


def record_of(row: Mapping[str, Any], galleries: Galleries, naming: Naming, share_location: str = EXACT) -> Record:
    """Convert a row of the journal's view for the exports, with as much of the location as may be shared."""
    latitude, longitude = shared(row["latitude"], row["longitude"], share_location)
    taxa = galleries.known(row["gallery"])
    corrected = row["review_name"] if row["review"] == ReviewVerdict.CORRECTED else ""
    is_species = row["taxon_rank"] == SPECIES
    clip, start_s, end_s = row["clip_path"], row["clip_start_s"], row["clip_end_s"]
    if clip is None and row["backend"] == "file" and row["stream_s"]:
        clip, start_s, end_s = row["source"], 0.0, max(row["stream_s"], row["end_s"])
    return Record(
        time_utc=utc_of(row["time_utc"]),
        clock_set=bool(row["clock_set"]),
        start_s=row["start_s"],
        end_s=row["end_s"],
        source=row["source"],
        taxon_rank=row["taxon_rank"],
        scientific_name=row["scientific_name"],
        common_name=naming.of(row["scientific_name"], row["common_name"] or "") if is_species else "",
        confidence=row["confidence"],
        rate_hz=row["rate_hz"],
        pack=row["pack"],
        pack_version=row["pack_version"],
        latitude=latitude,
        longitude=longitude,
        review=row["review"],
        corrected_name=corrected,
        corrected_common_name=naming.of(corrected, taxa[corrected].common_name if corrected in taxa else ""),
        clip=clip,
        clip_start_s=start_s or 0.0,
        clip_end_s=end_s or 0.0,
        channel=row["channel"],
        recorded_at_origin=row["recorded_at_origin"],
        recorded_at_doubt=row["recorded_at_doubt"],
        corrected_listed=not corrected or bool(row["review_unlisted"]) or galleries.has(corrected),
    )
