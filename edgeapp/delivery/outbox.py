"""Delivery of messages through a queue in the journal.

A message is a row of the journal, committed together with its detection, and stays there until its target has confirmed
it. Delivery is *at least once*: a confirmation that is lost on its way means that the message is sent again. Each
payload carries a stable ``id``, so that a receiver can drop what it has seen.

A message is given up, with its reason in the journal and in the log, in three cases only: it is older than
``max_age_days`` while its target is down; the queue is longer than ``max_messages`` (the oldest goes first); or the
target refused it `TRIES` times while it took others. A target that refuses everything is down, and loses nothing.

When to try again is reckoned in seconds since boot, so that a wall clock that is set does not stop or hasten anything;
the time written beside a failed message is for those who look into the journal.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from edgeapp.clock.system import Clock, Moment
from edgeapp.delivery.target import NotSent, Refused, Target
from edgeapp.errors import BiovitaError
from gallery.utc import utc_of

log = logging.getLogger(__name__)

FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 3600.0
LONGEST_ASKED_S = 86400.0  # of Retry-After; a wrong value must not stop delivery for years
JITTER = 0.2  # stations that lost the same broker do not return in the same second
TRIES = 5  # of a message that the target refuses
REFUSED_IN_A_ROW = 3  # so many different messages, and the fault is the target's
BATCH = 50
TRIMMED_AT_ONCE = 500
CHECK_S = 30.0  # how often an idle target is asked whether it is still there
MAX_AGE_DAYS = 30.0
MAX_MESSAGES = 100_000
STEP_S = 3600.0  # a wall clock that moved by more against the clock since boot does not tell ages


class Waiting(Protocol):
    """A message that waits."""

    @property
    def id(self) -> int: ...
    @property
    def target(self) -> str: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...
    @property
    def attempts(self) -> int: ...
    @property
    def created_utc(self) -> str: ...


class Store(Protocol):
    """The journal, as far as the outbox needs it. Used from several threads.

    Messages that were sent or dropped are never due, and marking them again changes nothing. ``target=None`` is all
    targets. Due messages come in the order in which they were queued. ``on_queued`` is called when messages can be
    read; it does not wait.
    """

    on_queued: Callable[[], None]

    def due(self, now_s: float, limit: int, target: str | None = None) -> Sequence[Waiting]: ...
    def sent(self, message_id: int, when: Moment, /) -> None: ...
    def failed(self, message_id: int, error: str, next_try_s: float, /) -> None: ...
    def drop_message(self, message_id: int, why: str, when: Moment, /) -> None: ...
    def queue_length(self, target: str | None = None) -> int: ...


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
        Messages in the queue; -1 when the journal did not say.
    sent, dropped : int
        Since the start.
    """

    state: str
    since: Moment
    last_error: str
    waiting: int
    sent: int
    dropped: int


@dataclass
class _Aside:
    """A refused message: when to try it again [s since boot], and how many others were taken before that."""

    next_s: float
    taken_before: int


class Outbox:
    """Sends what waits in the journal, one thread a target. Nothing here raises into the station.

    Parameters
    ----------
    store : Store
    targets : Mapping[str, Target]
        By the name that is in the messages.
    clock : Clock
    max_age_days, max_messages : float, int
        When messages that cannot be sent are given up.
    jitter : Callable[[], float]
        Uniform in [0, 1).
    """

    def __init__(
        self,
        store: Store,
        targets: Mapping[str, Target],
        clock: Clock,
        max_age_days: float = MAX_AGE_DAYS,
        max_messages: int = MAX_MESSAGES,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._clock = clock
        self._max_age_days = max_age_days
        self._max_messages = max_messages
        self._lines = {name: _Line(name, target, store, clock, jitter) for name, target in targets.items()}
        self._closing = threading.Event()
        self._trimming = threading.Lock()
        self._start = clock.now()
        self._overfull = False
        self._threads: list[threading.Thread] = []
        store.on_queued = self._wake

    def start(self) -> None:
        """Begin to send."""
        for line in self._lines.values():
            thread = threading.Thread(target=self._run, args=(line,), name=f"outbox-{line.name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _wake(self) -> None:
        for line in self._lines.values():
            line.awake.set()

    def states(self) -> dict[str, TargetState]:
        """How each target is."""
        return {name: line.state() for name, line in self._lines.items()}

    def close(self, timeout: float = 5.0) -> None:
        """Send what can be sent in `timeout` seconds, then disconnect. What remains waits for the next start."""
        self._closing.set()
        self._wake()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        for line in self._lines.values():
            line.stop.set()  # a thread that is still sending ends after this message

    def turn(self, name: str) -> float:
        """Send what is due for one target, as its thread does.

        Returns
        -------
        float
            Seconds until the next turn, unless woken.
        """
        line = self._lines[name]
        try:
            wait_s = line.turn()
            self._trim()
        except Exception as error:  # a locked journal, a full disk: the messages are still there
            return line.stumbled(error)
        return wait_s

    def _run(self, line: _Line) -> None:
        while not self._closing.is_set():
            line.awake.clear()
            line.awake.wait(min(self.turn(line.name), CHECK_S) if not self._closing.is_set() else 0)
        if line.up:
            self.turn(line.name)
        try:
            line.target.close()
        except Exception as error:
            log.warning("%s: not closed: %s", line.name, error)

    def _trim(self) -> None:
        """Give up what is too old, or too much. Seldom more than one question to the journal."""
        with self._trimming:
            now = self._clock.now()
            excess = self._store.queue_length() - self._max_messages
            if excess > 0:
                if not self._overfull:
                    log.warning("more than %d messages are queued; the oldest are dropped", self._max_messages)
                for message in self._store.due(math.inf, min(excess, TRIMMED_AT_ONCE)):
                    self._drop(message, f"more than {self._max_messages} messages were waiting", now)
            self._overfull = excess > 0
            if self._start.clock_set != now.clock_set:
                self._start = now  # the clock was set: from here on it tells ages
            stepped_s = abs((now.utc_of_boot - self._start.utc_of_boot).total_seconds())
            if not now.clock_set or stepped_s > STEP_S:
                return
            if not any(line.down for line in self._lines.values()):
                return
            oldest = now.utc - timedelta(days=self._max_age_days)
            old = 0
            for message in self._store.due(math.inf, TRIMMED_AT_ONCE):
                if utc_of(message.created_utc) >= oldest:
                    break
                gone = message.target not in self._lines
                if message.payload.get("clock_set", True) and (gone or self._lines[message.target].down):
                    self._drop(message, f"not sent in {self._max_age_days:g} days", now)
                    old += 1
            if old:
                log.warning("%d messages dropped, not sent in %g days", old, self._max_age_days)

    def _drop(self, message: Waiting, why: str, now: Moment) -> None:
        self._store.drop_message(message.id, why, now)
        line = self._lines.get(message.target)
        if line is not None:
            line.dropped += 1
        log.debug("message %d for %s dropped: %s", message.id, message.target, why)


class _Line:
    """The messages of one target, in order."""

    def __init__(self, name: str, target: Target, store: Store, clock: Clock, jitter: Callable[[], float]) -> None:
        self.name = name
        self.target = target
        self.awake = threading.Event()
        self.stop = threading.Event()
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
        self._refused: set[int] = set()  # messages, since one was taken
        self._asides: dict[int, _Aside] = {}
        self._unmarked: set[int] = set()  # taken by the target, not yet marked in the journal

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

    def turn(self) -> float:
        """Send until nothing is due or the target fails; seconds to wait then."""
        now_s = self._now_s()
        if now_s < self._next_s:
            return self._next_s - now_s
        for id in sorted(self._unmarked):
            self._mark(id)
        try:
            if self.target.ready():
                self._is_ok()
        except Exception as error:
            return self._is_down(error)
        while not self.stop.is_set():
            message = self._next()
            if message is None:
                break
            try:
                self.target.send(message.payload)
            except Refused as error:
                if not self._is_refused(message, error):
                    return self._next_s - self._now_s()
            except Exception as error:
                wait_s = self._is_down(error)
                self._store.failed(message.id, _reason(error), self._clock.now().utc.timestamp() + wait_s)
                return wait_s
            else:
                self._unmarked.add(message.id)
                self._asides.pop(message.id, None)
                self._sent += 1
                self._refused.clear()
                self._is_ok()
                self._mark(message.id)
        ripe = [aside.next_s - self._now_s() for aside in self._asides.values()]
        return max(0.0, min([CHECK_S, *ripe]))

    def stumbled(self, error: Exception) -> float:
        """The journal failed; seconds to wait."""
        reason = f"the journal: {_reason(error)}"
        if reason != self._last_error:
            log.warning("%s: %s", self.name, reason)
        self._last_error = reason
        self._next_s = max(self._next_s, self._now_s() + FIRST_DELAY_S)
        return self._next_s - self._now_s()

    def _next(self) -> Waiting | None:
        """The oldest message that was not refused, else the oldest refused one whose time has come."""
        now_s = self._now_s()
        found = self._store.due(math.inf, BATCH + len(self._asides), self.name)
        for message in found:
            if message.id not in self._asides:
                return message
        # All that waits is in `found`: what is not there was dropped meanwhile.
        self._asides = {message.id: self._asides[message.id] for message in found}
        return next((message for message in found if self._asides[message.id].next_s <= now_s), None)

    def _mark(self, id: int) -> None:
        """Only after this is the message gone. Until then it is not sent again by this process."""
        self._store.sent(id, self._clock.now())
        self._unmarked.discard(id)

    def _is_refused(self, message: Waiting, error: Refused) -> bool:
        """Keep or give up a refused message. False when the target refuses everything."""
        tries = message.attempts + 1
        aside = self._asides.setdefault(message.id, _Aside(0.0, self._sent))
        if tries >= TRIES and self._sent > aside.taken_before:
            why = f"refused {tries} times: {error}"
            self._store.drop_message(message.id, why, self._clock.now())
            del self._asides[message.id]
            self._refused.discard(message.id)
            self.dropped += 1
            self._last_error = str(error)
            log.warning("%s: message %s dropped, %s", self.name, message.payload.get("id", message.id), why)
            return True
        wait_s = self._delay_s(tries)
        aside.next_s = self._now_s() + wait_s
        self._store.failed(message.id, str(error), self._clock.now().utc.timestamp() + wait_s)
        self._refused.add(message.id)
        self._last_error = str(error)
        if len(self._refused) < REFUSED_IN_A_ROW:
            return True
        self._is_down(error)
        return False

    def _is_ok(self) -> None:
        self._failures = 0
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
