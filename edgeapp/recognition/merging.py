"""Consecutive windows of one taxon are one detection."""

from __future__ import annotations

from dataclasses import replace

from edgeapp.recognition.results import Stretch, WindowResult

LONGEST_S = 600.0  # a taxon that goes on for longer is another detection: what waits for its end must not pile up
TOUCHING_S = 1e-6  # windows that only touch are consecutive, whatever the last bit of their times is


class Merger:
    """Merge the detections of a source's windows, in constant memory.

    A taxon that is detected in windows which overlap or touch is one stretch of sound with the confidence of its most
    confident window.

    Parameters
    ----------
    longest_s : float
        Of a stretch; then another begins.
    """

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._open: dict[tuple[str, ...], Stretch] = {}
        self._ended: list[Stretch] = []

    def add(self, window: WindowResult) -> list[Stretch]:
        """Take the next window; gives the stretches that are over, in the order of their starts."""
        for path, stretch in list(self._open.items()):
            if stretch.end_s < window.start_s - TOUCHING_S:
                self._ended.append(self._open.pop(path))
        for detection in window.detections:
            new = Stretch(window.start_s, window.end_s, detection, window.vector)
            before = self._open.pop(detection.path, None)
            if before is not None and window.end_s - before.start_s > self._longest_s:
                self._ended.append(before)
                before = None
            self._open[detection.path] = new if before is None else _joined(before, new)
        return self._released()

    def finish(self) -> list[Stretch]:
        """The stretches that are left at the end of the source."""
        self._ended += self._open.values()
        self._open.clear()
        return self._released()

    def _released(self) -> list[Stretch]:
        """Stretches that are over and before which no open one began."""
        first_s = min((stretch.start_s for stretch in self._open.values()), default=float("inf"))
        self._ended.sort(key=lambda one: (one.start_s, one.end_s, one.detection.path))
        ready = [stretch for stretch in self._ended if stretch.start_s < first_s or not self._open]
        self._ended = self._ended[len(ready) :]
        return ready


def _joined(before: Stretch, new: Stretch) -> Stretch:
    surest = new if new.detection.confidence > before.detection.confidence else before
    return replace(
        surest,
        start_s=min(before.start_s, new.start_s),
        end_s=max(before.end_s, new.end_s),
        windows=before.windows + 1,
    )
