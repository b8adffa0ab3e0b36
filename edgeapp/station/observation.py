"""One window with its time, source, detections and verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgeapp.clock.system import Moment
from edgeapp.detections.verdict import Verdict
from edgeapp.recognition.results import WindowResult
from gallery.candidates import Candidate
from gallery.naming import Naming
from gallery.recognition import Detection


@dataclass(frozen=True)
class Outcome:
    """Verdict on one detection of a window.

    Attributes
    ----------
    detection : Detection
    verdict : Verdict
    why : str
        Why it was not kept, in words; empty otherwise.
    """

    detection: Detection
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class Observation:
    """A classified window.

    Attributes
    ----------
    source : str
        Name of the microphone or of the recording.
    moment : Moment
        When the window began.
    result : WindowResult
    species : tuple of Candidate
        The likeliest species of the window, detected or not.
    outcomes : tuple of Outcome
        Of its detections, the most confident first, species before groups.
    verdict : Verdict
        How the window ended.
    why : str
        Why nothing of it was kept, in words; empty otherwise.
    speech : float or None
        Probability of speech, 0 to 1; None if not computed.
    """

    source: str
    moment: Moment
    result: WindowResult
    species: tuple[Candidate, ...]
    outcomes: tuple[Outcome, ...]
    verdict: Verdict
    why: str = ""
    speech: float | None = None

    def named(self, naming: Naming) -> Observation:
        """The same with its names in a language."""
        outcomes = tuple(replace(one, detection=naming.detection(one.detection)) for one in self.outcomes)
        return replace(
            self, result=self.result.named(naming), species=naming.candidates(self.species), outcomes=outcomes
        )

    @property
    def detected(self) -> tuple[Detection, ...]:
        """The detections of the window that are kept."""
        return tuple(one.detection for one in self.outcomes if one.verdict is Verdict.DETECTION)
