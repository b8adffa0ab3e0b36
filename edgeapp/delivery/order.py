"""Which message of a target is sent next.

First what was never sent, in the order in which it was queued; then what was refused and whose time has come; then
updates. An update waits until its detection has been left alone for a while, so that one that grows, gets its clip and
is reviewed is one update, and thousands whose clock was corrected go out `BATCH` at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeapp.clock.system import Moment
from edgeapp.delivery.store import Store, Waiting

BATCH = 50
QUIET_S = 20.0  # without a change, before an update is sent; longer than from the end of a detection to its clip
LONGEST_QUIET_S = 300.0  # of a detection that never stops changing


@dataclass
class Aside:
    """A refused message: when to try it again [s since boot], and how many others were taken before that."""

    next_s: float
    taken_before: int


@dataclass
class _Change:
    """An update: its newest revision, and since when it and the first change are known [s since boot]."""

    revision: int
    since_s: float
    first_s: float

    @property
    def ripe_s(self) -> float:
        """When it is sent [s since boot]."""
        return min(self.since_s + QUIET_S, self.first_s + LONGEST_QUIET_S)


class Order:
    """The order of the messages of one target.

    Parameters
    ----------
    store : Store
    target : str
        Its name.
    clip_wait_s : float or None
        Of a target that gets each message once, and how long it waits for a clip; None of one that gets updates.

    Attributes
    ----------
    asides : dict
        Refused messages by their numbers.
    """

    def __init__(self, store: Store, target: str, clip_wait_s: float | None = None) -> None:
        self.asides: dict[int, Aside] = {}
        self._store = store
        self._target = target
        self.clip_wait_s = clip_wait_s
        self._held: dict[int, float] = {}  # messages that wait for their clips, and until when [s since boot]
        self._changes: dict[int, _Change] = {}

    def next(self, now: Moment, hurry: bool = False) -> Waiting | None:
        """The message to send now; None when there is none.

        Parameters
        ----------
        now : Moment
        hurry : bool
            Updates need not be ripe.
        """
        now_s = now.boottime_s
        due = self._store.due(math.inf, BATCH + len(self.asides) + len(self._held), self._target)
        # Set apart is only what came before all that is not: whatever of it is not in `due` was sent or dropped.
        waiting = {message.id for message in due}
        self._held = {id: until_s for id, until_s in self._held.items() if id in waiting}
        for message in due:
            if message.id not in self.asides and not self._waits_for_clip(message, now_s):
                return message
        changed = self._changed(now)
        ids = waiting | {message.id for message in changed}
        self.asides = {id: aside for id, aside in self.asides.items() if id in ids}
        for message in due:
            if message.id in self.asides and self.asides[message.id].next_s <= now_s:
                return message
        for message in changed:
            aside = self.asides.get(message.id)
            ripe_s = self._changes[message.id].ripe_s if aside is None else aside.next_s
            if ripe_s <= now_s or (hurry and aside is None):
                return message
        return None

    def soonest_s(self) -> float:
        """When the next one is due of those that `next` did not give [s since boot]; infinite when there is none."""
        asides = [aside.next_s for aside in self.asides.values()]
        changes = [change.ripe_s for id, change in self._changes.items() if id not in self.asides]
        return min([math.inf, *asides, *self._held.values(), *changes])

    def _waits_for_clip(self, message: Waiting, now_s: float) -> bool:
        if not self.clip_wait_s or not message.clip_expected:
            self._held.pop(message.id, None)
            return False
        return now_s < self._held.setdefault(message.id, now_s + self.clip_wait_s)

    def _changed(self, now: Moment) -> list[Waiting]:
        """Updates, the oldest first, and what is known of them; those that are not wanted are marked as sent."""
        before, self._changes = self._changes, {}
        changed = list(self._store.changed(BATCH + len(self.asides), self._target))
        if self.clip_wait_s is not None:
            for message in changed:
                self._store.sent(message.id, now, message.revision)
            return []
        for message in changed:
            change = before.get(message.id)
            if change is None:
                change = _Change(message.revision, now.boottime_s, now.boottime_s)
            elif change.revision != message.revision:
                change.revision, change.since_s = message.revision, now.boottime_s
            self._changes[message.id] = change
        return changed
