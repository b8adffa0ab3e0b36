"""What clips are asked for: windows of detections, the stretches that they grow to, and the sound of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeapp.clock.system import Moment

TOUCH_S = 1e-6  # far below a sample; positions are sums of floats


@dataclass(frozen=True)
class Wanted:
    """A window of a detection that asks for a clip."""

    id: int
    taxon: str
    confidence: float
    moment: Moment
    start_s: float
    end_s: float
    stream_id: int


@dataclass
class Pending:
    """One clip to be: detections of one taxon in touching sound."""

    start_s: float
    end_s: float
    wanted: list[Wanted] = field(default_factory=list)
    full: bool = False  # a detection that touched it no longer fitted in

    def has(self, detection_id: int) -> bool:
        """Whether a window of this detection asks for it."""
        return any(one.id == detection_id for one in self.wanted)

    def touches(self, other: Pending) -> bool:
        """Whether another one is of the same taxon and stream, in touching sound."""
        mine, its = self.wanted[0], other.wanted[0]
        return (
            (mine.taxon, mine.stream_id) == (its.taxon, its.stream_id)
            and self.start_s <= other.end_s + TOUCH_S
            and other.start_s <= self.end_s + TOUCH_S
        )

    def with_other(self, other: Pending) -> Pending:
        """Both as one."""
        wanted = sorted(self.wanted + other.wanted, key=lambda one: one.start_s)
        return Pending(min(self.start_s, other.start_s), max(self.end_s, other.end_s), wanted)


@dataclass
class Served:
    """The last detection of a taxon that had a clip cut for it."""

    id: int
    since_s: float  # its first window
    confidence: float  # of the surest window in its clip
    clip_id: int = 0  # 0 until it is written
    path: Path | None = None


@dataclass(frozen=True)
class Sound:
    """Samples that are judged and written, the same ones for both."""

    start_s: float
    samples: np.ndarray
    wanted: tuple[Wanted, ...]
    shortened: bool = False


def ids_of(wanted: Sequence[Wanted]) -> set[int]:
    """Detections that ask."""
    return {one.id for one in wanted}
