"""One window with its time, its source and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from edgeapp.clock.system import Moment
from edgeapp.detections.verdict import Verdict
from edgeapp.recognition.pipeline import WindowResult, WindowSummary


@dataclass(frozen=True)
class Observation:
    """A window as it is judged, shown and kept.

    Attributes
    ----------
    source : str
        Name of the microphone or of the recording.
    moment : Moment
        When the window began.
    result : WindowResult
    summary : WindowSummary
    verdict : Verdict
    path : tuple of str
        Names of the decided taxon and of what it lies in, from the kingdom down; empty without a decision.
    why : str
        Why a decision was not taken, in words; empty otherwise.
    speech : float or None
        How sure the speech detector is that somebody spoke, 0 to 1; None where it was not asked.
    """

    source: str
    moment: Moment
    result: WindowResult
    summary: WindowSummary
    verdict: Verdict
    path: tuple[str, ...] = ()
    why: str = ""
    speech: float | None = None

    @property
    def mass(self) -> float:
        """Summed probability of the decision, 0 without one."""
        return self.result.decision.mass if self.result.decision else 0.0
