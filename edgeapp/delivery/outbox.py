"""Delivery of messages through a queue in the journal.

A message is a row of the journal, committed together with its detection, and stays there until its target has confirmed
it. It names its detection, and its text is made when it is sent: a time that was corrected meanwhile, a review and a
clip are in it. Delivery is *at least once*: a confirmation that is lost on its way means that the message is sent
again. Each payload carries a stable ``id``, so that a receiver can drop what it has seen.

When a detection changes after it was sent, its message is due again, with ``updated`` true; see
`edgeapp.delivery.order`. A target that wants no updates gets each message once, when its clip is there or cannot be
waited for any longer.

A message is given up, with its reason in the journal and in the log, in three cases only: it is older than
``max_age_days`` while its target is down; the queue is longer than ``max_messages`` (the oldest goes first); or the
target refused it several times while it took others. A target that refuses everything is down, and loses nothing.

When to try again is reckoned in seconds since boot, so that a wall clock that is set does not stop or hasten anything;
the time written beside a failed message is for those who look into the journal.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial

from edgeapp.clock.system import Clock, Moment
from edgeapp.delivery.station_state import Stateful, StationState
from edgeapp.delivery.store import Store, Waiting
from edgeapp.delivery.target import Target
from edgeapp.delivery.target_queue import CHECK_S, TargetQueue, TargetState
from gallery.utc import utc_of

log = logging.getLogger(__name__)

TRIMMED_AT_ONCE = 500
MAX_AGE_DAYS = 30.0
MAX_MESSAGES = 100_000
STEP_S = 3600.0  # a wall clock that moved by more against the clock since boot does not tell ages


class Outbox:
    """Sends what waits in the journal, one thread a target. Nothing here raises into the station.

    Parameters
    ----------
    store : Store
    targets : Mapping[str, Target]
        By the name that is in the messages.
    clock : Clock
    once : Collection[str]
        Names of the targets that want no updates.
    clip_wait_s : float
        How long their messages wait for a clip at most; 0 where there are no clips.
    max_age_days, max_messages : float, int
        When messages that cannot be sent are given up.
    jitter : Callable[[], float]
        Uniform in [0, 1).
    going_on : Outbox or None
        In whose place this one is started, and closed without its targets of the same.
    same : Collection[str]
        Names of the targets that are as they were there; they are not connected again.
    """

    def __init__(
        self,
        store: Store,
        targets: Mapping[str, Target],
        clock: Clock,
        once: Collection[str] = (),
        clip_wait_s: float = 0.0,
        max_age_days: float = MAX_AGE_DAYS,
        max_messages: int = MAX_MESSAGES,
        jitter: Callable[[], float] = random.random,
        going_on: Outbox | None = None,
        same: Collection[str] = (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._max_age_days = max_age_days
        self._max_messages = max_messages
        self._waits = {name: None if name not in once else clip_wait_s for name in targets}
        before = {} if going_on is None else {name: going_on._queues[name] for name in same if name in targets}
        self._queues: dict[str, TargetQueue] = {
            name: before.get(name) or TargetQueue(name, target, store, clock, jitter, self._waits[name])
            for name, target in targets.items()
        }
        self._taken_over = frozenset(before)
        self._trimming = threading.Lock()
        self._start = clock.now()
        self._overfull = False
        store.on_queued = self._wake

    @property
    def names(self) -> frozenset[str]:
        """Of its targets."""
        return frozenset(self._queues)

    def start(self) -> None:
        """Begin to send; the targets of another one that are the same are taken over from it."""
        for queue in self._queues.values():
            queue.take_turn = partial(self.turn, queue.name)
            queue.wait_for_clips(self._waits[queue.name])
            if queue.name not in self._taken_over:
                queue.thread = threading.Thread(target=_run, args=(queue,), name=f"outbox-{queue.name}", daemon=True)
                queue.thread.start()

    def _wake(self) -> None:
        for queue in self._queues.values():
            queue.awake.set()

    def tell(self, state: StationState) -> None:
        """Pass the state of the station to the targets that tell it. Does not wait."""
        for queue in self._queues.values():
            if isinstance(queue.target, Stateful) and queue.target.tell(state):
                queue.awake.set()

    def states(self) -> dict[str, TargetState]:
        """How each target is."""
        return {name: queue.state() for name, queue in self._queues.items()}

    def close(self, timeout: float = 5.0, successor: Outbox | None = None) -> None:
        """Send what can be sent in `timeout` seconds, then disconnect. What remains waits for the next start.

        What a successor has taken over goes on there.
        """
        kept: frozenset[str] = frozenset() if successor is None else successor._taken_over
        queues = [queue for queue in self._queues.values() if queue.name not in kept]
        for queue in queues:
            queue.ending.set()
            queue.awake.set()
        end = time.monotonic() + timeout
        for queue in queues:
            if queue.thread is not None:
                queue.thread.join(max(0.0, end - time.monotonic()))
            queue.stop.set()  # a thread that is still sending ends after this message

    def turn(self, name: str) -> float:
        """Send what is due for one target, as its thread does.

        Returns
        -------
        float
            Seconds until the next turn, unless woken.
        """
        queue = self._queues[name]
        try:
            wait_s = queue.turn()
            self._trim()
        except Exception as error:  # a locked journal, a full disk: the messages are still there
            return queue.stumbled(error)
        return wait_s

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
            if not any(queue.down for queue in self._queues.values()):
                return
            oldest = now.utc - timedelta(days=self._max_age_days)
            old = 0
            for message in self._store.due(math.inf, TRIMMED_AT_ONCE):
                if utc_of(message.created_utc) >= oldest:
                    break
                gone = message.target not in self._queues
                if message.clock_set and (gone or self._queues[message.target].down):
                    self._drop(message, f"not sent in {self._max_age_days:g} days", now)
                    old += 1
            if old:
                log.warning("%d messages dropped, not sent in %g days", old, self._max_age_days)

    def _drop(self, message: Waiting, why: str, now: Moment) -> None:
        self._store.drop_message(message.id, why, now)
        queue = self._queues.get(message.target)
        if queue is not None:
            queue.dropped += 1
        log.debug("message %d for %s dropped: %s", message.id, message.target, why)


def _run(queue: TargetQueue) -> None:
    """What the thread of a target does."""
    while not queue.ending.is_set():
        queue.awake.clear()
        queue.awake.wait(min(queue.take_turn(), CHECK_S) if not queue.ending.is_set() else 0)
    queue.closing = True
    if queue.up:
        queue.take_turn()
    try:
        queue.target.close()
    except Exception as error:
        log.warning("%s: not closed: %s", queue.name, error)
