"""The occurrence model of a pack: which species are expected at a place in a week."""

from __future__ import annotations

from dataclasses import dataclass

from edgeapp.pack.values import number, words

THRESHOLD = 0.03  # BirdNET's


@dataclass(frozen=True)
class RangeSpec:
    """Places and weeks ``[n, 3]`` in, occurrence ``[n, n_labels]`` from 0 to 1 out.

    A place and week are latitude and longitude in degrees, and BirdNET's week, 1 to 48, or -1 for the whole year.

    Attributes
    ----------
    file : str
        The graph.
    taxa : str
        Text in UTF-8, a line for each of its outputs: the scientific name, empty for an output that is no species.
    threshold : float
        Occurrence from which a species is expected.
    """

    file: str
    taxa: str
    threshold: float = THRESHOLD

    def __post_init__(self) -> None:
        words("range: file", self.file)
        words("range: taxa", self.taxa)
        number("range: threshold", self.threshold, 0, 1)
