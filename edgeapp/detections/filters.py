"""Filters of detections: thresholds, a species list, and occurrence at a location and time.

Each detection of a window is asked by itself, after it was recognised. A bird that is not on the list is rejected and
counted; it never turns into another species that happens to be on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgeapp.clock.system import Moment
from edgeapp.clock.weeks import birdnet_week
from edgeapp.detections.occurrence import Occurrence
from edgeapp.detections.species_range import SpeciesRange
from edgeapp.detections.verdict import Verdict
from edgeapp.errors import UsageError
from edgeapp.pack.names import names_of
from edgeapp.species_lists import listed
from gallery.errors import TaxonError
from gallery.recognition import Detection
from gallery.taxon import RANKS, Names, Taxon

SUGGESTED = 5  # unknown names of a list for which names that look like them are sought
_DIGITS = range(2, 7)  # decimals of a confidence in a reason: two, or as many as tell it from the threshold


@dataclass(frozen=True)
class UnknownName:
    """A line of a species list that matches no taxon of the gallery, and why."""

    line: int
    name: str
    why: str


@dataclass(frozen=True)
class SpeciesList:
    """The species that may be detected.

    Attributes
    ----------
    path : str
        Where the list was read.
    species : frozenset[str]
        Accepted scientific names: the species of the list, and those of its genera, families and other groups.
    unknown : tuple[UnknownName, ...]
        Lines without a taxon in the gallery, to be shown as a warning.
    """

    path: str
    species: frozenset[str]
    unknown: tuple[UnknownName, ...]

    @classmethod
    def read(cls, path: str | Path, taxa: Sequence[Taxon]) -> SpeciesList:
        """Read a list, see `edgeapp.species_lists`.

        Parameters
        ----------
        path : str or Path
            Text in UTF-8. A name may be a species, a synonym of it, its common name in any language, or a
            group at any rank ("Parus", "Paridae").
        taxa : sequence of Taxon
            Species of the gallery.

        Raises
        ------
        UsageError
            The file cannot be read, or none of its names is in the gallery.
        """
        names = names_of(taxa)
        species: set[str] = set()
        unknown: list[UnknownName] = []
        for number, name in listed(Path(path)):
            try:
                rows = names.rows(name, suggest=len(unknown) < SUGGESTED)
                species |= {taxa[row].scientific_name for row in rows}
            except TaxonError as error:
                unknown.append(UnknownName(number, name, str(error)))
        if not species:
            why = (
                f"matches nothing in the gallery (line {unknown[0].line}: {unknown[0].why})" if unknown else "is empty"
            )
            raise UsageError(f"species list {path} {why}", "write one name on each line")
        return cls(str(path), frozenset(species), tuple(unknown))


@dataclass(frozen=True)
class Filters:
    """What a detection must pass.

    Attributes
    ----------
    taxa : tuple[Taxon, ...]
        Species of the gallery.
    min_confidence : float
        Minimum confidence of a detection without an entry in `thresholds`.
    thresholds : Mapping[str, float]
        Taxon to its minimum confidence. Only the deepest taxon that contains the detected one applies, so a
        threshold of a species can be below that of its family.
    species_list : SpeciesList or None
    species_range : SpeciesRange or None
    occurrence : Occurrence or None

    Raises
    ------
    UsageError
        A threshold is not between 0 and 1, or its taxon is not in the gallery.
    """

    taxa: tuple[Taxon, ...]
    min_confidence: float = 0.0
    thresholds: Mapping[str, float] | None = None
    species_list: SpeciesList | None = None
    species_range: SpeciesRange | None = None
    occurrence: Occurrence | None = None

    def __post_init__(self) -> None:
        for name, least in {"every taxon": self.min_confidence, **(self.thresholds or {})}.items():
            if not 0 <= least <= 1:
                raise UsageError(f"threshold {least:g} of {name} is not between 0 and 1", "give a number from 0 to 1")
        _ = self._least  # an unknown name is an error at the start, not at the first detection

    def judge(self, detection: Detection, moment: Moment) -> tuple[Verdict, str]:
        """Verdict on a detection at a moment; see `judge_in`.

        Where the clock was not set, the week is unknown.
        """
        return self.judge_in(detection, birdnet_week(moment.utc) if moment.clock_set else None)

    def judge_in(self, detection: Detection, week: int | None) -> tuple[Verdict, str]:
        """What becomes of a detection.

        Parameters
        ----------
        detection : Detection
        week : int or None
            BirdNET's, in which it was heard; None for a week that is unknown, and then only the place counts.

        Returns
        -------
        verdict : Verdict
            DETECTION, BELOW, UNLISTED or OUT_OF_RANGE.
        reason : str
            Why it was rejected, in words; empty when it was not.
        """
        least, of = self._least_of(detection.path)
        if detection.confidence < least:
            return Verdict.BELOW, f"{_told_apart(detection.confidence, least)}{f' of {of}' if of else ''}"
        species = self._members.get(detection.path, [])
        is_species, name = detection.taxon_rank == RANKS[-1], detection.scientific_name
        subject = name if is_species else f"no species of {name}"
        no = " not" if is_species else ""
        if self.species_list is not None:
            species = [name for name in species if name in self.species_list.species]
            if not species:
                return Verdict.UNLISTED, f"{subject} is{no} on the species list"
        for expected in (self.species_range, self.occurrence):
            if expected is None:
                continue
            species = [name for name in species if expected.expects(name, week)]
            if not species:
                place = f"{expected.latitude:g}, {expected.longitude:g}"
                when = f" in week {week}" if week is not None else ""
                listed = " on the species list" if self.species_list is not None and not no else ""
                return Verdict.OUT_OF_RANGE, f"{subject}{listed} is{no} expected at {place}{when}"
        return Verdict.DETECTION, ""

    def expected(self, week: int | None) -> np.ndarray | None:
        """Which of `taxa` are expected in a week, ``[n_taxa]`` bool; None where every one is."""
        asked = [one for one in (self.species_range, self.occurrence) if one is not None]
        if not asked:
            return None
        return np.array([all(one.expects(taxon.scientific_name, week) for one in asked) for taxon in self.taxa])

    def described(self) -> dict[str, Any]:
        """The filters for the record of a deployment."""
        described: dict[str, Any] = {
            "min_confidence": self.min_confidence,
            "thresholds": dict(self.thresholds or {}),
        }
        if self.species_list is not None:
            described["species_list"] = {
                "path": self.species_list.path,
                "species": len(self.species_list.species),
                "unknown_names": len(self.species_list.unknown),
            }
        if self.species_range is not None:
            described["range"] = self.species_range.described()
        if self.occurrence is not None:
            described["occurrence"] = self.occurrence.described()
        return described

    @cached_property
    def _members(self) -> dict[tuple[str, ...], list[str]]:
        """Path of each taxon, at every rank, to the species of the gallery in it."""
        found: dict[tuple[str, ...], list[str]] = {}
        for taxon in self.taxa:
            for rank in RANKS:
                found.setdefault(taxon.path(rank), []).append(taxon.scientific_name)
        return found

    @cached_property
    def _least(self) -> dict[tuple[str, ...], tuple[float, str]]:
        """Path of a taxon from the kingdom down to its threshold and its name; several for namesakes."""
        names = names_of(self.taxa) if self.thresholds else Names(())
        least: dict[tuple[str, ...], tuple[float, str]] = {}
        for name, value in (self.thresholds or {}).items():
            try:
                rows = names.rows(name)
            except TaxonError as error:
                raise UsageError(f"threshold of '{name}': {error.what}", error.remedy) from error
            for row in rows:
                path = _path_of(self.taxa[row], name)
                if least.setdefault(path, (value, path[-1])) != (value, path[-1]):
                    raise UsageError(f"{path[-1]} has two thresholds", "keep one of them")
        return least

    def _least_of(self, path: tuple[str, ...]) -> tuple[float, str]:
        """The threshold of the deepest taxon that contains the detected one, and its name; "" for that of all."""
        for depth in range(len(path), 0, -1):
            if path[:depth] in self._least:
                return self._least[path[:depth]]
        return self.min_confidence, ""


def _path_of(taxon: Taxon, name: str) -> tuple[str, ...]:
    """Path of the taxon's group that is called so at the highest rank; of the species itself for its other names."""
    key = " ".join(name.split()).casefold()
    for rank in RANKS:
        if taxon.at(rank).casefold() == key:
            return taxon.path(rank)
    return taxon.path()


def _told_apart(confidence: float, least: float) -> str:
    """ "0.62 under 0.80", with more digits where two would look the same."""
    for digits in _DIGITS:
        if f"{confidence:.{digits}f}" != f"{least:.{digits}f}":
            break
    return f"{confidence:.{digits}f} under {least:.{digits}f}"
