"""Which of the offered media are taken: good enough, not the same twice, and not too many of one species.

The draw is by rank: every medium has a number made of the seed and its identifier, and the smallest are taken. So the
same media give the same draw in any order, and what a source adds later displaces only as many as it takes itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from edgeapp.collect.catalogue import Catalogue
from edgeapp.collect.defaults import BURST, PHOTOS
from edgeapp.collect.duplicates import Offered, leave_out_content
from edgeapp.collect.identity import hashed
from edgeapp.collect.notes import WORDS, objection
from edgeapp.collect.row import OFFERED, Row
from edgeapp.errors import UsageError

NOT_RESOLVED = "no taxon was decided"
LOW_QUALITY = "quality below what is asked for"
NOT_GRADED = "quality not graded by its source"
IN_BURST = "burst: more of one observer at one place in one hour"
OVER = {"audio": "more recordings of the species than asked for", "image": "more photos of the species than asked for"}

# Grades of sources, the best first: those of Xeno-canto and of iNaturalist.
SCALES = (("a", "b", "c", "d", "e"), ("research", "needs_id", "casual"))
UNGRADED = ("no score", "no_score", "0", "unrated")  # a source that grades, but not this one
PLACE_DECIMALS = 2  # of degrees: about a kilometre
HOUR = len("2026-05-22T07")


@dataclass(frozen=True)
class Rules:
    """What is taken of that which is offered.

    Attributes
    ----------
    recordings, photos : int or None
        At most so many of a species; None for all.
    seed : int
        Of the draw.
    best_first : bool
        Draw from the best quality grade first; else any grade is as good.
    min_quality : tuple of str
        Least grades, one for each scale: ``("B", "research")``. What is graded on another scale is taken, and so is
        what its source does not grade at all.
    burst : int or None
        At most so many of one observer, species, place and hour; None for all.
    without : tuple of str
        Of `edgeapp.collect.notes.WORDS`: files of which this was found, in an earlier run, are not taken.
    first : tuple of str
        Sources from which is drawn before the others.
    """

    recordings: int | None = None
    photos: int | None = PHOTOS
    seed: int = 0
    best_first: bool = False
    min_quality: tuple[str, ...] = ()
    burst: int | None = BURST
    without: tuple[str, ...] = ()
    first: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("recordings", self.recordings), ("photos", self.photos), ("burst", self.burst)):
            if value is not None and value < (1 if name == "burst" else 0):
                raise UsageError(f"{name} must not be {value}", "give a whole number")
        for word in self.without:
            if word not in WORDS:
                raise UsageError(f"{word!r} is nothing that is noted about files", f"use {', '.join(WORDS)}")
        for grade in self.min_quality:
            if grade_of(grade) is None:
                known = ", ".join(name.upper() if len(name) == 1 else name for scale in SCALES for name in scale)
                raise UsageError(f"{grade!r} is no quality grade", f"use one of {known}")

    def most(self, modality: str) -> int | None:
        """At most so many of a species and modality."""
        return self.recordings if modality == "audio" else self.photos


def grade_of(quality: str) -> tuple[int, int] | None:
    """Scale and place on it, 0 for the best; None for what is no grade."""
    word = quality.strip().casefold().replace(" ", "_").removesuffix("_grade")
    for number, scale in enumerate(SCALES):
        if word in scale:
            return number, scale.index(word)
    return None


def curate(catalogue: Catalogue, rules: Rules) -> None:
    """Choose from all rows that are offered; every other one is left out with a reason.

    Names and licences are decided before, and rows that they rule out are not offered any more. Memory: 33 bytes a row,
    and the rows of one taxon.
    """
    least = dict(grade for grade in map(grade_of, rules.min_quality) if grade is not None)
    with catalogue.transaction():
        unfit: dict[str, list[int]] = {}
        offered = Offered()
        for row in catalogue.rows(OFFERED):
            if reason := _objection(row, least, rules.without):
                unfit.setdefault(reason, []).append(row.key)
            else:
                offered.add(row)
        for reason, keys in unfit.items():
            catalogue.leave_out(keys, reason)
        offered.leave_out(catalogue)
        leave_out_content(catalogue, OFFERED)  # of files that are here already, so that others are drawn for them
        for _, rows in groupby(catalogue.rows(OFFERED, by_taxon=True), key=attrgetter("taxon")):
            _draw(catalogue, [_Drawn.of(row, rules) for row in rows], rules)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What the draw needs of a row."""

    key: int
    modality: str
    grade: int
    rank: int
    burst: int

    @classmethod
    def of(cls, row: Row, rules: Rules) -> _Drawn:
        medium = row.medium
        found = grade_of(medium.quality)
        grade = 0 if not rules.best_first else found[1] if found is not None else len(SCALES[0])
        grade += 10 * (rules.first.index(medium.source) if medium.source in rules.first else len(rules.first))
        return cls(row.key, medium.modality, grade, hashed(rules.seed, medium.source, medium.id), burst_of(row))


def burst_of(row: Row) -> int:
    """The same number for media of one observer, place and hour; 0 where these are not known."""
    medium = row.medium
    if not medium.observer or not medium.recorded_at:
        return 0
    if medium.latitude is not None and medium.longitude is not None:
        place = f"{medium.latitude:.{PLACE_DECIMALS}f} {medium.longitude:.{PLACE_DECIMALS}f}"
    elif medium.country:
        place = medium.country
    else:
        return 0
    return hashed(medium.observer.casefold(), place, medium.recorded_at[:HOUR], medium.modality) or 1


def _objection(row: Row, least: dict[int, int], without: tuple[str, ...]) -> str:
    """Why a row is not fit to be drawn; ``""`` for one that is."""
    if not row.taxon:
        return NOT_RESOLVED
    if row.sha256 and (found := objection(row.notes, without)):
        return found
    if not least:
        return ""
    grade = grade_of(row.medium.quality)
    if grade is not None and grade[0] in least and grade[1] > least[grade[0]]:
        return LOW_QUALITY
    return NOT_GRADED if grade is None and row.medium.quality.strip().casefold() in UNGRADED else ""


def _draw(catalogue: Catalogue, rows: list[_Drawn], rules: Rules) -> None:
    """Choose from the rows of one taxon."""
    rows.sort(key=lambda row: (row.grade, row.rank, row.key))
    bursts: Counter[int] = Counter()
    taken: Counter[str] = Counter()
    chosen: list[int] = []
    left_out: dict[str, list[int]] = {}
    for row in rows:
        most = rules.most(row.modality)
        if row.burst and rules.burst is not None and bursts[row.burst] >= rules.burst:
            left_out.setdefault(IN_BURST, []).append(row.key)
        elif most is not None and taken[row.modality] >= most:
            left_out.setdefault(OVER[row.modality], []).append(row.key)
        else:
            bursts[row.burst] += 1
            taken[row.modality] += 1
            chosen.append(row.key)
    catalogue.choose(chosen)
    for reason, keys in left_out.items():
        catalogue.leave_out(keys, reason)
