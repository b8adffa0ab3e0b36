"""Compare what `identify --format json` wrote on one machine with what it wrote on another.

Strings, times and the lengths of lists have to be equal. Confidences, similarities and other measures may differ by
`TOLERANCE`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOLERANCE = 1e-3
ROUNDING = 1e-9  # of decimal fractions as floats: 0.9458 and 0.9448 differ by no more than 0.001
CONFIDENCES = ("confidence", "probability", "mass")


@dataclass(frozen=True)
class Difference:
    """Two values at one place.

    Attributes
    ----------
    place : str
        Where in the documents: ``documents[0].windows[1].start_s``.
    here, there : object
        The values.
    distance : float or None
        How far apart two measures are; None where two values had to be equal and are not.
    """

    place: str
    here: Any
    there: Any
    distance: float | None = None

    @property
    def too_large(self) -> bool:
        return self.distance is None or not self.distance <= TOLERANCE + ROUNDING  # NaN is too large

    def __str__(self) -> str:
        distance = "" if self.distance is None else f", {self.distance:.4f} apart"
        return f"{self.place}: {self.here!r} here, {self.there!r} on arm64{distance}"


@dataclass(frozen=True)
class Comparison:
    """What was compared.

    Attributes
    ----------
    n_windows, n_confidences : int
        How many windows and confidences.
    largest : Difference or None
        Of all measures compared; None if there was none.
    wrong : tuple of Difference
        What should not be.
    """

    n_windows: int
    n_confidences: int
    largest: Difference | None
    wrong: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Whether there was something to compare and none of it differed."""
        return not self.wrong and self.n_windows > 0 and self.n_confidences > 0


def compare(here: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]) -> Comparison:
    """Compare documents, one a recording, in the same order."""
    found = list(_differences("documents", here, there))
    measures = [one for one in found if one.distance is not None]
    return Comparison(
        sum(len(document.get("windows", ())) for document in here),
        sum(one.place.rpartition(".")[2] in CONFIDENCES for one in measures),
        max(measures, key=lambda one: one.distance or 0.0, default=None),
        tuple(one for one in found if one.too_large),
    )


def _differences(place: str, here: Any, there: Any) -> Iterator[Difference]:
    """Every measure, and every other value that differs."""
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        if here.keys() != there.keys():
            yield Difference(f"{place}, its keys", sorted(here), sorted(there))
        for key in here.keys() & there.keys():
            yield from _differences(f"{place}.{key}", here[key], there[key])
    elif isinstance(here, list) and isinstance(there, list):
        if _are_candidates(here) and _are_candidates(there):
            yield from _candidates(place, here, there)
            return
        if len(here) != len(there):
            yield Difference(f"{place}, its length", len(here), len(there))
        for index, (one, other) in enumerate(zip(here, there)):
            yield from _differences(f"{place}[{index}]", one, other)
    elif isinstance(here, float) and isinstance(there, float) and not place.endswith("_s"):
        yield Difference(place, here, there, abs(here - there))
    elif here != there:
        yield Difference(place, here, there)


def _are_candidates(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(one, Mapping) and "scientific_name" in one for one in values)


def _candidates(place: str, here: list[Any], there: list[Any]) -> Iterator[Difference]:
    """Candidates by name: two that are as good as equal may change places, or only one of them is in the list."""
    ours, theirs = ({one["scientific_name"]: one for one in candidates} for candidates in (here, there))
    for name in sorted(ours.keys() | theirs.keys()):
        where = f"{place}[{name}]"
        if name in ours and name in theirs:
            one, other = ({k: v for k, v in found[name].items() if k != "rank"} for found in (ours, theirs))
            yield from _differences(where, one, other)
        else:
            present, absent = (ours, theirs) if name in ours else (theirs, ours)
            confidence, least = _confidence(present[name]), min(map(_confidence, absent.values()))
            values = (confidence, least) if present is ours else (least, confidence)
            yield Difference(f"{where}, against the last of a list without it", *values, max(0.0, confidence - least))


def _confidence(candidate: Mapping[str, Any]) -> float:
    return float(next(candidate[key] for key in CONFIDENCES if key in candidate))
