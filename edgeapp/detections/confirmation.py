"""Confirmation: a taxon counts once it was detected in enough non-overlapping windows.

Overlapping windows contain the same call, or the same noise, twice: they are not independent evidence. So only
non-overlapping windows are counted, as many as fit (greedily by end, which is optimal for intervals).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgeapp.audio.windows import HOP_S, WINDOW_S
from edgeapp.errors import UsageError

Token = TypeVar("Token")

WITHIN_S = 60.0
_TOUCHING_S = 1e-6  # windows that only touch share no sound, whatever the last bit of their times is


@dataclass(eq=False)
class _Detected(Generic[Token]):
    """One taxon in one window of the last `within_s` seconds."""

    path: tuple[str, ...]
    start_s: float
    end_s: float
    token: Token
    confirmed: bool = False


class Confirmation(Generic[Token]):
    """Hold back the detections of one stream until they are confirmed.

    A taxon is confirmed as soon as `windows` windows that share no sound, all inside the last `within_s` seconds, were
    detected as this taxon or a taxon below it: *Parus major* confirms *Parus*, *Parus* does not confirm *Parus
    major*. Then the unconfirmed detections of this taxon in those seconds are confirmed too, each of them once.

    With windows of 10 s and a hop of 5 s, `windows=2` needs two windows whose starts are at least 10 s apart, so at
    least 20 s of distinct sound: a bird that calls once, in the 5 s that two windows share, stays unconfirmed.

    Parameters
    ----------
    windows : int
        Non-overlapping windows required; 1 confirms everything at once.
    within_s : float
        Seconds in which they must lie, from the start of the first to the end of the last.
    window_s, hop_s : float
        How the windows are cut, to refuse settings that could never confirm.

    Raises
    ------
    UsageError
        `windows` is below 1, or so many windows do not fit into `within_s`.
    """

    def __init__(
        self, windows: int = 1, within_s: float = WITHIN_S, window_s: float = WINDOW_S, hop_s: float = HOP_S
    ) -> None:
        if windows < 1:
            raise UsageError(f"confirm must be at least 1, not {windows}", "give the number of windows")
        if not 0 < within_s < math.inf:
            raise UsageError(f"confirm_within must be greater than 0, not {within_s:g}", "give the seconds")
        needed_s = shortest_s(windows, window_s, hop_s)
        if windows > 1 and needed_s > within_s + _TOUCHING_S:
            raise UsageError(
                f"{windows} non-overlapping windows of {window_s:g} s need {needed_s:g} s, more than the {within_s:g} s"
                f" allowed, so nothing would ever be confirmed",
                f"confirm within {needed_s:g} s or more, or by fewer windows",
            )
        self._windows = windows
        self._within_s = within_s
        self._recent: deque[_Detected[Token]] = deque()

    def add(self, name_path: Sequence[str], start_s: float, end_s: float, token: Token) -> list[Token]:
        """Take the next detection of a window of the stream.

        Parameters
        ----------
        name_path : sequence of str
            The taxon's names from the kingdom down, as `gallery.taxon.Taxon.path` gives them.
        start_s, end_s : float
            The window, on the stream's clock. Windows come in the order of their ends.
        token : object
            Represents the detection, for instance its row in the journal.

        Returns
        -------
        list
            Tokens that are confirmed now, oldest first, the new one included; empty while it stays unconfirmed and
            confirms nothing.

        Raises
        ------
        ValueError
            The window ends before the one that came last: it belongs to another stream.
        """
        if self._windows == 1:
            return [token]
        if self._recent and end_s < self._recent[-1].end_s - _TOUCHING_S:
            raise ValueError(f"a window that ends at {end_s} s after one that ended at {self._recent[-1].end_s} s")
        since_s = end_s - self._within_s - _TOUCHING_S
        # Ends are in order and starts may not be (the last window of a file is cut from its end), so look at each.
        new = _Detected(tuple(name_path), start_s, end_s, token)
        self._recent = deque(one for one in (*self._recent, new) if one.start_s >= since_s)
        waiting = {one.path for one in self._recent if not one.confirmed}
        reached = {path for path in waiting if self._distinct(path) >= self._windows}
        confirmed = [one for one in self._recent if not one.confirmed and one.path in reached]
        for one in confirmed:
            one.confirmed = True
        return [one.token for one in confirmed]

    def go_on_from(self, before: Confirmation[Token]) -> None:
        """Remember what the stream was given so far, whatever was asked for then."""
        self._recent = deque(before._recent)

    def __len__(self) -> int:
        """Detections that are remembered: never more than the windows of `within_s` seconds hold."""
        return len(self._recent)

    def _distinct(self, path: tuple[str, ...]) -> int:
        """Most windows without common sound that were detected as the taxon or as something inside it."""
        count, free_s = 0, -math.inf
        for one in self._recent:
            if _inside(one.path, path) and one.start_s >= free_s - _TOUCHING_S:
                count += 1
                free_s = one.end_s
        return count


def shortest_s(windows: int, window_s: float = WINDOW_S, hop_s: float = HOP_S) -> float:
    """Seconds from the start of the first to the end of the last of so many windows that share no sound."""
    apart = math.ceil(window_s / hop_s - _TOUCHING_S) * hop_s
    return (windows - 1) * apart + window_s


def _inside(path: tuple[str, ...], group: tuple[str, ...]) -> bool:
    """Whether a taxon is the group or belongs to it."""
    return path[: len(group)] == group
