"""Delivery to one target: its messages in their order, when to try again, and what became of them."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from edgeapp.clock.system import Clock, Moment
from edgeapp.delivery.order import Aside, Order
from edgeapp.delivery.store import Store, Text, Waiting
from edgeapp.delivery.target import NotSent, Refused, Target
from edgeapp.errors import BiovitaError

log = logging.getLogger(__name__)

FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 3600.0
LONGEST_ASKED_S = 86400.0  # of Retry-After; a wrong value must not stop delivery for years
JITTER = 0.2  # stations that lost the same broker do not return in the same second
TRIES = 5  # of a message that the target refuses
REFUSED_IN_A_ROW = 3  # so many different messages, and the fault is the target's
CHECK_S = 10.0  # how often an idle target is asked whether it is still there, and the journal for changes
GONE = "its detection is not in the journal any more"


@dataclass(frozen=True)
class TargetState:
    """How one target is, for the status file.

    Attributes
    ----------
    state : str
        ``untried``, ``ok`` or ``down``.
    since : Moment
        Of this state.
    last_error : str
        The last failure, also when it is over; empty when there was none.
    waiting : int
        Messages in the queue that were never sent; -1 when the journal did not say.
    sent, dropped : int
        Since the start, updates included.
    """

    state: str
    since: Moment
    last_error: str
    waiting: int
    sent: int
    dropped: int


class TargetQueue:
    """The messages of one target, in order.

    Parameters
    ----------
    clip_wait_s : float or None
        Of a target that gets each message once; None of one that gets updates.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        store: Store,
        clock: Clock,
        jitter: Callable[[], float],
        clip_wait_s: float | None,
    ) -> None:
        self.name = name
        self.closing = False
        self.target = target
        self.awake = threading.Event()
        self.ending = threading.Event()
        self.stop = threading.Event()
        self.thread: threading.Thread | None = None
        self.take_turn: Callable[[], float] = self.turn
        self.dropped = 0
        self._sent = 0
        self._store = store
        self._clock = clock
        self._jitter = jitter
        self._condition = "untried"
        self._since = clock.now()
        self._last_error = ""
        self._failures = 0
        self._next_s = -math.inf  # since boot
        self._takes_none = False  # it may be there, and did not take the message that it got last
        self._refused: set[int] = set()  # messages, since one was taken
        self._unmarked: dict[int, int] = {}  # revisions that the target has, not yet marked in the journal
        self._order = Order(store, name, clip_wait_s)

    @property
    def up(self) -> bool:
        return self._condition != "down"

    @property
    def down(self) -> bool:
        return self._condition == "down"

    def state(self) -> TargetState:
        try:
            waiting = self._store.queue_length(self.name)
        except Exception as error:  # the status file is written all the same, and says that it is not known
            log.debug("%s: %s", self.name, error)
            waiting = -1
        return TargetState(self._condition, self._since, self._last_error, waiting, self._sent, self.dropped)

    def wait_for_clips(self, wait_s: float | None) -> None:
        """See `clip_wait_s` above; from the next message on."""
        self._order.clip_wait_s = wait_s

    def turn(self) -> float:
        """Send until nothing is due or the target fails; seconds to wait then."""
        now_s = self._now_s()
        if now_s < self._next_s:
            return self._next_s - now_s
        for id, revision in sorted(self._unmarked.items()):
            self._mark(id, revision)
        try:
            there = self.target.ready()
            if there and not self._takes_none:
                self._is_ok()
        except Exception as error:
            return self._is_down(error)
        while not self.stop.is_set():
            message = self._order.next(self._clock.now(), hurry=self.closing)
            if message is None:
                if there and math.isinf(self._order.soonest_s()):
                    self._is_ok()
                break
            text = self._store.composed(message.id)
            if text is None:
                self._store.drop_message(message.id, GONE, self._clock.now())
                continue
            try:
                self.target.send(text.payload)
            except Refused as error:
                if not self._is_refused(message, text, error):
                    return self._next_s - self._now_s()
            except Exception as error:
                self._takes_none = True
                wait_s = self._is_down(error)
                self._store.failed(message.id, _reason(error), self._clock.now().utc.timestamp() + wait_s)
                return wait_s
            else:
                self._unmarked[message.id] = text.revision
                self._order.asides.pop(message.id, None)
                self._sent += 1
                self._refused.clear()
                self._is_ok()
                self._mark(message.id, text.revision)
        return max(0.0, min(CHECK_S, self._order.soonest_s() - self._now_s()))

    def stumbled(self, error: Exception) -> float:
        """The journal failed; seconds to wait."""
        reason = f"the journal: {_reason(error)}"
        if reason != self._last_error:
            log.warning("%s: %s", self.name, reason)
        self._last_error = reason
        self._next_s = max(self._next_s, self._now_s() + FIRST_DELAY_S)
        return self._next_s - self._now_s()

    def _mark(self, id: int, revision: int) -> None:
        """Only after this is the message gone. Until then it is not sent again by this process."""
        self._store.sent(id, self._clock.now(), revision)
        self._unmarked.pop(id, None)

    def _is_refused(self, message: Waiting, text: Text, error: Refused) -> bool:
        """Keep or give up a refused message. False when the target refuses everything."""
        tries = message.attempts + 1
        aside = self._order.asides.setdefault(message.id, Aside(0.0, self._sent))
        if tries >= TRIES and self._sent > aside.taken_before:
            why = f"refused {tries} times: {error}"
            self._store.drop_message(message.id, why, self._clock.now())
            del self._order.asides[message.id]
            self._refused.discard(message.id)
            self.dropped += 1
            self._last_error = str(error)
            log.warning("%s: message %s dropped, %s", self.name, text.payload.get("id", message.id), why)
            return True
        wait_s = self._delay_s(tries)
        aside.next_s = self._now_s() + wait_s
        self._store.failed(message.id, str(error), self._clock.now().utc.timestamp() + wait_s)
        self._refused.add(message.id)
        if str(error) != self._last_error and self.up:
            log.warning("%s: %s; the message is tried again", self.name, error)
        self._last_error = str(error)
        if len(self._refused) < REFUSED_IN_A_ROW:
            return True
        self._takes_none = True
        self._is_down(error)
        return False

    def _is_ok(self) -> None:
        self._failures, self._takes_none = 0, False
        if self._condition != "ok":
            if self._condition == "down":
                log.info("%s: reachable again", self.name)
            self._condition, self._since = "ok", self._clock.now()

    def _is_down(self, error: Exception) -> float:
        """Record the failure, log it once, and return the seconds to wait."""
        reason = _reason(error)
        if self._condition != "down":
            self._condition, self._since = "down", self._clock.now()
            log.warning("%s: %s; messages are queued until it accepts them", self.name, reason)
        elif reason != self._last_error:
            log.warning("%s: %s", self.name, reason)
        self._last_error = reason
        self._failures += 1
        asked_s = (error.retry_after_s if isinstance(error, NotSent) else None) or 0.0
        wait_s = max(self._delay_s(self._failures), min(asked_s, LONGEST_ASKED_S))
        self._next_s = self._now_s() + wait_s
        return wait_s

    def _delay_s(self, failures: int) -> float:
        delay_s = min(FIRST_DELAY_S * 2 ** min(failures - 1, 20), LONGEST_DELAY_S)
        return delay_s * (1 - JITTER * self._jitter())

    def _now_s(self) -> float:
        return self._clock.now().boottime_s


def _reason(error: Exception) -> str:
    """One line. Of an error that nobody foresaw only its type, since its text may hold a secret."""
    return str(error) if isinstance(error, BiovitaError) else type(error).__name__
