"""How fast each host is asked: its rate, its quota, and the pauses that it wants."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

PAUSE_S = 1.0  # after the first refusal, and twice as long after each further one
LONGEST_PAUSE_S = 120.0  # that is not asked for
HOUR_S = 3600.0


class Stopped(Exception):
    """The run is to end: whoever waits or transfers leaves everything so that the next run goes on."""


class LongPause(Exception):
    """A host asks for a longer pause than somebody waits.

    Parameters
    ----------
    left_s : float
        Seconds of it that are left.
    """

    def __init__(self, left_s: float) -> None:
        super().__init__(f"{left_s:.0f} s")
        self.left_s = left_s


@dataclass(frozen=True)
class Manners:
    """What a host bears.

    Attributes
    ----------
    per_s : float
        Requests a second.
    connections : int
        At the same time.
    bytes_per_hour : float or None
    """

    per_s: float = 4.0
    connections: int = 4
    bytes_per_hour: float | None = None


WIKIPEDIA = ".wikipedia.org"  # of any language
MANNERS: Mapping[str, Manners] = {
    # "We ask that you try to keep it to 60 requests per minute"; media "5 GB per hour" (API Recommended Practices)
    "api.inaturalist.org": Manners(1.0, 1),
    "static.inaturalist.org": Manners(2.0, 2, 4.5e9),
    "inaturalist-open-data.s3.amazonaws.com": Manners(20.0, 8),
    "xeno-canto.org": Manners(1.0, 2),  # one request a second (API 3)
    "api.gbif.org": Manners(4.0, 2),
    # API:Etiquette of MediaWiki: requests in series
    "commons.wikimedia.org": Manners(2.0, 1),
    WIKIPEDIA: Manners(2.0, 1),
    "upload.wikimedia.org": Manners(4.0, 2),
}


class _Host:
    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self.next_s = 0.0  # when the next request may begin
        self.paused_until_s = 0.0
        self.pause_s = 0.0
        self.hour_began_s, self.hour_bytes = -HOUR_S, 0


class Pace:
    """Keeps the manners of all hosts; for several threads.

    Parameters
    ----------
    per_s : float, optional
        Requests a second to every host, instead of what is known or the default.
    stop : threading.Event, optional
        Set when the run is to end.
    pause_s : float
        First pause after a refusal that names none, seconds.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self,
        per_s: float | None = None,
        stop: threading.Event | None = None,
        pause_s: float = PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stop = threading.Event() if stop is None else stop
        self._per_s, self._pause_s, self._clock = per_s, pause_s, clock
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def manners(self, host: str) -> Manners:
        """What a host bears, with the rate that was asked for."""
        known = MANNERS.get(host.removeprefix("www."), MANNERS[WIKIPEDIA] if host.endswith(WIKIPEDIA) else Manners())
        return known if self._per_s is None else Manners(self._per_s, known.connections, known.bytes_per_hour)

    def delay_s(self, host: str) -> float:
        """Seconds until a request to a host may begin."""
        with self._lock:
            return max(0.0, self._host(host).next_s - self._clock())

    def wait(self, host: str, longest_s: float = math.inf) -> None:
        """Wait for the turn of a request.

        Raises
        ------
        LongPause
            The host asks for a pause of more than `longest_s`, before or while somebody waits.
        Stopped
        """
        with self._lock:
            found = self._host(host)
            begin_s = max(found.next_s, self._clock())
            found.next_s = begin_s + 1 / found.manners.per_s
        # A host that refuses meanwhile pauses those as well that had their turn already.
        while (left_s := max(begin_s, self._paused_until(host)) - self._clock()) > 0:
            if (pause_s := self.pause_left_s(host)) > longest_s:
                raise LongPause(pause_s)
            if self.stop.wait(min(left_s, 1.0)):
                raise Stopped
        if self.stop.is_set():
            raise Stopped

    def refused(self, host: str, asked_s: float | None) -> float:
        """A host refused for now: the seconds of the pause that begins, as asked or twice as long as the last."""
        with self._lock:
            found = self._host(host)
            found.pause_s = min(max(2 * found.pause_s, self._pause_s), LONGEST_PAUSE_S)
            pause_s = found.pause_s if asked_s is None else asked_s
            found.next_s = max(found.next_s, self._clock() + pause_s)
            found.paused_until_s = found.next_s
        return pause_s

    def pause_left_s(self, host: str) -> float:
        """Seconds of the pause that a host asked for."""
        return max(0.0, self._paused_until(host) - self._clock())

    def answered(self, host: str) -> None:
        """A host did what it was asked for."""
        with self._lock:
            self._host(host).pause_s = 0.0

    def took(self, host: str, n_bytes: int) -> None:
        """Count what a host sent; at the end of its quota the next request waits for the next hour."""
        with self._lock:
            found, now_s = self._host(host), self._clock()
            quota = found.manners.bytes_per_hour
            if quota is None:
                return
            if now_s - found.hour_began_s >= HOUR_S:
                found.hour_began_s, found.hour_bytes = now_s, 0
            found.hour_bytes += n_bytes
            if found.hour_bytes >= quota:
                found.next_s = max(found.next_s, found.hour_began_s + HOUR_S)

    def _host(self, host: str) -> _Host:
        if host not in self._hosts:
            self._hosts[host] = _Host(self.manners(host))
        return self._hosts[host]

    def _paused_until(self, host: str) -> float:
        with self._lock:
            return self._host(host).paused_until_s
