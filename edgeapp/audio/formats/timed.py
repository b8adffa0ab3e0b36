"""Decoded sound with times put on a clock: silence stands where the times leave a gap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from edgeapp.audio.formats.decoder import BLOCK_FRAMES, Hole, silence
from edgeapp.audio.full_scale import beyond_reason

GAP_S = 0.025  # between what was heard and what follows, from which on it is filled
STEP_S = 0.03  # from a packet to the next: less is a clock that drifts or jitters, and no word is lost on it

Timed = tuple[float | None, np.ndarray]  # seconds, None where that is not known, and frames ``[n, channels]``


def in_time(pieces: Iterable[Timed], rate_hz: int, most_s: float, holes: list[Hole]) -> Iterator[np.ndarray]:
    """Frames of pieces in their order, each at its time.

    Parameters
    ----------
    pieces : iterable of (float or None, np.ndarray)
    rate_hz : int
    most_s : float
        Times that lead further are damaged, and followed no more than those that lead back: the sound goes on.
    holes : list of Hole
        Where something is missing; they are added as they are met.
    """
    position, began, due = 0, None, 0.0
    waiting: list[np.ndarray] = []
    waited = 0
    for time, frames in pieces:
        if time is not None:
            if began is None:
                began, due = time, time
            gap = time - began - position / rate_hz
            if gap < -GAP_S or began + most_s < time:  # another stream, or no time at all
                began, gap, due = time - position / rate_hz, 0.0, time
            if gap > GAP_S:
                missing = round(gap * rate_hz)
                yield from _joined(waiting)
                waiting, waited = [], 0
                if time - due > STEP_S:
                    holes.append(Hole(position, position + missing))
                yield from silence(missing, frames)
                position += missing
            due = time + len(frames) / rate_hz
        if beyond_reason(frames) is not None:  # what a decoder makes of damaged bytes
            holes.append(Hole(position, position + len(frames)))
            frames = np.zeros_like(frames)
        waiting.append(frames)
        waited += len(frames)
        position += len(frames)
        if waited >= BLOCK_FRAMES:
            yield from _joined(waiting)
            waiting, waited = [], 0
    yield from _joined(waiting)


def _joined(pieces: list[np.ndarray]) -> Iterator[np.ndarray]:
    if pieces:
        yield np.concatenate(pieces)
