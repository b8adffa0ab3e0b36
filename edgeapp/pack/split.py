"""An audio encoder in two graphs, as a pack describes it; `edgeapp.runtime.frames` runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeapp.pack.values import mapping, number, whole, words

MOST_EDGE = 4_096
LARGEST = 1e30  # of the numbers between front and trunk: float32, and room to multiply


@dataclass(frozen=True)
class Between:
    """From the frames of a window, whatever its level and offset, to the log-mel of its sound brought to one level.

    The lowest rows of frames are the power in the mel bands; below them stands, for the lowest bands, the product of
    their spectrum with that of a constant. With the mean m of the window a band's power is P - 2 a C + a² D, where a is
    m, or (1 - p) m behind a pre-emphasis p. What the trunk sees is (ln(gain² power + floor) + shift) / spread.

    Attributes
    ----------
    constant : tuple of float
        D of the lowest bands.
    preemphasis : float
    rms, least_rms : float
        What a window is brought to, and the least it is taken for.
    floor, shift, spread : float
    """

    constant: tuple[float, ...]
    preemphasis: float
    rms: float
    least_rms: float
    floor: float
    shift: float
    spread: float

    def __post_init__(self) -> None:
        for value in self.constant:
            number("audio: split: between: constant", value, -LARGEST, LARGEST)
        for name in ("preemphasis", "rms", "least_rms", "floor", "shift", "spread"):
            number(f"audio: split: between: {name}", getattr(self, name), -LARGEST, LARGEST)


@dataclass(frozen=True)
class SplitSpec:
    """The audio encoder once more in two graphs, for a processor: windows that overlap share their frames.

    Attributes
    ----------
    front : str
        Graph of ``waveform`` ``[1, m * hop]`` -> ``frames`` ``[1, bands, m]``.
    trunk : str
        Graph of ``log_mel`` ``[n, n_mels, window_samples / hop]`` -> ``embedding`` ``[n, dim]``. Its weights may lie in
        the file of the whole graph.
    hop : int
        Samples from frame to frame.
    edge : int
        Frames at each end of a sound that would be others in the middle of a longer one.
    between : Between
        What makes a window's log-mel of its frames.
    """

    front: str
    trunk: str
    hop: int
    edge: int
    between: Between

    def __post_init__(self) -> None:
        words("audio: split: front", self.front)
        words("audio: split: trunk", self.trunk)
        whole("audio: split: hop", self.hop, 1, 1 << 24)
        whole("audio: split: edge", self.edge, 0, MOST_EDGE)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SplitSpec:
        """As ``pack.json`` has it.

        Raises
        ------
        KeyError, TypeError, ValueError
            Something is missing, is nothing that is known, or of a wrong type or range.
        """
        values = {**mapping("audio: split", values), "between": mapping("audio: split: between", values["between"])}
        between = {**values["between"], "constant": tuple(values["between"]["constant"])}
        return cls(**{**values, "between": Between(**between)})
