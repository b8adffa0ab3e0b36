"""A detection as it leaves the journal, with what was known about it and what a reviewer said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from edgeapp.detections.review import ReviewVerdict

SPECIES = "species"


@dataclass(frozen=True)
class Record:
    """One detection.

    Attributes
    ----------
    time_utc : datetime
        When it began, aware.
    clock_set : bool
        False when the wall clock was never known to be right, so that the time cannot be trusted.
    start_s, end_s : float
        On the stream's clock.
    source : str
        The microphone, or the file that was heard.
    taxon_rank, scientific_name : str
        Of the taxon, which may stand above the species.
    common_name : str
        Of a species; empty where there is none, and above the species.
    confidence : float
    rate_hz : int
        Of the stream.
    pack, pack_version : str
    latitude, longitude : float or None
        Degrees north and east.
    review : str or None
        Verdict of the last review: ``confirmed``, ``rejected`` or ``corrected``; None without one.
    corrected_name, corrected_common_name : str
        The scientific name a reviewer gave instead, and its common name where that is known.
    clip : str or None
        Sound file with this detection in it: its clip, or the recording itself where a file was heard.
    clip_start_s, clip_end_s : float
        Where that file begins and ends on the stream's clock.
    channel : int or None
        Of a recording, from 1, where one was chosen.
    recorded_at_origin, recorded_at_doubt : str or None
        Of a recording: where its start was read, and what is doubtful about it.
    corrected_listed : bool
        Whether `corrected_name` is in a list of taxa, or was meant although none has it.

    Raises
    ------
    ValueError
        A time without a zone, a review that does not exist, a correction without a name, or a clip without a length.
    """

    time_utc: datetime
    clock_set: bool
    start_s: float
    end_s: float
    source: str
    taxon_rank: str
    scientific_name: str
    common_name: str
    confidence: float
    rate_hz: int
    pack: str
    pack_version: str
    latitude: float | None = None
    longitude: float | None = None
    review: str | None = None
    corrected_name: str = ""
    corrected_common_name: str = ""
    clip: str | None = None
    clip_start_s: float = 0.0
    clip_end_s: float = 0.0
    channel: int | None = None
    recorded_at_origin: str | None = None
    recorded_at_doubt: str | None = None
    corrected_listed: bool = True

    def __post_init__(self) -> None:
        if self.time_utc.utcoffset() is None:
            raise ValueError("the time of a record needs a zone")
        if self.review is not None and self.review not in {verdict.value for verdict in ReviewVerdict}:
            raise ValueError(f"unknown review {self.review!r}")
        if (self.review == ReviewVerdict.CORRECTED) != bool(self.corrected_name):
            raise ValueError("a correction and its name belong together")
        if self.clip is not None and not self.clip_end_s > self.clip_start_s:
            raise ValueError(f"{self.clip}: the clip of a record needs a length")

    @property
    def species(self) -> tuple[str, str]:
        """Scientific and common name of the species, as reviewed; empty above the species."""
        if self.review == ReviewVerdict.CORRECTED:
            return self.corrected_name, self.corrected_common_name
        return (self.scientific_name, self.common_name) if self.taxon_rank == SPECIES else ("", "")

    @property
    def model(self) -> str:
        """The pack and its version."""
        return f"{self.pack} {self.pack_version}".strip()

    @property
    def in_file(self) -> tuple[str, float, float]:
        """Where to hear it: the file, the start and the end inside it; of the stream itself where no sound was kept."""
        if self.clip is None:
            return self.source, self.start_s, self.end_s
        last_s = self.clip_end_s - self.clip_start_s
        start_s = min(max(self.start_s - self.clip_start_s, 0.0), last_s)
        return self.clip, start_s, min(max(self.end_s - self.clip_start_s, start_s), last_s)

    def local(self, zone: tzinfo) -> datetime:
        """Its time on the clocks of a zone, which the time still names."""
        return self.time_utc.astimezone(zone)
