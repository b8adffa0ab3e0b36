"""Which detections of recordings are expected where and when these were made; the others are counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from edgeapp.clock.weeks import birdnet_week
from edgeapp.detections.filters import Filters
from edgeapp.detections.occurrence import Occurrence
from edgeapp.detections.species_range import SpeciesRange
from edgeapp.detections.verdict import Verdict
from edgeapp.errors import UsageError
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.recognition.results import Stretch, WindowResult
from edgeapp.terminal import counted
from gallery.recognition import Detection

SHOWN = 5  # taxa that a note names
UNKNOWN_DATE = "unknown date: the occurrence of the whole year is used; give --date or --week"
NOT_EXPECTED = "not expected at"
WHOLE_YEAR = -1  # in the place of a week


@dataclass(frozen=True)
class Expectation:
    """What is expected at the place of all recordings.

    Attributes
    ----------
    filters : Filters
        With a range table, an occurrence model or both.
    place : str
        In words.
    week : int or None
        BirdNET's, of all recordings; that of each recording's own date when None.
    whole_year : bool
        Whatever the date of a recording is.
    """

    filters: Filters
    place: str
    week: int | None = None
    whole_year: bool = False

    def of(self, day: date | None) -> Expected:
        """What is expected of a recording that began on that day, if it says so."""
        week = self.week
        if week is None and not self.whole_year and day is not None:
            week = birdnet_week(day)
        return Expected(self, week)


class Expected:
    """What is expected of one recording.

    Attributes
    ----------
    species : numpy.ndarray or None
        ``[n_taxa]`` bool: those of the filters' taxa that are expected; None where every one is.
    rejected : Counter
        Detections that are not, by the name of their taxon.
    """

    def __init__(self, expectation: Expectation, week: int | None) -> None:
        self._of, self._week = expectation, week
        self.species: np.ndarray | None = expectation.filters.expected(week)
        self.rejected: Counter[str] = Counter()

    def window(self, result: WindowResult) -> WindowResult:
        """A window with the detections that are expected."""
        return replace(result, detections=tuple(one for one in result.detections if self._expects(one)))

    def keeps(self, stretch: Stretch) -> bool:
        """Whether a detection is expected; it is counted where it is not."""
        if self._expects(stretch.detection):
            return True
        self.rejected[stretch.detection.scientific_name] += 1
        return False

    @property
    def notes(self) -> list[str]:
        """Note for the user: an unknown date, and what was rejected."""
        notes = []
        if self._week is None and not self._of.whole_year:
            notes.append(UNKNOWN_DATE)
        if self.rejected:
            n = sum(self.rejected.values())
            named = [f"{name} ({count})" for name, count in self.rejected.most_common(SHOWN)]
            more = f" and {len(self.rejected) - SHOWN} more taxa" if len(self.rejected) > SHOWN else ""
            when = "in the whole year" if self._week is None else f"in week {self._week}"
            notes.append(
                f"{counted(n, 'detection')} {NOT_EXPECTED} {self._of.place} {when} left out: {', '.join(named)}{more}"
            )
        return notes

    def _expects(self, detection: Detection) -> bool:
        return self._of.filters.judge_in(detection, self._week)[0] is not Verdict.OUT_OF_RANGE


def expectation_of(
    recogniser: Recogniser,
    place: tuple[float, float] | None,
    week: int | None,
    least: float | None,
    table: Path | None,
) -> Expectation | None:
    """The species expected in recordings from a location; None without a location.

    Parameters
    ----------
    recogniser : Recogniser
    place : (float, float) or None
        Latitude and longitude.
    week : int or None
        1 to 48, `WHOLE_YEAR`, or None for the week of each recording.
    least : float or None
        Minimum occurrence; 0 disables the model.
    table : path or None
        The user's range table.

    Raises
    ------
    UsageError
        Options without effect for lack of a location or a model, or an unusable table.
    PackError
        The model is unusable.
    """
    if place is None:
        for option, value in (("--week or --date", week), ("--min-occurrence", least), ("--range-table", table)):
            if value is not None:
                raise UsageError(f"{option} needs a location", "give --latitude and --longitude")
        return None
    pack, taxa = recogniser.pack, recogniser.taxa
    if pack.range is None and (table is None or least):
        raise UsageError(
            f"pack {pack.name} {pack.version} has no occurrence model to filter by",
            "give a --range-table alone, or use a pack that has one, such as birdnet",
        )
    latitude, longitude = place
    expected = SpeciesRange.read(table, taxa, latitude, longitude) if table is not None else None
    occurrence = None
    if pack.range is not None and least != 0:
        occurrence = Occurrence.of(pack, latitude, longitude, least, taxa)
    filters = Filters(taxa, species_range=expected, occurrence=occurrence)
    whole_year = week == WHOLE_YEAR
    return Expectation(filters, f"{latitude:g}, {longitude:g}", None if whole_year else week, whole_year)


def without_own(notes: Iterable[str]) -> list[str]:
    """Notes on a recording without those of what was expected when it was heard."""
    return [note for note in notes if note != UNKNOWN_DATE and not re.match(rf"\d+ detections? {NOT_EXPECTED} ", note)]
