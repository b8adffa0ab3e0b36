"""Detections summed up by taxon, and the best of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeapp.detections.review import ReviewVerdict
from edgeapp.web.report.model import Heard
from edgeapp.web.report.name import SPECIES, Name

BEST_OF_TAXON = 3  # stretches that are shown of each taxon


@dataclass
class TaxonTally:
    """One taxon, while detections are counted.

    Attributes
    ----------
    first, last : Heard
        In time; in the order of the recordings where the time is not known.
    confidence : float
        Of the most confident one.
    elsewhere : int
        Recordings that are not among `recordings`, as they were counted before.
    best : list of Heard
        Those to show first, at most `BEST_OF_TAXON`.
    """

    first: Heard
    last: Heard
    count: int = 0
    confidence: float = 0.0
    seconds: float = 0.0
    recordings: set[str] = field(default_factory=set)
    elsewhere: int = 0
    best: list[Heard] = field(default_factory=list)

    @property
    def name(self) -> Name:
        return self.first.name


class Tally:
    """Sums up detections, in memory that grows with the number of taxa alone."""

    def __init__(self) -> None:
        self._taxa: dict[tuple[str, str], TaxonTally] = {}

    def add(self, heard: Heard) -> None:
        """Count one more."""
        key = (heard.name.taxon_rank, heard.name.scientific_name)
        taxon = self._taxa.setdefault(key, TaxonTally(heard, heard))
        taxon.count += 1
        taxon.confidence = max(taxon.confidence, heard.confidence)
        taxon.seconds += heard.end_s - heard.start_s
        taxon.recordings.add(heard.recording)
        if _earlier(heard, taxon.first):
            taxon.first = heard
        if not _earlier(heard, taxon.last):
            taxon.last = heard
        if len(taxon.best) < BEST_OF_TAXON or _worth(heard) > _worth(taxon.best[-1]):
            taxon.best = sorted((*taxon.best, heard), key=_worth, reverse=True)[:BEST_OF_TAXON]

    def merge(self, later: Tally) -> None:
        """Add what was counted apart, of later recordings."""
        for key, added in later._taxa.items():
            taxon = self._taxa.get(key)
            if taxon is None:
                self._taxa[key] = added
                continue
            taxon.count += added.count
            taxon.confidence = max(taxon.confidence, added.confidence)
            taxon.seconds += added.seconds
            taxon.recordings |= added.recordings
            if _earlier(added.first, taxon.first):
                taxon.first = added.first
            if not _earlier(added.last, taxon.last):
                taxon.last = added.last
            taxon.best = sorted((*taxon.best, *added.best), key=_worth, reverse=True)[:BEST_OF_TAXON]

    def taxa(self) -> list[TaxonTally]:
        """Species before groups, each by their number of detections, the most frequent first."""
        return sorted(
            self._taxa.values(),
            key=lambda one: (one.name.taxon_rank != SPECIES, -one.count, -one.confidence, one.name.scientific_name),
        )


def _earlier(one: Heard, other: Heard) -> bool:
    """Whether a detection that was counted later began earlier all the same."""
    return one.time is not None and other.time is not None and one.time < other.time


def _worth(heard: Heard) -> tuple[bool, bool, float]:
    """What is shown of a taxon first: what can be heard, what a reviewer confirmed, and what is most confident."""
    return bool(heard.file), heard.review == ReviewVerdict.CONFIRMED, heard.confidence
