"""From a window to its verdict: silence, decision, thresholds and lists, speech. Confirmation comes after."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edgeapp.audio.windows import Window
from edgeapp.clock.system import Moment
from edgeapp.detections.filters import Filters
from edgeapp.detections.verdict import Verdict
from edgeapp.recognition.pipeline import Recogniser
from edgeapp.station.observation import Observation

TOP = 5  # species kept with every detection: the winner and the runners-up


class Speech(Protocol):
    """Tells whether somebody speaks; `edgeapp.detections.speech.SpeechDetector`."""

    @property
    def threshold(self) -> float: ...

    def probability(self, samples: np.ndarray, rate_hz: int) -> float: ...


class Classifier:
    """Name a window and say what becomes of it.

    Parameters
    ----------
    recogniser : Recogniser
    filters : Filters
        What a decision has to pass.
    speech : Speech or None
        Asked about every window that would become a detection; None keeps speech.
    """

    def __init__(self, recogniser: Recogniser, filters: Filters, speech: Speech | None = None) -> None:
        self.recogniser = recogniser
        self._filters = filters
        self._speech = speech

    def classify(self, window: Window, moment: Moment, source: str) -> Observation:
        """Classify one window at the encoder's rate, which began at a moment."""
        [result] = self.recogniser.answer([window])
        why, spoken = "", None
        path: tuple[str, ...] = ()
        if not result.heard:
            verdict = Verdict.SILENT
        elif result.decision is None:
            verdict = Verdict.NOTHING
        else:
            path = self.recogniser.path(result.decision)
            verdict, why = self._filters.judge(result.decision, moment)
            if verdict is Verdict.DETECTION and self._speech is not None:
                spoken = self._speech.probability(window.samples, self.recogniser.pack.audio.rate_hz)
                if spoken >= self._speech.threshold:
                    verdict, why = Verdict.SPEECH, f"speech {spoken:.2f}"
        return Observation(source, moment, result, self.recogniser.summary(result, TOP), verdict, path, why, spoken)
