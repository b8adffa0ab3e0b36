"""Which detections of recordings are expected where and when these were made; the others are counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from edgeapp.clock.weeks import birdnet_week
from edgeapp.detections.filters import Filters
from edgeapp.detections.verdict import Verdict
from edgeapp.recognition.results import Stretch, WindowResult
from gallery.recognition import Detection

SHOWN = 5  # taxa that a note names


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
            notes.append("unknown date: the occurrence of the whole year is used; give --date or --week")
        if self.rejected:
            n = sum(self.rejected.values())
            named = [f"{name} ({count})" for name, count in self.rejected.most_common(SHOWN)]
            more = f" and {len(self.rejected) - SHOWN} more taxa" if len(self.rejected) > SHOWN else ""
            when = "in the whole year" if self._week is None else f"in week {self._week}"
            notes.append(
                f"{n} detection{'' if n == 1 else 's'} not expected at {self._of.place} {when} left out: "
                f"{', '.join(named)}{more}"
            )
        return notes

    def _expects(self, detection: Detection) -> bool:
        return self._of.filters.judge_in(detection, self._week)[0] is not Verdict.OUT_OF_RANGE
