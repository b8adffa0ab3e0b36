"""Times of samples of live sources."""

from __future__ import annotations

import threading

from edgeapp.clock.system import Clock, Moment, SystemClock

SETTLE_S = 10.0  # a late arrival is corrected by a punctual one at most this old; a crystal drifts 1 ms meanwhile


class Timeline:
    """Dates the positions of a live source by the arrival of its newest samples.

    The start of the source's clock is computed again and again, as the earliest start that the arrivals of the last
    seconds allow: a busy machine makes samples late, never early. So neither a busy reader, nor the drift of the
    card's crystal over weeks, nor a machine that slept falsifies later windows for longer than `SETTLE_S`. Time is
    counted on the clock since boot; the wall clock is asked only when a moment is wanted, so that it may be set at any
    time.

    Parameters
    ----------
    rate_hz : int
    clock : Clock or None
        The machine's own when None.
    """

    def __init__(self, rate_hz: int, clock: Clock | None = None) -> None:
        self._rate_hz = rate_hz
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._period_began_s = 0.0
        self._earliest_s: tuple[float | None, float | None] = (None, None)  # in the period before, and in this one

    def arrived(self, captured_samples: int) -> None:
        """Note that the source has just given the sample before this position."""
        now_s = self._clock.now().boottime_s
        start_s = now_s - captured_samples / self._rate_hz
        with self._lock:
            before, here = self._earliest_s
            if here is None:
                self._period_began_s = now_s
            elif now_s - self._period_began_s >= SETTLE_S / 2:
                before, here = (here if now_s - self._period_began_s < SETTLE_S else None), None
                self._period_began_s = now_s
            self._earliest_s = before, start_s if here is None else min(here, start_s)

    def moment_of(self, position_s: float) -> Moment:
        """When the sound at a position of the source's clock was heard; the present for a source that gave nothing."""
        now = self._clock.now()
        with self._lock:
            starts = [start_s for start_s in self._earliest_s if start_s is not None]
        if not starts:
            return now
        return now.earlier(now.boottime_s - (min(starts) + position_s))
