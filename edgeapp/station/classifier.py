"""From a window to its verdict: silence, detections, thresholds and lists, speech. Confirmation comes after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from edgeapp.audio.windows import Window
from edgeapp.clock.system import Moment
from edgeapp.detections.filters import Filters
from edgeapp.detections.verdict import Verdict
from edgeapp.recognition.recogniser import Recogniser
from edgeapp.station.observation import Observation, Outcome

TOP = 5  # likeliest species told with every window


class Speech(Protocol):
    """Speech detection; `edgeapp.detections.speech.SpeechDetector`."""

    @property
    def threshold(self) -> float: ...

    def probability(self, samples: np.ndarray, rate_hz: int) -> float: ...


class Classifier:
    """Recognise a window and decide its verdict.

    Parameters
    ----------
    recogniser : Recogniser
    filters : Filters
        What each detection has to pass.
    speech : Speech or None
        Asked once about every window of which a detection would be kept; None keeps speech.
    """

    def __init__(self, recogniser: Recogniser, filters: Filters, speech: Speech | None = None) -> None:
        self.recogniser = recogniser
        self.filters = filters
        self._speech = speech

    def classify(self, window: Window, moment: Moment, source: str) -> Observation:
        """Classify one window at the encoder's rate, which began at a moment."""
        [result] = self.recogniser.answer([window])
        outcomes = [Outcome(one, *self.filters.judge(one, moment)) for one in result.detections]
        spoken = None
        if self._speech is not None and any(one.verdict is Verdict.DETECTION for one in outcomes):
            spoken = self._speech.probability(window.samples, self.recogniser.pack.audio.rate_hz)
            if spoken >= self._speech.threshold:
                why = f"speech {spoken:.2f}"
                outcomes = [
                    replace(one, verdict=Verdict.SPEECH, why=why) if one.verdict is Verdict.DETECTION else one
                    for one in outcomes
                ]
        verdict, why = ended(outcomes) if result.heard else (Verdict.SILENT, "")
        species = self.recogniser.species(result, TOP)
        return Observation(source, moment, result, species, tuple(outcomes), verdict, why, spoken)


def ended(outcomes: Sequence[Outcome]) -> tuple[Verdict, str]:
    """How a heard window ends, and why nothing of it is kept.

    A kept detection decides; then speech; then the verdict of the most confident detection.
    """
    if not outcomes:
        return Verdict.NOTHING, ""
    for first in (Verdict.DETECTION, Verdict.SPEECH):
        for one in outcomes:
            if one.verdict is first:
                return one.verdict, one.why
    refused = max(outcomes, key=lambda one: one.detection.confidence)
    return refused.verdict, refused.why
