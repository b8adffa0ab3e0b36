"""eBird's Record Format (Extended): what a person has reviewed, as checklists that eBird imports.

The importer takes 19 columns in their order, without a header, in files of at most 1 MB. It does not undo quotes, so no
field may hold a quote, a comma or a line break. Dates are MM/DD/YYYY and times HH:MM, local.

A checklist is one hour at one place and begins with the first record of the hour; a species has one row in it. Species
are given by genus and epithet alone, because eBird reads common names in the language of the account that imports them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo

from edgeapp.detections.review import ReviewVerdict
from edgeapp.errors import OutputError, UsageError
from edgeapp.outputs.records import SPECIES, Record
from edgeapp.outputs.words import one_line
from edgeapp.paths import PROGRAM

COLUMNS = (
    "Common Name",
    "Genus",
    "Species",
    "Number",
    "Species Comments",
    "Location Name",
    "Latitude",
    "Longitude",
    "Date",
    "Start Time",
    "State/Province",
    "Country Code",
    "Protocol",
    "Number of Observers",
    "Duration",
    "All observations reported?",
    "Effort Distance Miles",
    "Effort area acres",
    "Submission Comments",
)
MOST_BYTES = 1_000_000  # eBird says 1 MB; the smaller reading of it is safe in both
PRESENT = "X"  # present, not counted: one bird that sings ten times is not ten birds
INCIDENTAL, STATIONARY = "Incidental", "Stationary"
PROTOCOLS = (INCIDENTAL, STATIONARY)

NOT_REVIEWED = "not confirmed or corrected by a reviewer"
CLOCK_NOT_SET = "from before the clock was set"
NOT_A_SPECIES = "not named to the species"
NOT_LISTED = "corrected to a name that no list of taxa has"

_SPECIES = re.compile(r"([A-Z][a-z-]+) ([a-z][a-z-]+(?: [a-z][a-z-]+)?)")
_FORBIDDEN = str.maketrans({'"': "'", "“": "'", "”": "'", ",": ";"})


@dataclass(frozen=True)
class Site:
    """What eBird needs beyond the detections.

    Attributes
    ----------
    location : str
        Name of the place.
    zone : tzinfo
        Of the place: eBird's dates and times are local.
    state, country : str
        Codes, "BW" and "DE"; eBird finds them from the coordinates when they are empty.
    protocol : str
        ``Incidental``, or ``Stationary`` with ``duration_min``.
    observers : int
    duration_min : int or None
        Minutes listened for each checklist.
    note : str
        Put before the name of the tool in the comments of every checklist.

    Raises
    ------
    UsageError
        No place, a protocol that is not for microphones, or Stationary without its duration.
    """

    location: str
    zone: tzinfo = timezone.utc
    state: str = ""
    country: str = ""
    protocol: str = INCIDENTAL
    observers: int = 1
    duration_min: int | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not plain(self.location):
            raise UsageError("eBird needs the name of the location", "give the name of the location")
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"eBird's protocol {self.protocol!r} is not for microphones", "use Incidental")
        if (self.protocol == STATIONARY) != (self.duration_min is not None):
            raise UsageError("a stationary count and its duration belong together", "give both, or use Incidental")


@dataclass
class _Sighting:
    """A species on a checklist."""

    best: Record
    n: int = 0


@dataclass
class _Checklist:
    """An hour at a place."""

    start: datetime
    latitude: float | None
    longitude: float | None
    sightings: dict[tuple[str, str], _Sighting] = field(default_factory=dict)


def left_out(record: Record) -> str | None:
    """Why a record does not go to eBird; None when it does."""
    if record.review not in (ReviewVerdict.CONFIRMED, ReviewVerdict.CORRECTED):
        return NOT_REVIEWED
    if not record.clock_set:
        return CLOCK_NOT_SET
    if not record.corrected_listed:
        return NOT_LISTED
    if species(record) is None:
        return NOT_A_SPECIES
    return None


def species(record: Record) -> tuple[str, str] | None:
    """Genus and the rest of the name, as reviewed; None above the species."""
    if record.review == ReviewVerdict.CORRECTED:
        name = record.corrected_name
    elif record.taxon_rank == SPECIES:
        name = record.scientific_name
    else:
        return None
    found = _SPECIES.fullmatch(" ".join(name.split()))
    return (found[1], found[2]) if found else None


def document(records: Iterable[Record], site: Site) -> str:
    """The whole file.

    Parameters
    ----------
    records : iterable of Record
        In any order; those with a reason in `left_out` are skipped.
    site : Site

    Raises
    ------
    OutputError
        More than eBird takes in one file.
    """
    lists: dict[tuple[datetime, float | None, float | None], _Checklist] = {}
    for record in records:
        named = species(record)
        if left_out(record) is not None or named is None:
            continue
        time = record.local(site.zone)
        # Without its offset, which eBird is not told: an hour that a clock set back shows twice is one hour there.
        hour = time.replace(minute=0, second=0, microsecond=0, tzinfo=None)
        key = hour, record.latitude, record.longitude
        checklist = lists.setdefault(key, _Checklist(time, record.latitude, record.longitude))
        checklist.start = min(checklist.start, time, key=_on_one_clock)
        sighting = checklist.sightings.setdefault(named, _Sighting(record))
        sighting.n += 1
        if _surer(record, sighting.best):
            sighting.best = record
    lines = []
    for checklist in sorted(lists.values(), key=lambda one: _on_one_clock(one.start)):
        for named, sighting in sorted(checklist.sightings.items()):
            lines.append(",".join(_row(named, sighting, checklist, site).values()) + "\n")
    text = "".join(lines)
    size = len(text.encode("utf-8"))
    if size > MOST_BYTES:
        raise OutputError(
            f"the eBird file would have {size / 1e6:.1f} MB, and eBird takes {MOST_BYTES // 1_000_000} MB",
            "export fewer days at a time",
        )
    return text


def plain(text: str) -> str:
    """Text without what the importer cannot read: quotes, commas, line breaks, control characters."""
    return " ".join(one_line(" ".join(text.split())).translate(_FORBIDDEN).replace("�", " ").split())


def _on_one_clock(local: datetime) -> datetime:
    return local.astimezone(timezone.utc)  # moments of one zone are compared by what its clocks show


def _surer(one: Record, other: Record) -> bool:
    """Whether its name is better founded: the program and a person agree, then the greater confidence."""
    return _footing(one) > _footing(other)


def _footing(record: Record) -> tuple[bool, float]:
    return record.review == ReviewVerdict.CONFIRMED, record.confidence


def _row(named: tuple[str, str], sighting: _Sighting, checklist: _Checklist, site: Site) -> Mapping[str, str]:
    row = dict.fromkeys(COLUMNS, "")
    row["Genus"], row["Species"] = named
    row["Number"] = PRESENT
    row["Species Comments"] = plain(_comment(sighting))
    row["Location Name"] = plain(site.location)
    row["Latitude"] = _degrees(checklist.latitude)
    row["Longitude"] = _degrees(checklist.longitude)
    row["Date"] = checklist.start.strftime("%m/%d/%Y")
    row["Start Time"] = checklist.start.strftime("%H:%M")
    row["State/Province"] = plain(site.state)
    row["Country Code"] = plain(site.country)
    row["Protocol"] = site.protocol
    row["Number of Observers"] = str(site.observers)
    row["Duration"] = "" if site.duration_min is None else str(site.duration_min)
    row["All observations reported?"] = "N"  # a microphone misses what does not call
    row["Submission Comments"] = plain(f"{site.note} Recorded and named by {PROGRAM} ({sighting.best.model})")
    return row


def _comment(sighting: _Sighting) -> str:
    best = sighting.best
    if best.review == ReviewVerdict.CORRECTED:
        said = f"Named by a reviewer; {PROGRAM} said {best.scientific_name} with confidence {best.confidence:.2f}"
    else:
        said = f"{PROGRAM} with confidence {best.confidence:.2f}; confirmed by a reviewer"
    return said if sighting.n == 1 else f"{said}; best of {sighting.n} detections"


def _degrees(angle: float | None) -> str:
    return "" if angle is None else f"{angle:.6f}"
