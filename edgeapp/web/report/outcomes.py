"""Windows without a detection, and why: consecutive ones that ended in the same way are one run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgeapp.recognition.results import WindowResult
from edgeapp.web.report.model import Outcome, Outcomes
from edgeapp.web.report.name import SPECIES, Name
from gallery.candidates import Candidate

DETECTED = "with a detection"
SILENT = "silent"
BELOW = "below the threshold"
NOTHING = "nothing known"
UNEXPECTED = "not expected here"
SPEECH = "withheld: speech"
LEAST_CONFIDENCE = 0.01  # of a species that is named: less is as good as nothing


@dataclass(frozen=True)
class Judging:
    """What decides, to tell why a window has no detection.

    Attributes
    ----------
    threshold : float
        Least confidence of a detection.
    name_of : callable
        Number of a taxon to its name.
    """

    threshold: float
    name_of: Callable[[int], Name]


class OutcomeLog:
    """The outcomes of one recording's windows.

    Parameters
    ----------
    judging : Judging
    most : int
        Runs that are kept: those whose likeliest species came nearest.
    """

    def __init__(self, judging: Judging, most: int) -> None:
        self._judging, self._most = judging, most
        self._counts: Counter[str] = Counter()
        self._runs: list[Outcome] = []
        self._left_out = 0

    def add(self, result: WindowResult, species: Sequence[Candidate]) -> None:
        """Take the next window and its likeliest species."""
        outcome = self._outcome(result, species)
        self._counts[DETECTED if outcome is None else outcome.reason] += 1
        if outcome is None:
            return
        before = self._runs[-1] if self._runs else None
        if before is not None and _continues(before, outcome):
            self._runs[-1] = replace(
                before,
                end_s=outcome.end_s,
                windows=before.windows + 1,
                confidence=max(before.confidence, outcome.confidence),
                level_dbfs=max(before.level_dbfs, outcome.level_dbfs),
            )
            return
        self._runs.append(outcome)
        if len(self._runs) > 2 * self._most + 1:
            self._drop(keep_last=True)

    def finish(self) -> Outcomes:
        """All of them."""
        self._drop(keep_last=False)
        return Outcomes(dict(self._counts), tuple(self._runs), self._left_out)

    def _outcome(self, result: WindowResult, species: Sequence[Candidate]) -> Outcome | None:
        if result.detections:
            return None
        reason, likeliest, confidence = SILENT, None, 0.0
        if result.withheld:
            reason = SPEECH
        elif result.heard:
            reason = NOTHING
            surest = int(result.confidences.argmax())
            if result.confidences[surest] >= self._judging.threshold:
                reason, likeliest, confidence = UNEXPECTED, self._judging.name_of(surest), result.confidences[surest]
            elif species and species[0].confidence >= LEAST_CONFIDENCE:
                one = species[0]
                reason, confidence = BELOW, one.confidence
                likeliest = Name(SPECIES, one.scientific_name, one.common_name)
        return Outcome(result.start_s, result.end_s, 1, reason, likeliest, float(confidence), result.level_dbfs)

    def _drop(self, keep_last: bool) -> None:
        """Keep the most telling runs, in order, and the last one where it may go on."""
        last = self._runs[-1:] if keep_last else []
        rest = self._runs[: len(self._runs) - len(last)]
        if len(rest) > self._most:
            surest = sorted(rest, key=lambda run: -run.confidence)[: self._most]
            self._left_out += len(rest) - len(surest)
            self._runs = sorted(surest, key=lambda run: run.start_s) + last


def _continues(before: Outcome, outcome: Outcome) -> bool:
    same = (before.reason, before.likeliest) == (outcome.reason, outcome.likeliest)
    return same and outcome.start_s <= before.end_s + 1e-6


def level_words(level_dbfs: float) -> str:
    """A level as it is shown."""
    return f"{level_dbfs:.0f} dBFS" if math.isfinite(level_dbfs) else "digital silence"
